"""Stage 2 of HR-Pro: overlap, loss, reliable and drawn intervals against loops."""

import numpy as np
import pytest
import torch

from pfes.base.intervals import iou
from pfes.methods.hrpro.stage2 import (
    MOST,
    Material,
    RefineHead,
    drawn_intervals,
    overlap,
    refine_loss,
    reliable_candidates,
)
from pfes.methods.ptal.candidates import Candidates
from pfes.methods.ptal.roi import roi_parts


def drawn(generator, count, longest=20):
    onset = generator.integers(0, 60, count)
    return np.stack([onset, onset + generator.integers(0, longest, count)], 1)


def test_the_overlap_of_real_intervals_is_that_of_their_inclusive_frames():
    generator = np.random.default_rng(0)
    one, two = drawn(generator, 30), drawn(generator, 20)
    found = overlap(torch.tensor(one + [0, 1]).double(), torch.tensor(two + [0, 1]).double())
    np.testing.assert_allclose(found, iou(one, two), atol=1e-9)
    assert overlap(torch.tensor([[5.0, 3.0]]), torch.tensor([[0.0, 9.0]])).item() == 0


def plain_iou(a, b):
    inside = max(min(a[1], b[1]) - max(a[0], b[0]), 0)
    return inside / (a[1] - a[0] + b[1] - b[0] - inside)


def smooth_l1(x, y):
    return 0.5 * (x - y) ** 2 if abs(x - y) < 1 else abs(x - y) - 0.5


@pytest.mark.parametrize("n_reliable", [0, 1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_loss(n_reliable, seed):
    generator = np.random.default_rng(seed)
    given = drawn(generator, 25).astype(np.float64) + [0, 1]
    reliable = given[:n_reliable] + generator.normal(0, 1, (n_reliable, 2)) * [0.5, 0.5]
    refined = given + generator.normal(0, 0.3, given.shape)
    quality = generator.random(25)
    best = [max((plain_iou(one, two) for two in reliable), default=0.0) for one in given]
    high = [m >= 0.3 for m in best]
    share = min(1.0, sum(high) / max(25 - sum(high), 1))
    draw = torch.rand(25, generator=torch.Generator().manual_seed(5)).tolist()
    regression = [smooth_l1(max(plain_iou(refined[i], two) for two in reliable), 1) for i in range(25) if high[i]]
    used = [smooth_l1(quality[i], best[i]) for i in range(25) if high[i] or draw[i] < share]
    expected = sum(sum(part) / len(part) for part in (regression, used) if part)
    tensors = (torch.tensor(part) for part in (quality, refined, given, reliable))
    found = refine_loss(*tensors, torch.Generator().manual_seed(5))
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_no_candidate_costs_nothing():
    none = torch.zeros(0, 2)
    assert refine_loss(torch.zeros(0), none, none, none, torch.Generator()).item() == 0


def test_the_reliable_candidate_of_each_point():
    # points           10 (macro)      30 (micro)   50 (macro)
    macro = Candidates(np.array([[5, 35], [8, 12], [6, 14], [45, 55], [0, 9]]), np.array([0.9, 0.3, 0.5, 0.2, 1.0]))
    micro = Candidates(np.array([[8, 55], [5, 31]]), np.array([0.1, 0.4]))
    found = reliable_candidates([macro, micro], np.array([10, 30, 50]), np.array([0, 1, 0]))
    assert found.tolist() == [[6, 14], [5, 31], [45, 55]]  # micro: none is alone, the best that holds it
    assert reliable_candidates([macro, micro], np.array([40]), np.array([0])).shape == (0, 2)  # none holds it
    assert reliable_candidates([macro, micro], np.array([], int), np.array([], int)).shape == (0, 2)


def test_random_points_against_a_loop():
    generator = np.random.default_rng(2)
    for _ in range(40):
        found = [Candidates(drawn(generator, 12), generator.permutation(12) / 12) for _ in range(2)]
        frames, classes = generator.integers(0, 60, 4), generator.integers(0, 2, 4)
        expected = []
        for p, c in zip(frames, classes, strict=True):
            holding = [(score, run.tolist()) for run, score in zip(*found[c], strict=True) if run[0] <= p <= run[1]]
            others = [q for q in frames if q != p]
            alone = [
                own for own in holding if not any(own[1][0] <= q <= own[1][1] and _next(q, p, frames) for q in others)
            ]
            chosen = max(alone or holding, default=None)
            expected += [chosen[1]] if chosen else []
        assert reliable_candidates(found, frames, classes).tolist() == expected


def _next(q, p, frames):
    """Whether q is the point before or after p: an interval that holds p and any other holds one of these."""
    return q == max((x for x in frames if x < p), default=-1) or q == min((x for x in frames if x > p), default=-1)


def test_half_as_many_intervals_are_drawn_inside_runs_of_background():
    runs = np.array([[0.0, 10.0], [40.0, 41.0]])
    candidates = np.tile([[20.0, 30.0]], (40, 1))
    found = drawn_intervals(Material(candidates, candidates[:0], runs), torch.Generator().manual_seed(0))
    own = found[(found != [20, 30]).any(1)]
    assert len(found) == 60
    assert len(own) == 20
    inside = (runs[:, 0] <= own[:, :1]) & (own[:, 1:] <= runs[:, 1])
    assert inside.any(1).all()
    assert inside.any(0).all()
    assert (own[:, 0] <= own[:, 1]).all()


def test_what_is_drawn_is_never_more_than_the_most():
    candidates = np.tile([[20.0, 30.0]], (900, 1))
    assert len(drawn_intervals(Material(candidates, candidates[:0], candidates), torch.Generator())) == MOST
    none = np.zeros((0, 2))
    assert drawn_intervals(Material(none, none, none), torch.Generator()).shape == (0, 2)
    assert len(drawn_intervals(Material(candidates, none, none), torch.Generator())) == 900


def test_ends_move_by_shares_of_the_width_that_the_flanks_tell():
    torch.manual_seed(0)
    head, features = RefineHead(8).eval(), torch.randn(50, 8)
    intervals = np.array([[10.0, 20.0], [3.0, 8.0]])
    quality, refined = head.judge(features, intervals)
    parts = roi_parts(features, intervals)
    for n, (start, end) in enumerate(intervals):
        shift = [head.start(parts[n, 0]).item(), head.end(parts[n, 2]).item()]
        np.testing.assert_allclose(
            refined[n].detach(), [start + shift[0] * (end - start), end + shift[1] * (end - start)], rtol=1e-5
        )
    assert ((quality > 0) & (quality < 1)).all()
    assert not any(parameter.requires_grad for parameter in head.first.parameters())
    assert head.train().first.training is False
