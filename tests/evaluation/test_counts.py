"""Counts and ratios of many videos: drawings, named mistakes and properties that hold under every protocol."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfes.base.errors import InputError
from pfes.evaluation import counts
from tests.timelines import table, videos

# Many videos: counts ------------------------------------------------------------------------------------------------


def test_counts_of_a_drawn_run() -> None:
    # a1 macro truth  ..########......   found  ..########..####   1 hit, 1 false
    # a1 micro truth  ............####   found  ................   1 missed
    # b1 macro truth  ................   found  ..########......   1 false: no instance in the video
    # c1               nothing at all
    truth = table([("a1", "macro", 2, 9), ("a1", "micro", 12, 15)])
    found = table([("a1", "macro", 2, 9), ("a1", "macro", 12, 15), ("b1", "macro", 2, 9)])
    made = counts.judge(videos("a1", "b1", "c1"), truth, found).counts
    assert list(made.columns) == ["subject", "video_id", "class", "tp", "fp", "fn"]
    assert made.to_numpy().tolist() == [
        ["a", "a1", "macro", 1, 1, 0],
        ["a", "a1", "micro", 0, 0, 1],
        ["b", "b1", "macro", 0, 1, 0],
        ["b", "b1", "micro", 0, 0, 0],
        ["c", "c1", "macro", 0, 0, 0],
        ["c", "c1", "micro", 0, 0, 0],
    ]
    summary = counts.ratios_by_class(made)
    assert summary["macro"] == {"tp": 1, "fp": 2, "fn": 0, "precision": 1 / 3, "recall": 1.0, "f1": 0.5}
    assert summary["micro"] == {"tp": 0, "fp": 0, "fn": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert summary["overall"] == {"tp": 1, "fp": 2, "fn": 1, "precision": 1 / 3, "recall": 0.5, "f1": 0.4}


def test_the_right_place_in_the_wrong_class_is_a_miss_and_a_false_proposal() -> None:
    made = counts.judge(videos("a1"), table([("a1", "macro", 2, 9)]), table([("a1", "micro", 2, 9)])).counts
    assert made[["tp", "fp", "fn"]].to_numpy().tolist() == [[0, 0, 1], [0, 1, 0]]


def test_the_right_place_in_the_wrong_video_is_a_miss_and_a_false_proposal() -> None:
    made = counts.judge(videos("a1", "a2"), table([("a1", "macro", 2, 9)]), table([("a2", "macro", 2, 9)])).counts
    assert counts.ratios_by_class(made)["overall"]["fp"] == counts.ratios_by_class(made)["overall"]["fn"] == 1


def test_instances_of_a_refused_video_are_missed() -> None:
    refused = videos("a1", "a2").assign(refused=["", "no face was found"])
    truth = table([("a1", "macro", 2, 9), ("a2", "macro", 2, 9)])
    made = counts.judge(refused, truth, table([("a1", "macro", 2, 9)])).counts
    assert counts.ratios_by_class(made)["macro"]["fn"] == 1


@pytest.mark.parametrize("names", [(), ("a1",)])
def test_nothing_to_find_and_nothing_found_is_zero(names: tuple[str, ...]) -> None:
    made = counts.judge(videos(*names), table([]), table([])).counts
    assert len(made) == 2 * len(names)
    zero = {"tp": 0, "fp": 0, "fn": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert counts.ratios_by_class(made) == {"macro": zero, "micro": zero, "overall": zero}


def test_outcomes_name_the_partner_within_the_video() -> None:
    # b1 macro truth  ..####..######..
    #          found  ..####..........   row 0 of b1
    #                 ........###.....   row 1 of b1, 3 of 6
    #                 ##..............   row 2 of b1, false
    truth = table([("b1", "macro", 8, 13), ("b1", "macro", 2, 5)]).assign(instance=[7, 4])
    found = table(
        [("a1", "micro", 0, 5), ("b1", "macro", 2, 5), ("b1", "macro", 8, 10), ("b1", "macro", 0, 1)],
    )
    outcomes = counts.judge(videos("a1", "b1"), truth, found).matches
    assert list(outcomes.columns) == list(counts.MATCH_COLUMNS)
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
        counts.judge(videos("a1"), table([]), found)


def test_other_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="expressions: video z9"):
        counts.judge(videos("a1"), table([("z9", "macro", 0, 5)]), table([]))
    with pytest.raises(InputError, match="a1 stands there twice"):
        counts.judge(videos("a1", "a1"), table([]), table([]))
    with pytest.raises(InputError, match="protocol 'lenient'"):
        counts.judge(videos("a1"), table([]), table([]), protocol="lenient")
    with pytest.raises(InputError, match="IoU threshold"):
        counts.judge(videos("a1"), table([]), table([]), iou=0)


def test_input_tables_stay_untouched() -> None:
    names, truth, found = videos("a1"), table([("a1", "macro", 0, 9)]), table([("a1", "macro", 0, 8)])
    before = [frame.copy(deep=True) for frame in (names, truth, found)]
    counts.judge(names, truth, found)
    for old, new in zip(before, (names, truth, found), strict=True):
        pd.testing.assert_frame_equal(old, new)


# Properties ---------------------------------------------------------------------------------------------------------

NAMES = ("a1", "a2", "b1")
ROW = st.tuples(
    st.sampled_from(NAMES), st.sampled_from(["macro", "micro"]), st.integers(0, 30), st.integers(1, 15)
).map(lambda row: (row[0], row[1], row[2], row[2] + row[3] - 1))
ROWS = st.lists(ROW, max_size=12)


PROTOCOLS = st.sampled_from(["strict", "gim-release", "megc2020", "megc-strs", "he-2021"])


def scores(
    truth: list[tuple[str, str, int, int]], found: list[tuple[str, str, int, int]], protocol: str = "strict"
) -> dict[str, dict[str, float]]:
    return counts.score(videos(*NAMES), table(truth), table(found), protocol)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.sampled_from(["strict", "gim-release", "megc2020"]))
def test_perfect_proposals_score_one(truth: list[tuple[str, str, int, int]], protocol: str) -> None:
    truth = [(video, name, onset, offset + 1) for video, name, onset, offset in truth]  # half-open, one frame is none
    if protocol == "gim-release":
        truth = list(dict.fromkeys(truth))
    result = scores(truth, truth, protocol)["overall"]
    assert (result["tp"], result["fp"], result["fn"]) == (len(truth), 0, 0)
    assert result["f1"] == (1.0 if truth else 0.0)


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, st.randoms(use_true_random=False), st.sampled_from(["strict", "megc2020"]))
def test_order_of_rows_does_not_matter(truth: list, found: list, random, protocol: str) -> None:  # type: ignore[no-untyped-def,type-arg]
    shuffled_truth, shuffled_found = random.sample(truth, len(truth)), random.sample(found, len(found))
    assert scores(truth, found, protocol) == scores(shuffled_truth, shuffled_found, protocol)


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, st.randoms(use_true_random=False))
def test_where_scores_differ_the_order_of_rows_does_not_matter_to_gim_release(truth: list, found: list, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    rows = table(found).assign(score=np.arange(len(found), dtype=float))
    shuffled = rows.iloc[random.sample(range(len(rows)), len(rows))]
    one, two = (counts.score(videos(*NAMES), table(truth), frame, "gim-release") for frame in (rows, shuffled))
    assert one == two


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, st.sampled_from(NAMES), st.sampled_from(["macro", "micro"]), PROTOCOLS)
def test_a_false_proposal_never_raises_f1(truth: list, found: list, video: str, label: str, protocol: str) -> None:  # type: ignore[type-arg]
    before = scores(truth, found, protocol)
    after = scores(truth, [*found, (video, label, 100, 110)], protocol)  # no instance is there
    for name in ("macro", "micro", "overall"):
        assert after[name]["f1"] <= before[name]["f1"]
        assert after[name]["tp"] == before[name]["tp"]
    labelled = any(row[0] == video for row in truth), any(row[0][0] == video[0] and row[1] == label for row in truth)
    counted = protocol != "gim-release" or all(labelled)  # labels in the video, and of the class in the subject
    assert after["overall"]["fp"] == before["overall"]["fp"] + counted


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS)
def test_counts_add_up(truth: list, found: list) -> None:  # type: ignore[type-arg]
    result = scores(truth, found)
    assert result["overall"]["tp"] + result["overall"]["fn"] == len(truth)
    assert result["overall"]["tp"] + result["overall"]["fp"] == len(found)
    for key in ("tp", "fp", "fn"):
        assert result["overall"][key] == result["macro"][key] + result["micro"][key]


def test_a_thousand_videos_and_a_hundred_thousand_proposals_add_up() -> None:
    rng = np.random.default_rng(0)
    names = [f"a{number}" for number in range(1000)]

    def rows(count: int) -> pd.DataFrame:
        onset = rng.integers(0, 9000, count)
        columns = {"video_id": rng.choice(names, count), "class": rng.choice(["macro", "micro"], count), "onset": onset}
        return pd.DataFrame({**columns, "offset": onset + rng.integers(5, 60, count), "instance": np.arange(count)})

    overall = counts.ratios_by_class(counts.judge(videos(*names), rows(20_000), rows(100_000)).counts)["overall"]
    assert overall["tp"] + overall["fp"] == 100_000
    assert overall["tp"] + overall["fn"] == 20_000
    assert overall["tp"] > 1000
