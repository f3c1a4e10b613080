"""The evaluator against hand-drawn timelines, a brute-force second implementation and published numbers.

A timeline is a string, one letter a frame: every run of ``#`` is an interval. Overlapping intervals stand on lines of
their own. ``truth`` are the instances, ``found`` the proposals.
"""

import itertools
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfes import evaluation, intervals, provenance, store
from pfes.errors import InputError
from pfes.evaluation import NO_SEED

PREDICTIONS = Path(__file__).resolve().parents[2] / "shared/data/predictions"
needs_predictions = pytest.mark.skipif(not PREDICTIONS.is_dir(), reason=f"{PREDICTIONS} is missing")


def draw(*lines: str) -> intervals.Intervals:
    return np.concatenate([intervals.runs(np.array([letter == "#" for letter in line], bool)) for line in lines])


def table(rows: list[tuple[str, str, int, int]]) -> pd.DataFrame:
    """Rows of (video_id, class, onset, offset); they serve as expressions and as proposals."""
    frame = pd.DataFrame(rows, columns=["video_id", "class", "onset", "offset"])
    frame = frame.astype({"onset": "int64", "offset": "int64", "video_id": object, "class": object})
    return frame.assign(instance=np.arange(len(frame)))


def videos(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"subject": [name[0] for name in names], "video_id": list(names)}, dtype=object)


# One video and class: matching --------------------------------------------------------------------------------------


def test_exact_hit_is_matched() -> None:
    truth = draw("..####..")
    found = draw("..####..")
    assert evaluation.match(truth, found).tolist() == [[0, 0]]


def test_iou_of_exactly_one_half_is_a_hit() -> None:
    truth = draw("..####..")
    found = draw("..##....")  # 2 of 4
    assert evaluation.match(truth, found).tolist() == [[0, 0]]


def test_iou_just_below_one_half_is_a_miss() -> None:
    truth = draw("..#####..")
    found = draw("..##.....")  # 2 of 5
    assert len(evaluation.match(truth, found)) == 0


@pytest.mark.parametrize("tenths", range(1, 11))
def test_every_tenth_counts_exactly_although_floats_round(tenths: int) -> None:
    truth, found = np.array([[0, 9]]), np.array([[0, tenths - 1]])  # tenths of 10
    assert len(evaluation.match(truth, found, tenths / 10)) == 1
    assert len(evaluation.match(truth, found, sum([0.1] * tenths))) == 1
    if tenths > 1:
        assert len(evaluation.match(truth, np.array([[0, tenths - 2]]), tenths / 10)) == 0


def test_just_below_one_half_is_a_miss_also_in_long_intervals() -> None:
    truth = np.array([[0, 2_000_000]])  # 2,000,001 frames
    assert len(evaluation.match(truth, np.array([[0, 999_999]]))) == 0
    assert len(evaluation.match(truth, np.array([[0, 1_000_000]]))) == 1


def test_touching_intervals_are_a_miss() -> None:
    truth = draw("..####....")
    found = draw("......####")
    assert len(evaluation.match(truth, found, 0.001)) == 0


def test_a_tie_gives_one_hit() -> None:
    truth = draw("..####..")
    found = draw(
        ".####...",
        "...####.",  # both 3 of 5
    )
    assert len(evaluation.match(truth, found)) == 1


def test_a_second_detection_of_an_instance_is_not_a_hit() -> None:
    truth = draw("..######..")
    found = draw(
        "..#####...",  # 5 of 6
        "..######..",  # 6 of 6, the better one
    )
    assert evaluation.match(truth, found).tolist() == [[0, 1]]


def test_one_proposal_finds_only_one_of_two_instances() -> None:
    truth = draw("..####......", "....####....")
    found = draw("..######....")  # 4 of 6 with both
    assert len(evaluation.match(truth, found)) == 1


def test_overlapping_instances_are_found_by_two_proposals() -> None:
    truth = draw(
        "..######....",
        "....######..",
    )
    found = draw(
        "....######..",
        "..######....",
    )
    assert evaluation.match(truth, found).tolist() == [[0, 1], [1, 0]]


def test_a_proposal_that_fits_two_instances_leaves_the_other_proposal_its_only_partner() -> None:
    truth = draw(
        "..######....",
        "....######..",
    )
    found = draw(
        "...######...",  # 5 of 7 with both: greedy takes the first for it
        ".######.....",  # 5 of 7 with the first, 3 of 9 with the second: greedy leaves it alone
    )
    assert evaluation.match(truth, found).tolist() == [[0, 1], [1, 0]]
    assert greedy(truth, found) == 1


