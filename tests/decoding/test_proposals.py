"""Spotting: drawn curves give the runs that the eye sees; scores agree with loops written from the equations."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfes.base import intervals, provenance, store
from pfes.base.errors import InputError
from pfes.base.records import CLASSES, PROPOSAL_COLUMNS
from pfes.decoding import proposals
from pfes.decoding.proposals import ClassLimits, SpotParameters
from pfes.methods.registry import learned
from pfes.spotting import proposal_tables
from tests.conftest import SHARED_DATA

JOURNAL = learned("journal")
CURVES = SHARED_DATA / "predictions/slswin_casme_sq_mae.npz"
OPEN = ClassLimits(min_frames=1, max_frames=10_000, min_score=0.0, max_per_video=100)
PLAIN = SpotParameters(thresholds=(0.5,), score="eq15", macro=OPEN, micro=OPEN)


def curve(drawing: str) -> np.ndarray:
    """One letter a frame: a digit is tenths of intensity."""
    return np.array([int(letter) / 10 for letter in drawing])


def classes(length: int, macro: float = 1.0, micro: float = 0.0) -> np.ndarray:
    return np.tile([macro, micro], (length, 1))


def hill(length: int, centre: float, width: float, height: float = 0.9) -> np.ndarray:
    return height * np.exp(-((np.arange(length) - centre) ** 2) / (2 * width**2))


def random_intervals(rng: np.random.Generator, count: int, length: int) -> intervals.Intervals:
    return np.sort(rng.integers(0, length, (count, 2)), axis=1)


# Steps -------------------------------------------------------------------------------------------------------------


def test_runs_of_a_drawn_curve_at_three_thresholds() -> None:
    #            0123456789
    drawn = curve("0366930050")
    #  > .2        #####  #
    #  > .4         ###   #    the same single frame 8: once
    #  > .7           #
    found = proposals.threshold_runs(drawn, (0.2, 0.4, 0.7))
    assert found.tolist() == [[1, 5], [2, 4], [4, 4], [8, 8]]


def test_a_frame_at_the_threshold_is_outside() -> None:
    assert proposals.threshold_runs(np.array([0.5, 0.6, 0.5]), (0.5,)).tolist() == [[1, 1]]


def test_the_apex_is_the_first_of_equal_maxima_of_the_interval() -> None:
    drawn = curve("9467765")
    assert proposals.apex_frames(drawn, np.array([[1, 6], [0, 6], [5, 5]])).tolist() == [3, 0, 5]


def test_eq15_of_a_drawn_run() -> None:
    #              <..>            inside 8 frames of .8; flanks of 2: .1 .3 and .2 .2, over L / 2 = 4
    drawn = curve("00138888888822000")
    assert eq15(drawn, 4, 11) == pytest.approx(0.8 - (0.1 + 0.3 + 0.2 + 0.2) / 4)


def test_the_denominator_of_eq15_stays_where_a_flank_is_cut() -> None:
    drawn = curve("8888888822")
    assert eq15(drawn, 0, 7) == pytest.approx(0.8 - (0.2 + 0.2) / 4)
    assert eq15(drawn, 0, 9) == pytest.approx(drawn.mean())
    assert eq15(drawn, 0, 2) == pytest.approx(0.8)  # int(.75) = 0 frames


def test_the_score_of_the_release_of_a_drawn_run() -> None:
    #   left ceil(.2 * 8) = 2 frames, right floor(1.6) = 1; the mean of .1 .3 .5; .2 of the class score .7
    drawn = curve("00138888888850000")
    found = proposals.contrast(drawn, np.array([[4, 11]]), np.array([0.7]), "release")
    assert found == pytest.approx([0.8 - 0.9 / 3 + 0.2 * 0.7])
    whole = proposals.contrast(drawn[4:12], np.array([[0, 7]]), np.array([0.7]), "release")
    assert whole == pytest.approx([0.8 + 0.2 * 0.7])


def eq15(values: np.ndarray, onset: int, offset: int) -> float:
    return proposals.contrast(values, np.array([[onset, offset]]), np.array([0.9]), "eq15").item()


def loop_score(a: list[float], s: int, e: int, class_score: float, score: str) -> float:
    """METHOD 8 of the run s .. e."""
    length, inside = e - s + 1, [a[t] for t in range(s, e + 1)]
    if score == "eq15":
        width = math.floor(length / 4)
        flanks = [a[t] for t in [*range(s - width, s), *range(e + 1, e + 1 + width)] if 0 <= t < len(a)]
        return sum(inside) / length - 2 / length * sum(flanks)
    left, right = -(-length // 5), length // 5
    flanks = [a[t] for t in [*range(s - left, s), *range(e + 1, e + 1 + right)] if 0 <= t < len(a)]
    return sum(inside) / length - (sum(flanks) / len(flanks) if flanks else 0.0) + 0.2 * class_score


@pytest.mark.parametrize("score", ["eq15", "release"])
def test_scores_agree_with_a_loop(score: str) -> None:
    rng = np.random.default_rng(1)
    values, found, at_apex = rng.random(120), random_intervals(rng, 400, 120), rng.random(400)
    expected = [loop_score(values.tolist(), *pair, own, score) for pair, own in zip(found, at_apex, strict=True)]
    assert proposals.contrast(values, found, at_apex, score) == pytest.approx(expected)


def test_soft_nms_agrees_with_a_loop() -> None:
    rng = np.random.default_rng(2)
    found, scores = random_intervals(rng, 60, 50), rng.uniform(-0.2, 1, 60)
    expected, waiting = list(scores), [row for row in range(60) if scores[row] > 0]
    while waiting:
        best = max(waiting, key=lambda row: expected[row])
        waiting.remove(best)
        for row in waiting:
            shared = min(found[best, 1], found[row, 1]) - max(found[best, 0], found[row, 0]) + 1
            if shared > 0:
                union = found[best, 1] - found[best, 0] + found[row, 1] - found[row, 0] + 2 - shared
                expected[row] *= np.exp(-((shared / union) ** 2) / 0.3)
    before = scores.copy()
    assert proposals.soft_nms(found, scores, 0.3) == pytest.approx(expected)
    assert np.array_equal(scores, before)


def test_soft_nms_leaves_intervals_alone_that_do_not_overlap() -> None:
    found, scores = np.array([[0, 4], [5, 9], [20, 29]]), np.array([0.3, 0.9, 0.5])
    assert np.array_equal(proposals.soft_nms(found, scores, 0.3), scores)


def test_hard_nms_drops_only_above_the_threshold() -> None:
    #   row 0   ####......   .5
    #   row 1   ##........   .9  IoU with row 0: exactly .5, both stay
    #   row 2   ###.......   .7  IoU with row 1: 2/3, dropped
    #   row 3   ......####   .1
    found = np.array([[0, 3], [0, 1], [0, 2], [6, 9]])
    assert proposals.nms(found, np.array([0.5, 0.9, 0.7, 0.1]), 0.5).tolist() == [1, 0, 3]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_what_nms_keeps_does_not_overlap_and_covers_what_it_drops(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    found, scores = random_intervals(rng, 30, 60), rng.random(30)
    kept = proposals.nms(found, scores, threshold)
    overlap = intervals.iou(found, found[kept])
    assert (overlap[kept][~np.eye(len(kept), dtype=bool)] <= threshold).all()
    for row in np.setdiff1d(np.arange(30), kept):
        assert any(overlap[row, column] > threshold and scores[best] >= scores[row] for column, best in enumerate(kept))


def test_a_moving_average_keeps_a_constant_and_skips_masked_frames() -> None:
    everywhere = np.ones(7, bool)
    assert proposals.moving_average(np.full(7, 0.4), 5, everywhere) == pytest.approx(np.full(7, 0.4))
    assert proposals.moving_average(curve("0090000"), 3, everywhere) == pytest.approx([0, 0.3, 0.3, 0.3, 0, 0, 0])
    assert proposals.moving_average(curve("4490"), 3, np.array([1, 1, 0, 1], bool))[:3] == pytest.approx(
        [0.4, 0.4, 0.2]
    )
    with pytest.raises(ValueError, match="odd"):
        proposals.moving_average(curve("000"), 2, np.ones(3, bool))


# A video -----------------------------------------------------------------------------------------------------------


def test_a_drawn_video_gives_the_expected_proposal() -> None:
    #              0123456789012345
    drawn = curve("0001678876100000")
    found = proposals.propose(drawn, classes(16), PLAIN)
    assert list(found.columns) == list(proposals.FRAME_COLUMNS)
    assert len(found) == 1
    row = found.iloc[0]
    assert (row["class"], row["onset"], row["apex"], row["offset"]) == ("macro", 4, 6, 9)
    assert row["score"] == pytest.approx(4.2 / 6 - 0.2 / 3)  # a flank is int(6 / 4) = 1 frame of .1; L / 2 = 3
    assert row["mean_intensity"] == pytest.approx(0.7)
    assert row["peak_intensity"] == pytest.approx(0.8)


def test_two_hills_of_both_classes_are_found_with_default_parameters() -> None:
    values = hill(200, 60, 8) + hill(200, 150, 3.2)
    scores = np.zeros((200, 2))
    scores[:110, 0] = scores[110:, 1] = 0.9
    found = proposals.propose(values, scores)
    best = found.sort_values("score").groupby("class").tail(1).set_index("class")
    assert best.loc["macro", "apex"] == 60
    assert best.loc["micro", "apex"] == 150
    assert set(found["class"]) == {"macro", "micro"}


def test_the_class_is_that_of_the_apex_alone() -> None:
    drawn = curve("0067600")
    scores = classes(7, macro=0.9, micro=0.1)
    scores[3] = [0.5, 0.6]  # .5 is not above the threshold
    assert proposals.propose(drawn, scores, PLAIN)["class"].tolist() == ["micro"]


def test_a_run_without_a_class_is_no_proposal() -> None:
    assert len(proposals.propose(curve("0067600"), classes(7, 0.4, 0.3), PLAIN)) == 0


def test_both_classes_stay_or_the_higher_alone() -> None:
    drawn, scores = curve("0067600"), classes(7, 0.7, 0.8)
    assert proposals.propose(drawn, scores, PLAIN)["class"].tolist() == ["macro", "micro"]
    assert proposals.propose(drawn, scores, replace(PLAIN, both_classes=False))["class"].tolist() == ["micro"]


def test_the_class_may_be_read_from_the_score_times_the_intensity() -> None:
    #   apex .6: s = .9 gives s-bar .54, s = .8 gives .48
    drawn, scores = curve("0056500"), classes(7, 0.9, 0.8)
    plain, joint = (replace(PLAIN, thresholds=(0.4,), class_by=name) for name in ("s", "s_bar"))
    assert proposals.propose(drawn, scores, plain)["class"].tolist() == ["macro", "micro"]
    assert proposals.propose(drawn, scores, joint)["class"].tolist() == ["macro"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        # proposals of 3, 5 and 7 frames, scores rising with intensity .6, .7, .8
        (ClassLimits(1, 99, 0.0, 9), [3, 5, 7]),
        (ClassLimits(5, 99, 0.0, 9), [5, 7]),
        (ClassLimits(1, 5, 0.0, 9), [3, 5]),
        (ClassLimits(1, 99, 0.65, 9), [5, 7]),
        (ClassLimits(1, 99, 0.0, 1), [7]),
        (ClassLimits(1, 99, 0.0, 9, max_s=0.2), [3, 5]),
        (ClassLimits(1, 99, 0.0, 0), []),
    ],
)
def test_limits_of_a_class(limits: ClassLimits, expected: list[int]) -> None:
    drawn = curve("0000666000000777770000000888888800000")
    found = proposals.propose(drawn, classes(len(drawn)), replace(PLAIN, macro=limits), fps=25.0)
    assert (found["offset"] - found["onset"] + 1).tolist() == expected


def test_a_micro_expression_lasts_at_most_half_a_second_at_any_rate() -> None:
    limits = SpotParameters().micro
    assert [limits.longest(fps) for fps in (24.0, 200 / 7, 30.0, 60.0)] == [12, 14, 15, 15]


def test_length_limits_first_keep_an_impossible_run_from_suppressing_a_good_one() -> None:
    #   row 0   ..############..   12 frames, .6
    #   row 1   ################   16 frames, .7: too long, and suppresses row 0 where limits come last
    pair, scores = np.array([[20, 31], [18, 33]]), np.array([0.6, 0.7])
    limits = ClassLimits(9, 15, 0.5, 2)
    last, first = (SpotParameters(length_first=order) for order in (False, True))
    assert len(proposals.select(pair, scores, limits, last, 30.0)[0]) == 0
    assert proposals.select(pair, scores, limits, first, 30.0)[0].tolist() == [0]


def test_without_soft_nms_scores_stay_and_hard_nms_alone_selects() -> None:
    #   row 0   ####......   .5
    #   row 1   .######...   .6: IoU 3/7 with row 0, both stay
    #   row 2   .#####....   .4: IoU 5/6 with row 1, dropped
    found, scores = np.array([[0, 3], [1, 6], [1, 5]]), np.array([0.5, 0.6, 0.4])
    kept, kept_scores = proposals.select(found, scores, OPEN, SpotParameters(sigma=None), 30.0)
    assert kept.tolist() == [0, 1]
    assert kept_scores.tolist() == [0.5, 0.6]


def test_no_proposal_covers_a_frame_without_a_face() -> None:
    drawn = curve("0066666666600")
    valid = np.ones(13, bool)
    valid[6] = False
    drawn[6] = np.nan  # what a masked frame holds does not matter
    found = proposals.propose(drawn, classes(13), PLAIN, valid=valid)
    assert found[["onset", "offset"]].to_numpy().tolist() == [[2, 5], [7, 10]]
    assert len(proposals.propose(drawn, classes(13), PLAIN, valid=np.zeros(13, bool))) == 0


@pytest.mark.parametrize("values", [np.empty(0), np.zeros(50), np.ones(1)])
def test_empty_and_still_videos_give_an_empty_table_of_the_right_types(values: np.ndarray) -> None:
    found = proposals.propose(values, classes(len(values)))
    assert len(found) == 0
    assert found[["onset", "apex", "offset"]].dtypes.eq("int64").all()
    assert found[["score", "mean_intensity", "peak_intensity"]].dtypes.eq("float64").all()


def test_a_constant_high_curve_is_one_proposal() -> None:
    found = proposals.propose(np.full(50, 0.95), classes(50))
    assert found[["onset", "offset"]].to_numpy().tolist() == [[0, 49]]


def test_wrong_shapes_and_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        proposals.propose(np.zeros(5), classes(4))
    with pytest.raises(ValueError, match="expected"):
        proposals.propose(np.zeros(5), classes(5), valid=np.ones(4, bool))
    with pytest.raises(ValueError, match="not finite"):
        proposals.propose(np.array([0.0, np.nan]), classes(2))


def test_input_stays_untouched() -> None:
    values, scores, valid = hill(80, 40, 8), classes(80), np.arange(80) != 39
    before = values.copy(), scores.copy(), valid.copy()
    proposals.propose(values, scores, SpotParameters(smooth_frames=5), valid=valid)
    for old, new in zip(before, (values, scores, valid), strict=True):
        assert np.array_equal(old, new)


# The release -------------------------------------------------------------------------------------------------------

RELEASE_THRESHOLDS = {"casme2": (0.5, 0.5), "samm_lv": (0.4, 0.3), "casme3": (0.3, 0.3)}
QUOTA = {"casme2": (8, 2), "samm_lv": (8, 8), "casme3": (8, 2)}


def released_params(dataset: str) -> SpotParameters:
    (macro, micro), (n_macro, n_micro) = RELEASE_THRESHOLDS[dataset], QUOTA[dataset]
    limits = {"macro": ClassLimits(15, 240, macro, n_macro), "micro": ClassLimits(9, 15, micro, n_micro)}
    return SpotParameters(released=True, **limits)


def released_loop(a: list[float], s: list[list[float]], dataset: str) -> list[tuple[int, int, int, int, float]]:
    """METHOD 8 and its quirks: (class, onset, apex, end, score) of every proposal, in the order in which they are kept."""
    pool: list[tuple[int, int, int, int, float]] = []
    for c in (0, 1):
        found = []
        for step in range(2, 9):
            above = [t for t in range(len(a)) if a[t] > step / 10]
            if above in ([], [0]):  # frame 0 alone is no frame there
                continue
            starts = [t for t in above if t == 0 or a[t - 1] <= step / 10]
            ends = [t for t in above if t + 1 == len(a) or a[t + 1] <= step / 10]
            for first, last in zip(starts, ends, strict=True):
                apex = max(range(first, last + 1), key=lambda t: (a[t], -t))
                if s[apex][c] > 0.5:
                    found.append([c, first, apex, last + 1, loop_score(a, first, last, s[apex][c], "release")])
        for place in range(len(found)):  # soft-NMS; the best one changes places with the first that waits
            best = max(range(place, len(found)), key=lambda i: (found[i][4], -i))
            found[place], found[best] = found[best], found[place]
            _, u, _, v, _ = found[place]
            for other in found[place + 1 :]:
                shared = max(min(v, other[3]) - max(u, other[1]) + 1, 0)
                union = v - u + 1 + other[3] - other[1] + 1 - shared
                other[4] *= math.exp(-((shared / union) ** 2) / 0.3)
        shortest, longest = ((15, 240), (9, 15))[c]
        for row in found:
            if shortest <= row[3] - row[1] + 1 <= longest and row[4] >= RELEASE_THRESHOLDS[dataset][c]:
                pool.append(tuple(row))
    left, kept = list(QUOTA[dataset]), []
    while pool and left != [0, 0]:
        best = pool.pop(max(range(len(pool)), key=lambda i: (pool[i][4], -i)))
        if left[best[0]] == 0:
            continue
        left[best[0]] -= 1
        kept.append(best)
        place = 0
        while place < len(pool):
            other = pool[place]
            shared = max(min(best[3], other[3]) - max(best[1], other[1]), 0)
            if other[0] == best[0] and shared / (best[3] - best[1] + other[3] - other[1] - shared) > 0.5:
                pool.pop(place)  # the next one comes to its place and is passed over
            place += 1
    return kept


def random_release_video(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hills of expression length, some at the ends; others saturated, of few levels, with equal pulses, a first frame alone."""
    rng, kind = np.random.default_rng(seed), seed % 5
    length = int(rng.integers(20, 400))
    values = np.zeros(length)
    for _ in range(int(rng.integers(1, 9))):
        centre = rng.choice([0, length - 1, rng.integers(length)])
        values = np.maximum(values, hill(length, centre, rng.uniform(1.5, 12), rng.uniform(0.3, 1)))
    values = np.clip(values + rng.normal(0, 0.03, length), 0, 1)
    scores = np.clip(rng.random((length, 2)) + np.array([0.3, 0.2]), 0, 1)
    if kind == 1:
        values, scores = np.where(values > 0.6, 1.0, values), np.where(scores > 0.5, 1.0, 0.0)
    if kind == 2:
        values, scores = np.round(values * 4) / 4, np.round(scores * 2) / 2
    if kind == 3:  # which of equally good proposals are the best 2 or 8 hangs on the order of soft-NMS
        values, scores = np.zeros(length), np.ones((length, 2))
        for start in range(6, length - 20, 20):
            values[start : start + 12] = rng.choice([0.35, 0.95, 0.95])
    if kind == 4 and length > 80:
        half = int(rng.integers(14, 20))  # a run in one of twice its length: an overlap of exactly one half
        values[20 : 21 + 2 * half], scores[20:60, 0] = 0.0, 1.0
        values[20 : 20 + 2 * half], values[22 : 22 + half] = 0.45, 1.0
        values[:3], scores[0] = [1.0, 0.1, 0.1], 1.0
    return values, scores


