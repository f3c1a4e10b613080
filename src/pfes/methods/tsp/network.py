"""The head of TSP-Net, its labels, loss and moving points (METHOD 10.3).

Conventions
-----------
N candidates, inclusive frames [onset, offset], without class or score. A point is a real-valued frame. Class order macro,
micro, background. Source: doi 10.1109/CVPR52733.2024.01745, its code @1afaee8.

Differences
-----------
A subsample of candidates takes its labels with it; the published code keeps the first labels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfes.methods.lac.network import LacHead
from pfes.methods.ptal.losses import mean
from pfes.methods.ptal.roi import RoiEmbedding, branch, roi_parts
from pfes.methods.ptal.stage import SecondStage

MOST = 3000  # candidates of a step
CENTRE_WEIGHT, NO_POINT = 20.0, 0.4
CENTRED = 0.8  # centre score above which a candidate moves its point

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class SaliencyHead(SecondStage):
    """Of each candidate logits of the classes and of background, an attention and how central its point is."""

    def __init__(self, width: int, dropout: float = 0.5) -> None:
        super().__init__(LacHead(width, dropout))
        self.embed = RoiEmbedding(width, dropout)
        self.classes, self.attention, self.centre = branch(width, 3), branch(width, 1), branch(width, 1)

    def judge(self, features: Tensor, intervals: Floats) -> tuple[Tensor, Tensor, Tensor]:
        """Return class logits l [N, 3], sigmoid of attention h [N] and of centre g [N] of ``features`` [T, D]."""
        z = self.embed(roi_parts(features, intervals + [0, 1]))
        return self.classes(z), self.attention(z)[:, 0].sigmoid(), self.centre(z)[:, 0].sigmoid()


def first_inside(intervals: Floats, points: Floats) -> Ints:
    """Return the number [N] of the earliest point strictly inside each interval [N, 2], -1 for none."""
    inside = (intervals[:, :1] < points) & (points < intervals[:, 1:])  # [N, I]
    order = np.argsort(points, kind="stable")
    ranked = inside[:, order]
    return np.where(inside.any(1), order[ranked.argmax(1)], -1) if len(points) else np.full(len(intervals), -1)


def labels(intervals: Floats, points: Floats, classes: Ints) -> tuple[Floats, Floats]:
    """Return y [N, 3], 1 for the classes of all points strictly inside, or for background; and the centre label [N].

    The latter is 1 - 2 |w - .5|, w the relative position of the earliest point inside, and .4 without one.
    """
    inside = (intervals[:, :1] < points) & (points < intervals[:, 1:])
    y = np.stack([inside[:, classes == 0].any(1), inside[:, classes == 1].any(1), ~inside.any(1)], 1).astype(np.float64)
    first = first_inside(intervals, points)
    if not len(points):
        return y, np.full(len(intervals), NO_POINT)
    place = (points[first] - intervals[:, 0]) / np.maximum(intervals[:, 1] - intervals[:, 0], 1)
    return y, np.where(first >= 0, 1 - 2 * np.abs(place - 0.5), NO_POINT)


def saliency_loss(judged: tuple[Tensor, Tensor, Tensor], y: Tensor, centre: Tensor) -> Tensor:
    """Return the mean over candidates of -sum y log softmax(l h) + 20 (g - centre)^2; ``judged`` as of the head."""
    logits, attention, central = judged
    crossed = -(y * (logits * attention[:, None]).log_softmax(1)).sum(1)
    return mean(crossed) + CENTRE_WEIGHT * mean((central - centre).square())


def moved_points(points: Floats, original: Floats, intervals: Floats, central: Floats, released: bool) -> Floats:
    """Return the points [I] after an update.

    Parameters
    ----------
    points, original : [I], where they are and where they were labelled.
    intervals, central : [N, 2] and g [N]. Those of g above .8 move the earliest point inside of them: to the mean of their
        centres weighted by g.
    released : the published code adds the shift from the current point to the original one, so that a point swings back at
        every second update; and a point that nothing moves returns.
    """
    strong = central > CENTRED
    first = first_inside(intervals[strong], points)
    middles, weights = intervals[strong].mean(1), central[strong]
    moved = (original if released else points).copy()
    for number in np.unique(first[first >= 0]):
        own = first == number
        target = float((middles[own] * weights[own]).sum() / weights[own].sum())
        moved[number] = original[number] + target - points[number] if released else target
    return moved


@torch.no_grad()
def central_scores(head: SaliencyHead, features: Tensor, intervals: Floats) -> Floats:
    """Return g [N] without dropout, also while training."""
    training = head.training
    head.eval()
    found = head.judge(features, intervals)[2]
    head.train(training)
    return np.asarray(found.double().cpu().numpy())
