"""Overlaps and one-to-one matching of one video and class, against drawings and a brute-force second implementation."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pfes.base import intervals
from pfes.base.errors import InputError
from pfes.evaluation.matching import find_overlaps, match, optimal
from tests.timelines import draw

# One video and class: matching --------------------------------------------------------------------------------------


def test_exact_hit_is_matched() -> None:
    truth = draw("..####..")
    found = draw("..####..")
    assert match(truth, found).tolist() == [[0, 0]]


def test_iou_of_exactly_one_half_is_a_hit() -> None:
    truth = draw("..####..")
    found = draw("..##....")  # 2 of 4
    assert match(truth, found).tolist() == [[0, 0]]


def test_iou_just_below_one_half_is_a_miss() -> None:
    truth = draw("..#####..")
    found = draw("..##.....")  # 2 of 5
    assert len(match(truth, found)) == 0


@pytest.mark.parametrize("tenths", range(1, 11))
def test_every_tenth_counts_exactly_although_floats_round(tenths: int) -> None:
    truth, found = np.array([[0, 9]]), np.array([[0, tenths - 1]])  # tenths of 10
    assert len(match(truth, found, tenths / 10)) == 1
    assert len(match(truth, found, sum([0.1] * tenths))) == 1
    if tenths > 1:
        assert len(match(truth, np.array([[0, tenths - 2]]), tenths / 10)) == 0


def test_just_below_one_half_is_a_miss_also_in_long_intervals() -> None:
    truth = np.array([[0, 2_000_000]])  # 2,000,001 frames
    assert len(match(truth, np.array([[0, 999_999]]))) == 0
    assert len(match(truth, np.array([[0, 1_000_000]]))) == 1


def test_touching_intervals_are_a_miss() -> None:
    truth = draw("..####....")
    found = draw("......####")
    assert len(match(truth, found, 0.001)) == 0


def test_a_tie_gives_one_hit() -> None:
    truth = draw("..####..")
    found = draw(
        ".####...",
        "...####.",  # both 3 of 5
    )
    assert len(match(truth, found)) == 1


def test_a_second_detection_of_an_instance_is_not_a_hit() -> None:
    truth = draw("..######..")
    found = draw(
        "..#####...",  # 5 of 6
        "..######..",  # 6 of 6, the better one
    )
    assert match(truth, found).tolist() == [[0, 1]]


def test_one_proposal_finds_only_one_of_two_instances() -> None:
    truth = draw("..####......", "....####....")
    found = draw("..######....")  # 4 of 6 with both
    assert len(match(truth, found)) == 1


def test_overlapping_instances_are_found_by_two_proposals() -> None:
    truth = draw(
        "..######....",
        "....######..",
    )
    found = draw(
        "....######..",
        "..######....",
    )
    assert match(truth, found).tolist() == [[0, 1], [1, 0]]


def test_a_proposal_that_fits_two_instances_leaves_the_other_proposal_its_only_partner() -> None:
    truth = draw(
        "..######....",
        "....######..",
    )
    found = draw(
        "...######...",  # 5 of 7 with both: greedy takes the first for it
        ".######.....",  # 5 of 7 with the first, 3 of 9 with the second: greedy leaves it alone
    )
    assert match(truth, found).tolist() == [[0, 1], [1, 0]]
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
    assert match(truth, found, 0.2).tolist() == [[0, 1], [1, 0]]
    assert match(truth, found, 0.21).tolist() == [[0, 0]]


@pytest.mark.parametrize(("truth", "found"), [("....", "...."), ("####", "...."), ("....", "####")])
def test_nothing_on_one_side_matches_nothing(truth: str, found: str) -> None:
    assert match(draw(truth), draw(found)).shape == (0, 2)


@pytest.mark.parametrize("iou", [0.0, -0.5, 1.1])
def test_a_threshold_out_of_range_is_refused(iou: float) -> None:
    with pytest.raises(InputError, match="IoU threshold"):
        match(draw("##"), draw("##"), iou)


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
        pairs = match(truth, found, float(limit))
        total = sum((fraction(truth[row], found[column]) for row, column in pairs), Fraction(0))
        assert (len(pairs), total) == brute_force(truth, found, limit)
        assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
        several += len(pairs) > 1
    assert several > 200  # cases in which there is something to choose


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000))
def test_optimal_matching_finds_at_least_what_greedy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = small_case(rng, 8), small_case(rng, 8)
    assert len(match(truth, found)) >= greedy(truth, found)


# Many groups at once ------------------------------------------------------------------------------------------------


def test_groups_never_meet() -> None:
    truth = draw("..####..")
    found = np.concatenate([draw("..####.."), draw("..####..")])
    overlaps = find_overlaps(truth, np.array([3]), found, np.array([2, 3]), 0.5)
    assert overlaps.pairs().tolist() == [[0, 1]]


def test_half_open_intervals_are_one_frame_shorter() -> None:
    truth, group = draw("..#####.."), np.zeros(1, np.int64)
    found = draw("..###....")  # 3 of 5 inclusive, 2 of 4 half-open
    assert find_overlaps(truth, group, found, group, 0.6).iou.tolist() == [0.6]
    assert find_overlaps(truth, group, found, group, 0.5, extra=0).iou.tolist() == [0.5]
    assert len(find_overlaps(truth, group, found, group, 0.6, extra=0).iou) == 0


def test_an_interval_that_is_empty_half_open_overlaps_nothing() -> None:
    frame, group = draw("..#.."), np.zeros(1, np.int64)
    assert len(find_overlaps(frame, group, frame, group, 0.5).iou) == 1
    assert len(find_overlaps(frame, group, frame, group, 0.5, extra=0).iou) == 0


@pytest.mark.parametrize("extra", [0, 1])
def test_overlaps_are_those_of_a_loop_over_all_pairs(extra: int) -> None:
    rng = np.random.default_rng(1)
    sides = []
    for count in (300, 500):
        onset = rng.integers(-20, 200, count)
        sides += [np.stack([onset, onset + rng.integers(0, 40, count)], axis=1), rng.integers(0, 7, count)]
    truth, truth_group, found, found_group = sides
    expected = []
    for row, (one, group) in enumerate(zip(truth, truth_group, strict=True)):
        for column, (two, other) in enumerate(zip(found, found_group, strict=True)):
            shared = max(0, min(one[1], two[1]) - max(one[0], two[0]) + extra)
            union = one[1] - one[0] + two[1] - two[0] + 2 * extra - shared
            if group == other and shared and Fraction(int(shared), int(union)) >= Fraction(3, 10):
                expected.append([row, column])
    overlaps = find_overlaps(truth, truth_group, found, found_group, 0.3, extra=extra)
    assert overlaps.pairs().tolist() == expected
    assert len(expected) > 300


def test_one_crowded_group_is_matched_as_well_as_a_dense_assignment() -> None:
    rng = np.random.default_rng(2)
    onset = rng.integers(0, 60, 200)
    found = np.stack([onset, onset + rng.integers(10, 25, 200)], axis=1)
    truth, groups = found[:12], (np.zeros(12, np.int64), np.zeros(200, np.int64))
    overlaps = find_overlaps(truth, groups[0], found, groups[1], 0.3)
    dense = np.where(intervals.iou(truth, found) >= 0.3, 13 + intervals.iou(truth, found), 0)
    best = dense[linear_sum_assignment(dense, maximize=True)]
    chosen = optimal(overlaps)
    assert len(chosen.iou) == (best > 0).sum() == 12
    assert chosen.iou.sum() == pytest.approx(best.sum() - 13 * 12)
