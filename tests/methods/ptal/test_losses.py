"""The shared losses against loops over frames and classes."""

import math

import numpy as np
import pytest
import torch

from pfes.methods.ptal.losses import background_loss, frame_loss, fused, oic, video_loss


def bce(p, y):
    return -(y * math.log(p) + (1 - y) * math.log(1 - p))


def focal(p, y):
    return sum(abs(a - b) ** 2 * bce(a, b) for a, b in zip(p, y, strict=True))


def drawn(seed, n=40):
    generator = torch.Generator().manual_seed(seed)
    return fused(torch.rand(n, generator=generator), torch.rand(n, 2, generator=generator)) * 0.98 + 0.01


def contrast_by_loop(curve, onset, offset):
    length = offset - onset + 1
    inside = [curve[t] for t in range(onset, offset + 1)]
    around = [*range(onset - math.ceil(length / 4), onset), *range(offset + 1, offset + 1 + length // 4)]
    outside = [curve[t] for t in around if 0 <= t < len(curve)]
    return sum(inside) / length - (sum(outside) / len(outside) if outside else 0.0)


def test_the_contrast_of_an_odd_length_has_the_longer_flank_before():
    # frame   0 1 2 3 4 5 6 7 8   interval 3..7, L = 5: two frames before, one after
    curve = torch.tensor([9.0, 1, 3, 5, 5, 5, 5, 5, 2])
    assert oic(curve, torch.tensor([[3, 7]])).item() == pytest.approx(5 - (1 + 3 + 2) / 3)


def test_the_contrast_of_all_intervals_is_that_of_a_loop():
    curve = torch.rand(13, generator=torch.Generator().manual_seed(1))
    intervals = [(a, b) for a in range(13) for b in range(a, 13)]  # also the whole video, without a flank
    found = oic(curve, torch.tensor(intervals))
    np.testing.assert_allclose(found, [contrast_by_loop(curve.tolist(), *pair) for pair in intervals], atol=1e-6)
    assert oic(curve, torch.zeros(0, 2, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize("points", [[], [(3, 0)], [(0, 0), (39, 1)], [(5, 0), (5, 1), (20, 1)]])
def test_frame_and_background_losses(points):
    p = drawn(2)
    frames, classes = (torch.tensor([item[k] for item in points], dtype=torch.int64) for k in (0, 1))
    expected = [
        focal(p[t].tolist(), [float((t, kind) in points) for kind in (0, 1)] + [0.0]) for t in {t for t, _ in points}
    ]
    assert frame_loss(p, frames, classes).item() == pytest.approx(np.mean(expected) if expected else 0, rel=1e-4)
    for background in (torch.arange(40) % 3 == 0, torch.ones(40, dtype=torch.bool), torch.zeros(40, dtype=torch.bool)):
        expected = [focal(p[t].tolist(), [0.0, 0.0, 1.0]) for t in range(40) if background[t]]
        assert background_loss(p, background).item() == pytest.approx(np.mean(expected) if expected else 0, rel=1e-4)


@pytest.mark.parametrize("frames", [5, 40])  # 5: shorter than what the largest are taken from
@pytest.mark.parametrize("classes", [[], [0], [1, 1], [0, 1, 1]])
def test_the_video_score_is_the_mean_of_the_largest(frames, classes):
    scores = drawn(3, frames)[:, :2]
    expected = []
    for kind in (0, 1):
        count = classes.count(kind) * (16, 8)[kind]
        own = sorted(scores[:, kind].tolist(), reverse=True)
        largest = own[:count] if count else own
        expected.append(bce(sum(largest) / len(largest), float(count > 0)))
    found = video_loss(scores, torch.tensor(classes, dtype=torch.int64))
    assert found.item() == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_what_is_empty_costs_nothing_and_pulls_nothing():
    p = drawn(4).requires_grad_()
    none = torch.zeros(0, dtype=torch.int64)
    (frame_loss(p, none, none) + background_loss(p, torch.zeros(40, dtype=torch.bool))).backward()
    assert p.grad is not None
    assert not p.grad.any()
