"""Candidates: intervals of one class in the fused scores of a video, as LAC and HR-Pro take them (METHOD 10.1, 10.5).

Conventions
-----------
T frames; ``intensity`` [T] is 1 - s_b, ``p`` [T] the fused score s_c (1 - s_b) of one class, both in [0, 1]. Intervals are
inclusive [onset, offset], int64.

Differences
-----------
Scores are not interpolated (24 or 2 times in the codes): a frame is a snippet here. Copies of an interval count once, with
their best score; runs below MIN_FRAMES and all but the best MOST of a class are left out.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pfes.base.intervals import Intervals, lengths, nms, runs
from pfes.base.records import CLASSES
from pfes.decoding.proposals import SpotParameters, apex_frames, moving_average, proposal_table, select
from pfes.methods.base import Curves
from pfes.methods.ptal.losses import oic

Floats = NDArray[np.float64]
SCORE_THRESHOLDS = tuple(0.025 * step for step in range(10))  # of p
BACKGROUND_THRESHOLDS = tuple(0.5 + 0.025 * step for step in range(9))  # of 1 - s_b
MIN_FRAMES, MOST = 5, 1000


class Candidates(NamedTuple):
    """Intervals [N, 2] of one class and their scores [N]."""

    intervals: Intervals
    scores: Floats


def find_candidates(intensity: NDArray[np.floating], p: NDArray[np.floating]) -> Candidates:
    """Return the candidates of one class, best score first.

    Runs of p above 0 where p below a threshold is set to 0, scored on that very curve; and runs of 1 - s_b at or above a
    threshold, scored on p. The score is the outer-inner contrast.
    """
    found = []
    for threshold in SCORE_THRESHOLDS:
        curve = np.where(p >= threshold, p, 0.0)
        found.append((runs(curve > 0), curve))
    found += [(runs(intensity >= threshold), p) for threshold in BACKGROUND_THRESHOLDS]
    intervals = np.concatenate([own for own, _ in found])
    scores = np.concatenate([contrast(curve, own) for own, curve in found])
    long = lengths(intervals) >= MIN_FRAMES
    intervals, copies = np.unique(intervals[long], axis=0, return_inverse=True)
    best = np.full(len(intervals), -np.inf)
    np.maximum.at(best, copies.reshape(-1), scores[long])
    order = np.argsort(-best, kind="stable")[:MOST]
    return Candidates(intervals[order], best[order])


def contrast(curve: NDArray[np.floating], intervals: Intervals) -> Floats:
    """Return the outer-inner contrast [N], see ``losses.oic``."""
    return np.asarray(oic(torch.as_tensor(curve, dtype=torch.float64), torch.as_tensor(intervals)).numpy(), np.float64)


def class_candidates(curves: Curves, smooth_frames: int = 1) -> list[Candidates]:
    """Return the candidates of macro and of micro; a frame without a face has the scores 0."""
    intensity, p = masked(curves, smooth_frames)
    return [find_candidates(intensity, p[:, kind]) for kind in range(len(CLASSES))]


def masked(curves: Curves, smooth_frames: int = 1) -> tuple[Floats, Floats]:
    """Return 1 - s_b [T] and p [T, 2], moving averages over valid frames, 0 on the others."""
    valid = np.asarray(curves["valid"], bool)
    intensity = np.asarray(curves["intensity"], np.float64)
    p = intensity[:, None] * np.asarray(curves["class_scores"], np.float64)
    smooth = [np.where(valid, moving_average(own, smooth_frames, valid), 0.0) for own in (intensity, *p.T)]
    return smooth[0], np.stack(smooth[1:], 1)


def proposals(
    found: list[Candidates], curves: Curves, params: SpotParameters, fps: float, first_nms: float | None = None
) -> pd.DataFrame:
    """Return the proposals that pass soft-NMS, limits and NMS of ``params`` (METHOD 8), columns FRAME_COLUMNS.

    Parameters
    ----------
    found : candidates of macro and of micro.
    first_nms : IoU at or above which a candidate falls to a better one before; None is none.
    """
    intensity, p = masked(curves, params.smooth_frames)
    tables = []
    for kind, (name, own) in enumerate(zip(CLASSES, found, strict=True)):
        intervals, scores = own
        if first_nms is not None:
            kept = nms(intervals, scores, np.nextafter(first_nms, 0))
            intervals, scores = intervals[kept], scores[kept]
        order = np.lexsort((intervals[:, 1], intervals[:, 0]))
        intervals, scores = intervals[order], scores[order]
        kept, rescaled = select(intervals, scores, getattr(params, name), params, fps)
        apexes = apex_frames(p[:, kind], intervals[kept])
        tables.append(proposal_table(name, intensity, intervals[kept], apexes, rescaled))
    return pd.concat(tables, ignore_index=True)