@pytest.mark.parametrize("dataset", RELEASE_THRESHOLDS)
def test_300_random_videos_give_the_proposals_of_a_loop_of_the_release(dataset: str) -> None:
    total = at_the_end = 0
    for seed in range(300):
        values, scores = random_release_video(seed)
        expected = sorted(
            released_loop(values.tolist(), scores.tolist(), dataset), key=lambda row: (row[0], row[1], row[3])
        )
        found = proposals.propose(values, scores, released_params(dataset))
        frames = found[["onset", "apex", "offset"]].to_numpy().tolist()
        rows = [(CLASSES.index(name), *own) for name, own in zip(found["class"], frames, strict=True)]
        assert rows == [row[:4] for row in expected], seed
        assert found["score"].to_numpy() == pytest.approx([row[4] for row in expected]), seed
        total += len(rows)
        at_the_end += sum(row[3] == len(values) for row in rows)
    assert total > 300
    assert at_the_end > 20


def test_a_run_at_the_end_of_a_video_ends_one_frame_after_it_and_has_a_native_frame() -> None:
    values = np.concatenate([np.zeros(30), np.full(20, 0.9)])
    found = proposals.propose(values, classes(50), released_params("casme2"))
    assert found[["onset", "offset"]].to_numpy().tolist() == [[30, 50]]
    located = proposal_tables.locate(found, "s", "v", np.arange(50) * 7, 30.0)
    assert located[["native_onset", "native_offset"]].to_numpy().tolist() == [[210, 343]]


