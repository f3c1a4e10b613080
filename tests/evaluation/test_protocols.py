"""Every rule of the protocols on drawn timelines, and a second implementation of each on thousands of random videos."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.signal import find_peaks

from pfes.decoding.proposals import propose
from pfes.evaluation import counts
from pfes.evaluation.protocols import PROTOCOLS, Side
from pfes.exchange.scoring import score_lists
from pfes.methods.registry import spot_parameters
from tests.conftest import ROOT
from tests.timelines import drawn, table, videos

Row = tuple[int, int, int]  # class, onset, offset


def tally(truth: pd.DataFrame, found: pd.DataFrame, *names: str, iou: float = 0.5) -> dict[str, tuple[int, int, int]]:
    """Overall (tp, fp, fn) under every protocol."""
    known = videos(*(names or ("a1",)))
    rows = {name: counts.score(known, truth, found, name, iou)["overall"] for name in PROTOCOLS}
    return {name: (int(row["tp"]), int(row["fp"]), int(row["fn"])) for name, row in rows.items()}


# Drawn timelines ----------------------------------------------------------------------------------------------------


def test_iou_of_exactly_one_half_is_found_but_not_without_the_last_frame() -> None:
    truth = drawn("a1", macro=("..####..",))
    found = drawn("a1", macro=("..##....",))  # 2 of 4; half-open 1 of 3
    hit, miss = (1, 0, 0), (0, 1, 1)
    half_open = {"gim-release": miss, "he-2021": miss}
    assert tally(truth, found) == {"strict": hit, "megc2020": hit, "megc-strs": hit, **half_open}


def test_touching_intervals_find_nothing() -> None:
    truth = drawn("a1", macro=("..####....",))
    found = drawn("a1", macro=("......####",))
    assert set(tally(truth, found, iou=0.001).values()) == {(0, 1, 1)}


def test_a_second_detection_is_false() -> None:
    truth = drawn("a1", macro=("..######..",))
    found = drawn("a1", macro=("..######..", "..#####..."))
    assert set(tally(truth, found).values()) == {(1, 1, 0)}


def test_of_two_equally_good_proposals_one_is_false() -> None:
    truth = drawn("a1", macro=("..####..",))
    found = drawn("a1", macro=(".####...", "...####."))  # both 3 of 5; half-open 2 of 4
    assert set(tally(truth, found).values()) == {(1, 1, 0)}


def test_one_proposal_that_fits_two_instances_finds_both_under_the_challenges() -> None:
    truth = drawn("a1", macro=("..#####....", "....#####.."))
    found = drawn("a1", macro=("..#######..",))  # 5 of 7 with both
    assert tally(truth, found) == {
        "strict": (1, 0, 1),
        "gim-release": (1, 0, 1),
        "megc2020": (2, -1, 0),  # two found by one: fp is proposals - tp
        "megc-strs": (2, 0, 0),
        "he-2021": (2, 0, 0),
    }


def test_greedy_takes_the_partner_that_another_proposal_needed() -> None:
    truth = drawn("a1", macro=("..######....", "....######.."))
    found = drawn("a1", macro=("...######...", ".######....."))  # the second fits only the first instance
    found["score"] = [0.9, 0.1]
    assert tally(truth, found)["strict"] == (2, 0, 0)
    assert tally(truth, found)["gim-release"] == (1, 1, 1)


def test_gim_release_goes_by_score_not_by_order() -> None:
    truth = drawn("a1", macro=("..######....", "....######.."))
    found = drawn("a1", macro=("...######...", ".######....."))
    found["score"] = [0.1, 0.9]
    assert tally(truth, found)["gim-release"] == (2, 0, 0)


def test_gim_release_without_scores_goes_by_the_order_of_rows() -> None:
    truth = drawn("a1", macro=("..######....", "....######.."))
    found = drawn("a1", macro=("...######...", ".######....."))
    assert tally(truth, found)["gim-release"] == (1, 1, 1)
    assert tally(truth, found.iloc[::-1])["gim-release"] == (2, 0, 0)


def test_overlapping_instances_need_a_proposal_each() -> None:
    truth = drawn("a1", macro=("..######....", "....######.."))
    found = drawn("a1", macro=("....######..", "..######...."))
    hits = {name: row[0] for name, row in tally(truth, found).items()}
    assert hits == {**dict.fromkeys(PROTOCOLS, 2), "he-2021": 1}  # the first stops at a touch of 3 of 7


def test_the_wrong_class_is_a_hit_only_where_classes_are_ignored() -> None:
    truth = drawn("a1", macro=("..####..",))
    found = drawn("a1", micro=("..####..",))
    assert tally(truth, found) == {
        "strict": (0, 1, 1),
        "gim-release": (0, 0, 1),  # the subject has no micro-expression: not counted
        "megc2020": (0, 1, 1),
        "megc-strs": (1, 0, 0),
        "he-2021": (1, 0, 0),
    }


def test_a_hit_across_classes_counts_for_the_class_of_the_instance() -> None:
    truth = drawn("a1", macro=("..####..",))
    found = drawn("a1", micro=("..####..", "####...."))
    rows = counts.score(videos("a1"), truth, found, "megc-strs")
    assert (rows["macro"]["tp"], rows["macro"]["fp"], rows["macro"]["fn"]) == (1, 0, 0)
    assert (rows["micro"]["tp"], rows["micro"]["fp"], rows["micro"]["fn"]) == (0, 1, 0)


def test_false_proposals_in_a_video_without_instances_count() -> None:
    truth = drawn("a1", macro=("..####..",))
    found = drawn("a2", macro=("..####..",))
    rows = tally(truth, found, "a1", "a2")
    assert rows.pop("gim-release") == (0, 0, 1)  # a video without instances is not in its list
    assert set(rows.values()) == {(0, 1, 1)}


def test_gim_release_ignores_a_class_by_subject_and_videos_without_instances() -> None:
    # a1 has a macro-, a2 a micro-expression, a3 none; b1 is of a subject without any macro-expression
    truth = table([("a1", "macro", 2, 9), ("a2", "micro", 2, 9), ("b1", "micro", 2, 9)])
    found = table([(name, "macro", 2, 9) for name in ("a2", "a3", "b1")])
    judged = counts.judge(videos("a1", "a2", "a3", "b1"), truth, found, "gim-release")
    assert judged.counted.tolist() == [True, False, False]
    assert judged.counts[["tp", "fp", "fn"]].sum().tolist() == [0, 1, 3]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_empty_videos_and_absent_classes_are_zero(protocol: str) -> None:
    empty = {"tp": 0, "fp": 0, "fn": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0, "n_proposals": 0, "n_instances": 0}
    rows = counts.score(videos("a1"), table([]), table([]), protocol)
    assert rows == {"macro": empty, "micro": empty, "overall": empty}
    rows = counts.score(videos("a1"), table([("a1", "macro", 0, 9)]), table([]), protocol)
    assert rows["micro"] == empty
    assert (rows["macro"]["fn"], rows["macro"]["recall"]) == (1, 0.0)


def test_perfect_proposals_are_one_under_megc_strs_only_where_instances_lie_apart() -> None:
    apart = drawn("a1", macro=("..####......",), micro=("........####",))
    assert tally(apart, apart)["megc-strs"] == (2, 0, 0)
    overlapping = drawn("a1", macro=("..######....", "...######..."))  # the first proposal takes both
    assert tally(overlapping, overlapping)["megc-strs"] == (2, 1, 0)


def test_the_first_proposal_in_the_file_takes_the_instance_under_megc_strs() -> None:
    truth = drawn("a1", macro=("..######..",))
    found = drawn("a1", macro=("..#####...", "..######.."))
    matches = counts.judge(videos("a1"), truth, found, "megc-strs").matches
    assert matches.loc[matches["instance"] == 0, "proposal"].tolist() == [0]
    assert counts.judge(videos("a1"), truth, found, "megc2020").matches["proposal"].tolist()[0] == 1


def test_he_2021_stops_at_the_first_proposal_that_touches_and_lets_one_find_two() -> None:
    truth = drawn("a1", macro=("..######..",))
    bad, good = "######....", "..######.."  # half-open 3 of 7, 5 of 5
    assert tally(truth, drawn("a1", macro=(bad, good)))["he-2021"] == (0, 2, 1)
    assert tally(truth, drawn("a1", macro=(good, bad)))["he-2021"] == (1, 1, 0)
    apart = drawn("a1", macro=("##........", good))  # the first does not touch
    assert tally(truth, apart)["he-2021"] == (1, 1, 0)
    twins = drawn("a1", macro=("..######..", "..#####..."))
    assert tally(twins, drawn("a1", micro=(good,)))["he-2021"] == (2, 0, 0)


# A second implementation --------------------------------------------------------------------------------------------


def overlap(one: Row, two: Row, extra: int = 1) -> Fraction:
    shared = max(0, min(one[2], two[2]) - max(one[1], two[1]) + extra)
    union = one[2] - one[1] + two[2] - two[1] + 2 * extra - shared
    return Fraction(shared, union) if shared else Fraction(0)


def loop_strict(truth: Sequence[Row], found: Sequence[Row], limit: Fraction) -> tuple[int, int]:
    def fits(one: Row, two: Row) -> bool:
        return one[0] == two[0] and overlap(one, two) >= limit

    few, many = sorted((truth, found), key=len)
    chosen = itertools.permutations(many, len(few))
    tp = max(sum(fits(*pair) for pair in zip(few, order, strict=True)) for order in chosen)
    return tp, len(found) - tp


def loop_gim_release(truth: Sequence[Row], found: Sequence[Row], limit: Fraction) -> tuple[int, int]:
    free, tp, fp = list(truth), 0, 0
    for proposal in found:  # the rows come by falling score
        if proposal[0] not in {instance[0] for instance in truth}:
            continue
        fits = [row for row in free if row[0] == proposal[0] and overlap(row, proposal, 0) >= limit]
        if fits:
            free.remove(max(fits, key=lambda row: overlap(row, proposal, 0)))
            tp += 1
        else:
            fp += 1
    return tp, fp


def loop_megc2020(truth: Sequence[Row], found: Sequence[Row], limit: Fraction) -> tuple[int, int]:
    tp = sum(any(row[0] == two[0] and overlap(row, two) >= limit for two in found) for row in truth)
    return tp, len(found) - tp


def loop_megc_strs(truth: Sequence[Row], found: Sequence[Row], limit: Fraction) -> tuple[int, int]:
    taken: set[int] = set()
    fp = 0
    for proposal in found:
        own = {row for row, one in enumerate(truth) if overlap(one, proposal) >= limit} - taken
        fp += not own
        taken |= own
    return len(taken), fp


def loop_he_2021(truth: Sequence[Row], found: Sequence[Row], limit: Fraction) -> tuple[int, int]:
    tp, used = 0, set[int]()
    for one in truth:
        for number, two in enumerate(found):
            if overlap(one, two, 0) >= Fraction(1, 5):
                if overlap(one, two, 0) >= limit:
                    tp += 1
                    used.add(number)
                break
    return tp, len(found) - len(used)


LOOPS = {
    "strict": loop_strict, "gim-release": loop_gim_release, "megc2020": loop_megc2020, "megc-strs": loop_megc_strs,
    "he-2021": loop_he_2021,
}  # fmt: skip


def random_rows(rng: np.random.Generator) -> list[Row]:
    onset = rng.integers(0, 8, rng.integers(0, 5))
    return [(int(rng.integers(2)), int(begin), int(begin + rng.integers(0, 9))) for begin in onset]


def side(rows: list[list[Row]]) -> Side:
    flat = np.array([row for video in rows for row in video], np.int64).reshape(-1, 3)
    video = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    return Side(flat[:, 1:], video, flat[:, 0], video, -np.arange(len(flat), dtype=np.float64))


@pytest.mark.parametrize("tenths", [2, 3, 5])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_loop_over_each_video_agrees(protocol: str, tenths: int) -> None:
    rng = np.random.default_rng(tenths)
    truth, found = ([random_rows(rng) for _ in range(1000)] for _ in range(2))
    matching = PROTOCOLS[protocol](side(truth), side(found), tenths / 10)
    videos_of = side(truth).video[matching.pairs.instance]
    tp = np.bincount(videos_of, minlength=1000)
    unmatched = matching.counted.copy()
    unmatched[matching.pairs.proposal] = False
    false = np.bincount(side(found).video[unmatched], minlength=1000)
    expected = [LOOPS[protocol](*pair, Fraction(tenths, 10)) for pair in zip(truth, found, strict=True)]
    assert tp.tolist() == [row[0] for row in expected]
    if protocol != "megc2020":  # there fp is made from tp, see the drawings
        assert false.tolist() == [row[1] for row in expected]
    assert (tp > 1).sum() > 20


# Real data ----------------------------------------------------------------------------------------------------------


def test_tsmsnet_on_casme2_has_its_published_f1_under_megc2020(shared_data: Path) -> None:
    files = [shared_data / "predictions" / name for name in ("gt_megc2020.csv", "tsmsnet_casme_sq.csv")]
    found = score_lists(*files, shared_data / "predictions/video_frames.csv", protocol="megc2020")
    assert {name: round(found[name]["f1"], 4) for name in ("macro", "micro", "overall")} == {
        "macro": 0.2440, "micro": 0.2275, "overall": 0.2407,
    }  # fmt: skip
    strict = score_lists(*files)["macro"]
    assert (strict["tp"], strict["fp"], strict["fn"], round(strict["f1"], 4)) == (76, 288, 224, 0.2289)


def test_he_on_samm_lv_has_its_published_f1_under_its_own_rule_and_less_under_strict(shared_data: Path) -> None:
    files = [shared_data / "predictions" / name for name in ("gt_megc2020.csv", "he_samm_lv.csv")]
    rows = {
        name: score_lists(*files, shared_data / "predictions/video_frames.csv", protocol=name)
        for name in ("he-2021", "strict")
    }
    f1 = {name: [row[kind]["f1"] for kind in ("macro", "micro", "overall")] for name, row in rows.items()}
    assert f1["he-2021"] == pytest.approx([0.41499, 0.21622, 0.36382], abs=1e-5)  # published: .4149, .2162, .3638
    assert f1["strict"] == pytest.approx([0.3789, 0.1020, 0.3078], abs=5e-5)
    counted = rows["he-2021"]["macro"], rows["he-2021"]["micro"]
    assert [(row["tp"], row["fp"], row["fn"]) for row in counted] == [(155, 249, 188), (28, 72, 131)]


def slswin(shared_data: Path) -> tuple[dict[str, np.ndarray], pd.DataFrame, pd.DataFrame]:
    """The score curves of SL-Swin, the macro instances (0-based) and all 97 videos of CAS(ME)^2."""
    folder = shared_data / "predictions"
    with np.load(folder / "slswin_casme_sq_mae.npz", allow_pickle=False) as file:
        curves = {name: file[name].ravel().astype(np.float64) for name in file.files}
    names = pd.read_csv(folder / "video_frames.csv").query("dataset == 'casme_sq'")["video"]
    truth = pd.read_csv(folder / "gt_megc2020.csv").query("dataset == 'casme_sq' and cls == 'macro'")
    truth = truth.rename(columns={"video": "video_id", "cls": "class"}).reset_index(drop=True)
    truth[["onset", "offset"]] -= 1
    return curves, truth.assign(instance=truth.index), pd.DataFrame({"subject": names.str[:3], "video_id": names})


def own_peaks(curves: dict[str, np.ndarray], share: float, k: int = 18) -> pd.DataFrame:
    """The authors' peak picking: the place of a score is that of the first frame of its pair, not of the middle."""
    rows = []
    for name, scores in curves.items():
        smooth = np.convolve(scores, np.ones(2 * k) / (2 * k), "valid")
        height = smooth.mean() + share * (smooth.max() - smooth.mean())
        peaks = find_peaks(smooth, height=height, distance=k)[0]
        rows += [(name, "macro", int(peak), int(peak) + 2 * k) for peak in peaks] or [(name, "macro", 0, 0)]
    return table(rows)


