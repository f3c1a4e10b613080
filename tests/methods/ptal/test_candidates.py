"""Candidates of one class against loops over thresholds, and what becomes of them."""

import numpy as np
import pytest

from pfes.base.intervals import iou
from pfes.decoding.proposals import ClassLimits, SpotParameters
from pfes.methods.ptal.candidates import class_candidates, find_candidates, proposals
from tests.methods.ptal.test_losses import contrast_by_loop

OPEN = ClassLimits(min_frames=1, max_frames=100000, min_score=-1, max_per_video=100000)


def stretches(inside):
    found, start = [], None
    for t, here in enumerate([*inside, False]):
        if here and start is None:
            start = t
        if not here and start is not None:
            found.append((start, t - 1))
            start = None
    return found


def by_loop(intensity, p):
    best = {}
    for step in range(10):
        curve = [value if value >= 0.025 * step else 0.0 for value in p]
        for run in stretches([value > 0 for value in curve]):
            best[run] = max(best.get(run, -9), contrast_by_loop(curve, *run))
    for step in range(9):
        for run in stretches([value >= 0.5 + 0.025 * step for value in intensity]):
            best[run] = max(best.get(run, -9), contrast_by_loop(p, *run))
    return {run: score for run, score in best.items() if run[1] - run[0] >= 4}


@pytest.mark.parametrize("seed", range(8))
def test_candidates_are_the_runs_at_all_thresholds_each_once_with_its_best_score(seed):
    generator = np.random.default_rng(seed)
    intensity = np.convolve(generator.random(64), np.ones(5) / 5, "valid")
    p = np.round(intensity * generator.random(60) ** 2 * (generator.random(60) > 0.1), 2)
    found, expected = find_candidates(intensity, p), by_loop(intensity.tolist(), p.tolist())
    assert len(expected) > 3
    assert sorted(map(tuple, found.intervals.tolist())) == sorted(expected)
    np.testing.assert_allclose(found.scores, [expected[tuple(run)] for run in found.intervals.tolist()], atol=1e-9)
    assert (np.diff(found.scores) <= 0).all()


def test_nothing_gives_nothing():
    assert len(find_candidates(np.zeros(30), np.zeros(30)).intervals) == 0
    assert len(find_candidates(np.zeros(0), np.zeros(0)).intervals) == 0


def test_proposals_of_a_class_do_not_overlap_and_avoid_frames_without_a_face():
    generator = np.random.default_rng(3)
    curves = {
        "intensity": np.convolve(generator.random(204), np.ones(5) / 5, "valid"),
        "class_scores": generator.random((200, 2)),
        "valid": np.arange(200) != 100,
    }
    params = SpotParameters(sigma=None, macro=OPEN, micro=OPEN)
    table = proposals(class_candidates(curves), curves, params, 30.0, 0.7)
    assert set(table["class"]) == {"macro", "micro"}
    assert not ((table["onset"] <= 100) & (table["offset"] >= 100)).any()
    assert table["apex"].between(table["onset"], table["offset"]).all()
    for _, own in table.groupby("class"):
        intervals = own[["onset", "offset"]].to_numpy(np.int64)
        assert (iou(intervals, intervals) - np.eye(len(own)) <= 0.5).all()