# Files -------------------------------------------------------------------------------------------------------------


def write_inputs(folder: Path, frames: int = 200) -> dict[str, Path]:
    origin = provenance.record("test", {})
    scores = {
        "intensity/a_1": hill(200, 60, 8).astype(np.float32),
        "class_scores/a_1": classes(200).astype(np.float32),
        "intensity/a_2": np.zeros(30, np.float32),
        "class_scores/a_2": classes(30).astype(np.float32),
        "valid/a_1": np.ones(200, bool),
        "valid/a_2": np.ones(30, bool),
    }
    store.write(folder / "scores.h5", "scores", scores, origin)
    for name, length in (("a_1", frames), ("a_2", 30)):
        native = np.arange(length, dtype=np.int64) * 7
        arrays = {"native_frame": native, "found": np.ones(length, np.uint8)}
        store.write(folder / f"{name}.h5", "faces", arrays, origin, fps=200 / 7)
    names = pd.DataFrame({"subject": ["a", "a", "b"], "video_id": ["a_1", "a_2", "b_1"]})
    store.write_table(folder / "videos.parquet", "videos", names, origin)
    return {name: folder / f"{name}.h5" for name in ("a_1", "a_2")}


def test_written_proposals_hold_native_frames_and_seconds(tmp_path: Path) -> None:
    faces = write_inputs(tmp_path)
    out = tmp_path / "proposals.parquet"
    proposal_tables.write_proposals(
        tmp_path / "scores.h5", tmp_path / "videos.parquet", faces, out, SpotParameters(), JOURNAL
    )
    found = store.read_table(out, "proposals")
    assert tuple(found.columns) == PROPOSAL_COLUMNS
    assert len(found) > 0
    assert set(found["video_id"]) == {"a_1"}
    assert set(found["subject"]) == {"a"}
    for name in ("onset", "apex", "offset"):
        assert (found[f"native_{name}"] == 7 * found[name]).all()
        assert found[f"{name}_s"].to_numpy() == pytest.approx(found[f"native_{name}"].to_numpy() / 200)
    assert store.describe(out)["provenance"]["parameters"]["score"] == "release"