@pytest.mark.parametrize(
    ("share", "tp", "fp", "f1"),
    [(0.60, 70, 258, 0.2236), (0.10, 146, 1585, 0.1439), (0.34, 115, 592, 0.2289), (0.75, 42, 157, 0.1690)],
)
def test_slswin_has_its_published_counts_with_its_own_peak_picking(
    shared_data: Path, share: float, tp: int, fp: int, f1: float
) -> None:
    curves, truth, known = slswin(shared_data)
    scored = known[known["video_id"].isin(list(curves))]  # its authors leave out the 9 videos without a score
    truth = truth[truth["video_id"].isin(list(curves))].reset_index(drop=True)
    row = counts.score(scored, truth, own_peaks(curves, share), "gim-release")["macro"]
    assert (row["tp"], row["fp"], row["fn"], round(row["f1"], 4)) == (tp, fp, 298 - tp, f1)


def test_slswin_gains_eight_points_where_a_score_stands_for_the_middle_of_its_pair(shared_data: Path) -> None:
    curves, truth, known = slswin(shared_data)
    peaks = own_peaks(curves, 0.6)
    f1 = {}
    for offset in (0, 9):
        moved = peaks.assign(onset=peaks["onset"] + offset, offset=peaks["offset"] + offset)
        f1[offset] = round(counts.score(known, truth, moved, "strict")["macro"]["f1"], 4)
    assert f1 == {0: 0.2261, 9: 0.3025}


def test_slswin_curves_through_our_decoding(shared_data: Path) -> None:
    curves, truth, known = slswin(shared_data)
    params = spot_parameters(yaml.safe_load((ROOT / "config/config.yaml").read_text())["spot"])
    found = []
    for name, scores in curves.items():
        curve = np.zeros(len(scores) + 18)
        curve[9:-9] = scores
        found.append(propose(curve, np.tile([1.0, 0.0], (len(curve), 1)), params).assign(video_id=name))
    proposals = pd.concat(found, ignore_index=True)
    rows = {name: counts.score(known, truth, proposals, name)["macro"] for name in ("strict", "megc2020")}
    assert {name: (row["tp"], row["fp"], row["fn"], round(row["f1"], 4)) for name, row in rows.items()} == {
        "strict": (38, 208, 262, 0.1392),
        "megc2020": (39, 207, 261, 0.1429),
    }
