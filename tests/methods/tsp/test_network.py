"""TSP-Net: labels, loss, moving points and boundary adaptation against loops."""

import math

import numpy as np
import pytest
import torch

from pfes.methods.tsp.adaptation import adapted, classes_present
from pfes.methods.tsp.network import first_inside, labels, moved_points, saliency_loss


def drawn(seed, count=30):
    generator = np.random.default_rng(seed)
    onset = generator.integers(0, 60, count)
    return np.stack([onset, onset + generator.integers(4, 30, count)], 1).astype(np.float64), generator


@pytest.mark.parametrize(
    "points", [[], [(20.0, 0)], [(0.0, 0), (59.0, 1)], [(30.0, 1), (30.0, 0), (12.5, 0), (44.0, 1)]]
)
def test_labels_are_the_points_strictly_inside(points):
    intervals, _ = drawn(0)
    frames, classes = np.array([p for p, _ in points], float), np.array([c for _, c in points], int)
    y, centre = labels(intervals, frames, classes)
    for n, (s, e) in enumerate(intervals):
        inside = sorted((p, i) for i, (p, _) in enumerate(points) if s < p < e)
        assert y[n].tolist() == [float(any(points[i][1] == c for _, i in inside)) for c in (0, 1)] + [float(not inside)]
        assert centre[n] == pytest.approx(1 - 2 * abs((inside[0][0] - s) / (e - s) - 0.5) if inside else 0.4)
        assert first_inside(intervals, frames)[n] == (inside[0][1] if inside else -1)


def test_the_loss():
    generator = torch.Generator().manual_seed(0)
    logits, h, g, centre = torch.randn(9, 3, generator=generator), *torch.rand(3, 9, generator=generator)
    y = (torch.rand(9, 3, generator=generator) > 0.5).float()
    expected = 0.0
    for n in range(9):
        own = [float(logits[n, c] * h[n]) for c in range(3)]
        total = math.log(sum(map(math.exp, own)))
        expected += sum(float(y[n, c]) * (total - own[c]) for c in range(3)) + 20 * float(g[n] - centre[n]) ** 2
    assert saliency_loss((logits, h, g), y, centre).item() == pytest.approx(expected / 9, rel=1e-5)
    none = torch.zeros(0)
    assert saliency_loss((torch.zeros(0, 3), none, none), torch.zeros(0, 3), none).item() == 0


def test_a_point_with_one_candidate_moves_to_its_centre():
    intervals, central = np.array([[10.0, 20.0], [40.0, 50.0]]), np.array([0.9, 0.9])
    moved = moved_points(np.array([12.0, 30.0]), np.array([12.0, 30.0]), intervals, central, False)
    assert moved.tolist() == [15.0, 30.0]


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_points_move_to_the_weighted_centres(released, seed):
    intervals, generator = drawn(seed)
    central = generator.uniform(0.6, 1, 30)
    original = np.sort(generator.uniform(0, 70, 4))
    points = original + generator.normal(0, 3, 4)
    found = moved_points(points, original, intervals, central, released)
    for i in range(4):
        own = []
        for (s, e), g in zip(intervals, central, strict=True):
            inside = [j for j in range(4) if s < points[j] < e]
            if g > 0.8 and inside and min(inside, key=lambda j: points[j]) == i:
                own.append(((s + e) / 2, g))
        if own:
            target = sum(m * g for m, g in own) / sum(g for _, g in own)
            assert found[i] == pytest.approx(original[i] + target - points[i] if released else target)
        else:
            assert found[i] == (original[i] if released else points[i])


def test_released_points_swing_back():
    """From the second update on: the shift from where the point is now goes on to where it was at first."""
    intervals, central, original = np.array([[10.0, 20.0]]), np.array([0.9]), np.array([12.0])
    places, point = [], original
    for _ in range(3):
        point = moved_points(point, original, intervals, central, True)
        places.append(point[0])
    assert places == [15.0, 12.0, 15.0]


@pytest.mark.parametrize("seed", range(6))
def test_boundary_adaptation(seed):
    intervals, generator = drawn(seed)
    intervals, scores = intervals.astype(np.int64), generator.random(30)
    found = adapted(intervals, scores, 0.4)
    expected, locked = intervals.astype(float), [False] * 30

    def overlap(a, b):
        inside = max(min(a[1], b[1]) - max(a[0], b[0]) + 1, 0)
        return inside / (a[1] - a[0] + b[1] - b[0] + 2 - inside)

    for one in sorted(range(30), key=lambda n: -scores[n]):
        if not locked[one]:
            near = [n for n in range(30) if overlap(intervals[one], intervals[n]) > 0.4]
            weights = [scores[n] * overlap(intervals[one], intervals[n]) for n in near]
            expected[one] = np.rint(sum(w * intervals[n] for w, n in zip(weights, near, strict=True)) / sum(weights))
            for n in near:
                locked[n] = True
    assert found.tolist() == expected.astype(int).tolist()
    assert adapted(intervals[:0], scores[:0], 0.4).shape == (0, 2)


def test_classes_of_a_video():
    probabilities, attention = np.array([[0.3, 0.05], [0.1, 0.2]]), np.array([1.0, 0.5])
    assert classes_present(probabilities, attention, 0.1).tolist() == [True, True]  # .233, .1
    assert classes_present(probabilities, attention, 0.2).tolist() == [True, False]
    assert classes_present(probabilities, attention, 0.5).tolist() == [True, False]  # none: the most probable
    assert classes_present(probabilities[:0], attention[:0], 0.1).tolist() == [False, False]