def test_two_pairs_come_before_one_of_higher_iou() -> None:
    truth = draw(
        "....######....",
        "######........",
    )
    found = draw(
        "....######....",  # 6 of 6 with the first, 2 of 10 with the second
        "........######",  # 2 of 10 with the first, apart from the second
    )
    assert evaluation.match(truth, found, 0.2).tolist() == [[0, 1], [1, 0]]
    assert evaluation.match(truth, found, 0.21).tolist() == [[0, 0]]


@pytest.mark.parametrize(("truth", "found"), [("....", "...."), ("####", "...."), ("....", "####")])
def test_nothing_on_one_side_matches_nothing(truth: str, found: str) -> None:
    assert evaluation.match(draw(truth), draw(found)).shape == (0, 2)


@pytest.mark.parametrize("iou", [0.0, -0.5, 1.1])
def test_a_threshold_out_of_range_is_refused(iou: float) -> None:
    with pytest.raises(InputError, match="IoU threshold"):
        evaluation.match(draw("##"), draw("##"), iou)


# Many videos: counts ------------------------------------------------------------------------------------------------


def test_counts_of_a_drawn_run() -> None:
    # a1 macro truth  ..########......   found  ..########..####   1 hit, 1 false
    # a1 micro truth  ............####   found  ................   1 missed
    # b1 macro truth  ................   found  ..########......   1 false: no instance in the video
    # c1               nothing at all
    truth = table([("a1", "macro", 2, 9), ("a1", "micro", 12, 15)])
    found = table([("a1", "macro", 2, 9), ("a1", "macro", 12, 15), ("b1", "macro", 2, 9)])
    counts = evaluation.count(videos("a1", "b1", "c1"), truth, found)
    assert list(counts.columns) == ["subject", "video_id", "class", "tp", "fp", "fn"]
    assert counts.to_numpy().tolist() == [
        ["a", "a1", "macro", 1, 1, 0],
        ["a", "a1", "micro", 0, 0, 1],
        ["b", "b1", "macro", 0, 1, 0],
        ["b", "b1", "micro", 0, 0, 0],
        ["c", "c1", "macro", 0, 0, 0],
        ["c", "c1", "micro", 0, 0, 0],
    ]
    summary = evaluation.summarise(counts)
    assert summary["macro"] == {"tp": 1, "fp": 2, "fn": 0, "precision": 1 / 3, "recall": 1.0, "f1": 0.5}
    assert summary["micro"] == {"tp": 0, "fp": 0, "fn": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert summary["overall"] == {"tp": 1, "fp": 2, "fn": 1, "precision": 1 / 3, "recall": 0.5, "f1": 0.4}


def test_the_right_place_in_the_wrong_class_is_a_miss_and_a_false_proposal() -> None:
    counts = evaluation.count(videos("a1"), table([("a1", "macro", 2, 9)]), table([("a1", "micro", 2, 9)]))
    assert counts[["tp", "fp", "fn"]].to_numpy().tolist() == [[0, 0, 1], [0, 1, 0]]


def test_the_right_place_in_the_wrong_video_is_a_miss_and_a_false_proposal() -> None:
    counts = evaluation.count(videos("a1", "a2"), table([("a1", "macro", 2, 9)]), table([("a2", "macro", 2, 9)]))
    assert evaluation.summarise(counts)["overall"]["fp"] == evaluation.summarise(counts)["overall"]["fn"] == 1


def test_instances_of_a_refused_video_are_missed() -> None:
    refused = videos("a1", "a2").assign(refused=["", "no face was found"])
    truth = table([("a1", "macro", 2, 9), ("a2", "macro", 2, 9)])
    counts = evaluation.count(refused, truth, table([("a1", "macro", 2, 9)]))
    assert evaluation.summarise(counts)["macro"]["fn"] == 1


@pytest.mark.parametrize("names", [(), ("a1",)])
def test_nothing_to_find_and_nothing_found_is_zero(names: tuple[str, ...]) -> None:
    counts = evaluation.count(videos(*names), table([]), table([]))
    assert len(counts) == 2 * len(names)
    zero = {"tp": 0, "fp": 0, "fn": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert evaluation.summarise(counts) == {"macro": zero, "micro": zero, "overall": zero}


def test_outcomes_name_the_partner_within_the_video() -> None:
    # b1 macro truth  ..####..######..
    #          found  ..####..........   row 0 of b1
    #                 ........###.....   row 1 of b1, 3 of 6
    #                 ##..............   row 2 of b1, false
    truth = table([("b1", "macro", 8, 13), ("b1", "macro", 2, 5)]).assign(instance=[7, 4])
    found = table(
        [("a1", "micro", 0, 5), ("b1", "macro", 2, 5), ("b1", "macro", 8, 10), ("b1", "macro", 0, 1)],
    )
    outcomes = evaluation.outcomes(videos("a1", "b1"), truth, found)
    assert list(outcomes.columns) == list(evaluation.MATCH_COLUMNS)
    assert outcomes.to_numpy().tolist() == [
        ["b", "b1", "macro", 7, 1, 0.5],
        ["b", "b1", "macro", 4, 0, 1.0],
        ["a", "a1", "micro", -1, 0, 0.0],
        ["b", "b1", "macro", -1, 2, 0.0],
    ]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (table([("z9", "macro", 0, 5)]), "proposals: video z9"),
        (table([("a1", "happy", 0, 5)]), "proposals: class 'happy'"),
        (table([("a1", "macro", 6, 5)]), "onset 6 after offset 5"),
        (table([("a1", "macro", 0, 5)]).astype({"onset": float}), "onset is of type float64"),
    ],
)
def test_a_bad_proposal_is_named(found: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluation.count(videos("a1"), table([]), found)


def test_other_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="expressions: video z9"):
        evaluation.count(videos("a1"), table([("z9", "macro", 0, 5)]), table([]))
    with pytest.raises(InputError, match="a1 stands there twice"):
        evaluation.count(videos("a1", "a1"), table([]), table([]))
    with pytest.raises(InputError, match="protocol 'lenient'"):
        evaluation.count(videos("a1"), table([]), table([]), protocol="lenient")
    with pytest.raises(InputError, match="IoU threshold"):
        evaluation.count(videos("a1"), table([]), table([]), iou=0)


