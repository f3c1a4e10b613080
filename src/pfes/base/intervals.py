"""Pure functions on frame intervals.

Conventions
-----------
A frame index is 0-based; an interval is inclusive, ``[onset, offset]``, int64, its length ``offset - onset + 1``.
Many intervals are one array ``[N, 2]`` of (onset, offset).
"""

import numpy as np
from numpy.typing import NDArray

Intervals = NDArray[np.int64]


def lengths(intervals: Intervals) -> NDArray[np.int64]:
    """Return the number of frames ``[N]`` of each interval ``[N, 2]``."""
    return intervals[:, 1] - intervals[:, 0] + 1


def iou(first: Intervals, second: Intervals, *, half_open: bool = False) -> NDArray[np.float64]:
    """Return the intersection over union ``[N, M]`` in [0, 1] of two sets of intervals ``[N, 2]`` and ``[M, 2]``.

    ``half_open`` reads them as [onset, offset), without their last frame; two empty ones have 0.
    """
    extra = 0 if half_open else 1
    onset = np.maximum(first[:, None, 0], second[None, :, 0])
    offset = np.minimum(first[:, None, 1], second[None, :, 1])
    intersection = np.maximum(offset - onset + extra, 0)
    length = (first[:, 1] - first[:, 0] + extra)[:, None] + (second[:, 1] - second[:, 0] + extra)[None, :]
    return intersection / np.maximum(length - intersection, 1)


def runs(mask: NDArray[np.bool_]) -> Intervals:
    """Return the maximal runs of True in ``mask`` [T] as intervals [N, 2], in order."""
    edges = np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]]))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1], axis=1).astype(np.int64)


def shots(cut: NDArray[np.bool_]) -> Intervals:
    """Return the shots [N, 2] of T frames from which of them come right after a cut, ``cut`` [T].

    >>> shots(np.array([False, False, True])).tolist()
    [[0, 1], [2, 2]]
    """
    starts = np.unique(np.concatenate([[0], np.flatnonzero(cut)]))
    return np.stack([starts, np.append(starts[1:], len(cut)) - 1], axis=1).astype(np.int64)


def as_intervals(onset: object, offset: object) -> Intervals:
    """Stack onsets and offsets (sequences of N) into intervals [N, 2]; N may be 0."""
    return np.stack([np.asarray(onset, np.int64), np.asarray(offset, np.int64)], axis=-1).reshape(-1, 2)


def nms(
    intervals: Intervals, scores: NDArray[np.float64], threshold: float, *, half_open: bool = False
) -> NDArray[np.int64]:
    """Return the positions kept by hard NMS, best score first: no ``iou`` with a better one is above ``threshold``."""
    waiting = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        waiting = waiting[iou(intervals[best : best + 1], intervals[waiting], half_open=half_open)[0] <= threshold]
    return np.array(kept, np.int64)
