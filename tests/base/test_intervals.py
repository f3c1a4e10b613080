"""Frame intervals: inclusive ends, overlaps, runs."""

import numpy as np
import pytest

from pfes.base import intervals


def test_length_counts_both_ends() -> None:
    assert intervals.lengths(np.array([[3, 3], [0, 9]])).tolist() == [1, 10]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # frame  0123456789
        #        aaaa
        #        bbbb         4 of 4
        ([0, 3], [0, 3], 1.0),
        #        aaaa
        #          bbbb       2 of 6
        ([0, 3], [2, 5], 2 / 6),
        #        aaaa
        #           bbbb      the shared frame 3 counts: 1 of 7
        ([0, 3], [3, 6], 1 / 7),
        #        aaaa
        #            bbbb     touching, no shared frame
        ([0, 3], [4, 7], 0.0),
        #        aaaaaaaa
        #          bb         2 of 8
        ([0, 7], [2, 3], 0.25),
        #        a
        #              b
        ([0, 0], [6, 6], 0.0),
    ],
)
def test_iou_of_drawn_intervals(first: list[int], second: list[int], expected: float) -> None:
    a, b = np.array([first]), np.array([second])
    assert intervals.iou(a, b) == pytest.approx(np.array([[expected]]))
    assert intervals.iou(b, a) == pytest.approx(np.array([[expected]]))


def test_iou_of_none_is_an_empty_table() -> None:
    none = intervals.as_intervals([], [])
    assert intervals.iou(none, np.array([[0, 1]])).shape == (0, 1)
    assert intervals.iou(np.array([[0, 1]]), none).shape == (1, 0)


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        ("", []),
        ("....", []),
        ("####", [[0, 3]]),
        ("#..##..#", [[0, 0], [3, 4], [7, 7]]),
    ],
)
def test_runs_of_drawn_masks(drawing: str, expected: list[list[int]]) -> None:
    found = intervals.runs(np.array([letter == "#" for letter in drawing], bool))
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_runs_give_back_the_mask() -> None:
    mask = np.random.default_rng(0).random(200) > 0.5
    rebuilt = np.zeros(200, bool)
    for onset, offset in intervals.runs(mask):
        rebuilt[onset : offset + 1] = True
    assert np.array_equal(rebuilt, mask)


def test_as_intervals_stacks_columns() -> None:
    assert intervals.as_intervals([1, 5], [2, 9]).tolist() == [[1, 2], [5, 9]]
    assert intervals.as_intervals([], []).shape == (0, 2)