def test_input_tables_stay_untouched() -> None:
    names, truth, found = videos("a1"), table([("a1", "macro", 0, 9)]), table([("a1", "macro", 0, 8)])
    before = [frame.copy(deep=True) for frame in (names, truth, found)]
    evaluation.count(names, truth, found)
    for old, new in zip(before, (names, truth, found), strict=True):
        pd.testing.assert_frame_equal(old, new)


# A second implementation --------------------------------------------------------------------------------------------


def fraction(first: np.ndarray, second: np.ndarray) -> Fraction:
    """IoU by counting frames in sets."""
    a, b = set(range(first[0], first[1] + 1)), set(range(second[0], second[1] + 1))
    return Fraction(len(a & b), len(a | b))


def brute_force(truth: np.ndarray, found: np.ndarray, limit: Fraction) -> tuple[int, Fraction]:
    """Number of pairs and total IoU of the best of all one-to-one assignments."""
    if len(truth) > len(found):
        truth, found = found, truth
    overlaps = [[fraction(instance, proposal) for proposal in found] for instance in truth]
    best = (0, Fraction(0))
    for chosen in itertools.permutations(range(len(found)), len(truth)):
        good = [overlaps[row][column] for row, column in enumerate(chosen) if overlaps[row][column] >= limit]
        best = max(best, (len(good), sum(good, Fraction(0))))
    return best


def greedy(truth: np.ndarray, found: np.ndarray) -> int:
    """Hits where each proposal in turn takes the best free instance."""
    free = list(range(len(truth)))
    for proposal in found:
        fits = [row for row in free if fraction(truth[row], proposal) >= Fraction(1, 2)]
        if fits:
            free.remove(max(fits, key=lambda row: fraction(truth[row], proposal)))
    return len(truth) - len(free)


def small_case(rng: np.random.Generator, most: int) -> intervals.Intervals:
    onset = rng.integers(0, 8, rng.integers(0, most + 1))
    return np.stack([onset, onset + rng.integers(0, 9, len(onset))], axis=1)


