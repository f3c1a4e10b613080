"""From what TSP-Net says of the candidates of a video to intervals and scores of a class (METHOD 10.3)."""

import numpy as np
from numpy.typing import NDArray

from pfes.base.intervals import Intervals, iou

Floats = NDArray[np.float64]


def adapted(intervals: Intervals, scores: Floats, neighbour_iou: float) -> Intervals:
    """Return the intervals [N, 2] of one class after boundary adaptation.

    By falling score, each one that is not locked takes as its ends the mean of the ends that its neighbours (IoU above
    ``neighbour_iou``, itself among them) had at first, weighted by score times IoU, rounded; then all neighbours are
    locked: they keep their ends, and stay.
    """
    moved, locked = intervals.copy(), np.zeros(len(intervals), bool)
    for one in np.argsort(-scores, kind="stable"):
        if not locked[one]:
            overlap = iou(intervals[one : one + 1], intervals)[0]
            near = overlap > neighbour_iou
            weights = scores[near] * overlap[near]
            if weights.sum() > 0:
                moved[one] = np.rint(weights @ intervals[near] / weights.sum())
            locked |= near
    return moved


def classes_present(probabilities: Floats, attention: Floats, least: float) -> NDArray[np.bool_]:
    """Return which classes [2] a video has: those whose mean probability is at least ``least``, else the most probable one.

    ``probabilities`` [N, 2] and their weights ``attention`` [N] are of its candidates; a video without any has none.
    """
    if not len(attention):
        return np.zeros(2, bool)
    means = attention @ probabilities / max(float(attention.sum()), 1e-12)
    return np.asarray(means >= least if (means >= least).any() else means == means.max())