def test_frames_that_are_not_valid_are_in_no_proposal(tmp_path: Path) -> None:
    faces, out = write_inputs(tmp_path), tmp_path / "proposals.parquet"
    scores = store.read(tmp_path / "scores.h5", "scores")
    scores["valid/a_1"][50:61] = False  # a cut there
    store.write(tmp_path / "scores.h5", "scores", scores, {})
    proposal_tables.write_proposals(
        tmp_path / "scores.h5", tmp_path / "videos.parquet", faces, out, SpotParameters(), JOURNAL
    )
    found = store.read_table(out, "proposals")
    assert ((found["offset"] < 50) | (found["onset"] > 60)).all()


def test_a_scores_file_without_a_video_gives_an_empty_table(tmp_path: Path) -> None:
    faces, out = write_inputs(tmp_path), tmp_path / "proposals.parquet"
    store.write(tmp_path / "none.h5", "scores", {}, provenance.record("test", {}))
    proposal_tables.write_proposals(
        tmp_path / "none.h5", tmp_path / "videos.parquet", faces, out, SpotParameters(), JOURNAL
    )
    found = store.read_table(out, "proposals")
    assert len(found) == 0
    assert found["onset"].dtype == np.int64
    assert found["score"].dtype == np.float64


def test_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    faces, out = write_inputs(tmp_path, frames=199), tmp_path / "proposals.parquet"
    with pytest.raises(InputError, match="200 frames of a_1, but its faces file has 199"):
        proposal_tables.write_proposals(
            tmp_path / "scores.h5", tmp_path / "videos.parquet", faces, out, SpotParameters(), JOURNAL
        )
    with pytest.raises(InputError, match="a_2 is not in the faces files"):
        proposal_tables.write_proposals(
            tmp_path / "scores.h5",
            tmp_path / "videos.parquet",
            {"a_1": write_inputs(tmp_path)["a_1"]},
            out,
            SpotParameters(),
            JOURNAL,
        )
    assert not out.exists()


# Real curves -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CURVES.exists(), reason=f"{CURVES} is missing")
def test_real_curves_give_proposals_within_all_limits() -> None:
    params = SpotParameters(smooth_frames=37, macro=ClassLimits(15, 240, 0.05, 8))
    total = 0
    with np.load(CURVES, allow_pickle=False) as file:
        for video_id in file.files:
            values = file[video_id].astype(np.float64)
            found = proposals.propose(values, classes(len(values)), params)
            length = found["offset"] - found["onset"] + 1
            assert length.between(15, 240).all()
            assert found["offset"].lt(len(values)).all()
            assert found["score"].ge(0.05).all()
            assert found["apex"].between(found["onset"], found["offset"]).all()
            assert len(found) <= 8
            total += len(found)
    assert total > 88  # the videos