def test_brute_force_agrees_on_random_small_cases() -> None:
    rng = np.random.default_rng(0)
    several = 0
    for _ in range(2000):
        truth, found = small_case(rng, 4), small_case(rng, 4)
        limit = Fraction(int(rng.integers(1, 11)), 10)
        pairs = evaluation.match(truth, found, float(limit))
        total = sum((fraction(truth[row], found[column]) for row, column in pairs), Fraction(0))
        assert (len(pairs), total) == brute_force(truth, found, limit)
        assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
        several += len(pairs) > 1
    assert several > 200  # cases in which there is something to choose


# Properties ---------------------------------------------------------------------------------------------------------

NAMES = ("a1", "a2", "b1")
ROW = st.tuples(
    st.sampled_from(NAMES), st.sampled_from(["macro", "micro"]), st.integers(0, 30), st.integers(1, 15)
).map(lambda row: (row[0], row[1], row[2], row[2] + row[3] - 1))
ROWS = st.lists(ROW, max_size=12)


def scores(
    truth: list[tuple[str, str, int, int]], found: list[tuple[str, str, int, int]]
) -> dict[str, dict[str, float]]:
    return evaluation.summarise(evaluation.count(videos(*NAMES), table(truth), table(found)))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_perfect_proposals_score_one(truth: list[tuple[str, str, int, int]]) -> None:
    result = scores(truth, truth)["overall"]
    assert (result["tp"], result["fp"], result["fn"]) == (len(truth), 0, 0)
    assert result["f1"] == (1.0 if truth else 0.0)


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(truth: list, found: list, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    shuffled_truth, shuffled_found = random.sample(truth, len(truth)), random.sample(found, len(found))
    assert scores(truth, found) == scores(shuffled_truth, shuffled_found)


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.sampled_from(NAMES), st.sampled_from(["macro", "micro"]))
def test_a_false_proposal_never_raises_f1(truth: list, found: list, video: str, label: str) -> None:  # type: ignore[type-arg]
    before, after = scores(truth, found), scores(truth, [*found, (video, label, 100, 110)])  # no instance is there
    for name in ("macro", "micro", "overall"):
        assert after[name]["f1"] <= before[name]["f1"]
    assert after["overall"]["fp"] == before["overall"]["fp"] + 1


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_counts_add_up(truth: list, found: list) -> None:  # type: ignore[type-arg]
    result = scores(truth, found)
    assert result["overall"]["tp"] + result["overall"]["fn"] == len(truth)
    assert result["overall"]["tp"] + result["overall"]["fp"] == len(found)
    for key in ("tp", "fp", "fn"):
        assert result["overall"][key] == result["macro"][key] + result["micro"][key]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000))
def test_optimal_matching_finds_at_least_what_greedy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = small_case(rng, 8), small_case(rng, 8)
    assert len(evaluation.match(truth, found)) >= greedy(truth, found)


def test_a_thousand_videos_and_a_hundred_thousand_proposals_in_seconds() -> None:
    rng = np.random.default_rng(0)
    names = [f"a{number}" for number in range(1000)]

    def rows(count: int) -> pd.DataFrame:
        onset = rng.integers(0, 9000, count)
        columns = {"video_id": rng.choice(names, count), "class": rng.choice(["macro", "micro"], count), "onset": onset}
        return pd.DataFrame({**columns, "offset": onset + rng.integers(5, 60, count), "instance": np.arange(count)})

    start = time.perf_counter()
    overall = evaluation.summarise(evaluation.count(videos(*names), rows(20_000), rows(100_000)))["overall"]
    assert time.perf_counter() - start < 10  # .4 s on one core
    assert overall["tp"] + overall["fp"] == 100_000
    assert overall["tp"] + overall["fn"] == 20_000
    assert overall["tp"] > 1000


# A run ---------------------------------------------------------------------------------------------------------------


def write_run(folder: Path, files: dict[str, pd.DataFrame]) -> dict[str, Path]:
    origin = provenance.record("test", {})
    paths = {name: folder / f"{name}.parquet" for name in files}
    for name, frame in files.items():
        kind = name if name in ("videos", "expressions") else "proposals"
        store.write_table(paths[name], kind, frame, origin)
    return paths


def evaluate(folder: Path, paths: dict[str, Path], proposals: dict[str, dict[int, list[Path]]]) -> dict[str, object]:
    names = ("metrics.parquet", "counts.parquet", "matches.parquet", "summary.json")
    return evaluation.evaluate_run(
        paths["videos"], paths["expressions"], proposals, *(folder / name for name in names), run="demo"
    )


def test_a_run_pools_folds_and_seeds_and_counts_a_seedless_experiment_once(tmp_path: Path) -> None:
    paths = write_run(
        tmp_path,
        {
            "videos": videos("a1", "b1"),
            "expressions": table([("a1", "macro", 0, 19), ("b1", "micro", 5, 14)]),
            "a_hit": table([("a1", "macro", 0, 19)]),
            "b_hit": table([("b1", "micro", 5, 14)]),
            "b_none": table([]),
            "flow": table([("a1", "macro", 50, 60), ("b1", "micro", 5, 14)]),
        },
    )
    learned = {0: [paths["a_hit"], paths["b_hit"]], 1: [paths["a_hit"], paths["b_none"]]}
    summary = evaluate(tmp_path, paths, {"gim": learned, "flow": {NO_SEED: [paths["flow"]]}})
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert {key: summary[key] for key in ("run", "protocol", "seeds")} == {
        "run": "demo",
        "protocol": "strict",
        "seeds": [0, 1],
    }
    assert summary["experiments"]["gim"]["overall"] == {  # type: ignore[index]
        "tp": 3, "fp": 0, "fn": 1, "precision": 1.0, "recall": 0.75, "f1": 6 / 7,
    }  # fmt: skip
    assert summary["experiments"]["flow"]["overall"]["tp"] == 1  # type: ignore[index]

    metrics = store.read_table(tmp_path / "metrics.parquet", "metrics")
    assert list(metrics.columns) == ["experiment", "seed", "class", "tp", "fp", "fn", "precision", "recall", "f1"]
    overall = metrics[metrics["class"] == "overall"].set_index(["experiment", "seed"])["f1"]
    assert overall.to_dict() == {("gim", 0): 1.0, ("gim", 1): 2 / 3, ("flow", NO_SEED): 0.5}

    counts = store.read_table(tmp_path / "counts.parquet", "counts")
    assert list(counts.columns) == ["experiment", "seed", "subject", "video_id", "class", "tp", "fp", "fn"]
    assert len(counts) == 3 * 2 * 2
    matches = store.read_table(tmp_path / "matches.parquet", "matches")
    assert list(matches.columns) == ["experiment", "seed", *evaluation.MATCH_COLUMNS]
    missed = matches[(matches["seed"] == 1) & (matches["proposal"] < 0)]
    assert missed[["video_id", "class"]].to_numpy().tolist() == [["b1", "micro"]]


def test_a_run_in_which_nothing_is_found(tmp_path: Path) -> None:
    paths = write_run(
        tmp_path, {"videos": videos("a1"), "expressions": table([("a1", "macro", 0, 9)]), "none": table([])}
    )
    summary = evaluate(tmp_path, paths, {"gim": {0: [paths["none"]]}})
    assert summary["experiments"]["gim"]["macro"]["fn"] == 1  # type: ignore[index]


def test_a_video_in_two_files_of_one_seed_is_refused(tmp_path: Path) -> None:
    row = table([("a1", "macro", 0, 9)])
    paths = write_run(tmp_path, {"videos": videos("a1"), "expressions": row, "first": row, "second": row})
    with pytest.raises(InputError, match=r"video a1 is in .*first\.parquet too"):
        evaluate(tmp_path, paths, {"gim": {0: [paths["first"], paths["second"]]}})
    assert not (tmp_path / "summary.json").exists()


# Real data ----------------------------------------------------------------------------------------------------------


@needs_predictions
def test_tsmsnet_on_casme2_one_to_one() -> None:
    lengths = pd.read_csv(PREDICTIONS / "video_frames.csv").query("dataset == 'casme_sq'")
    tables = [pd.read_csv(PREDICTIONS / name) for name in ("gt_megc2020.csv", "tsmsnet_casme_sq.csv")]
    truth, found = (
        frame.query("dataset == 'casme_sq'")
        .rename(columns={"video": "video_id", "cls": "class"})
        .reset_index(drop=True)
        for frame in tables
    )
    names = pd.DataFrame({"subject": lengths["video"].str[:3], "video_id": lengths["video"]})
    counts = evaluation.count(names, truth.assign(instance=truth.index), found)
    summary = evaluation.summarise(counts)
    assert round(summary["macro"]["f1"], 4) == 0.2289
    assert (summary["macro"]["tp"], summary["macro"]["fp"], summary["macro"]["fn"]) == (76, 288, 224)
    assert summary["overall"]["tp"] + summary["overall"]["fp"] == len(found) == 474
