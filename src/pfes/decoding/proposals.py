"""Spotting: from intensity curves and class scores to proposals.

Conventions
-----------
T sampled frames at about 30 fps. ``intensity`` [T] is the expression intensity, in [0, 1] from the network, but any
finite curve is taken. ``class_scores`` [T, 2] are two independent scores in [0, 1], columns as ``records.CLASSES``.
Intervals are inclusive ``[onset, offset]``, 0-based, int64.

Steps
-----
1. Runs of intensity above each of several thresholds ([P25]).
2. Score of a run: its mean intensity minus that of its flanks, the outer-inner contrast, OIC ([P25] eq. 15).
3. Class of a run: every class whose score at the run's apex, its frame of highest intensity, passes a threshold.
4. Per class: Gaussian soft-NMS rescales the scores, then limits on length and score, hard NMS, the best few per video
   ([J26]).

Sources
-------
[P25] Deng, Hayashi, Nagahara, "Gaussian-Based Instance-Adaptive Intensity Modeling for Point-Supervised Facial
Expression Spotting", ICLR 2025. [J26] its journal version, doi 10.1109/TBIOM.2026.3651893, and the released code.
Soft-NMS: Bodla, Singh, Chellappa, Davis, ICCV 2017, doi 10.1109/ICCV.2017.593.

Differences from the released code
----------------------------------
- A run is its frames; the release adds one frame at the end, so that its length limits count one frame more.
- A run found at several thresholds counts once; the release lets soft-NMS suppress the copies.
- A flank is .25 of the length ([P25]) and the class score does not enter the score; the release takes .2 and adds .2
  of the class score at the apex (``flank=.2, class_weight=.2``).
- A frame without a face has intensity 0, so that no proposal covers it; the release has no such notion.
- The upper length limit of a micro-expression is also bound to ``max_s`` seconds, for rates below 30 fps.
- ``length_first`` (off) applies the length limits before soft-NMS, so that no run of impossible length suppresses
  another.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pfes.base.config import REQUIRED, Sections, setting
from pfes.base.errors import InputError
from pfes.base.intervals import Intervals, iou, lengths, nms, runs
from pfes.base.records import CLASSES, FRAME_COLUMNS

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassLimits:
    """What a proposal of one class must satisfy."""

    min_frames: int = setting(REQUIRED, "least length, sampled frames")
    max_frames: int = setting(REQUIRED, "greatest length, sampled frames")
    min_score: float = setting(REQUIRED, "least score")
    max_per_video: int = setting(REQUIRED, "greatest number of proposals in a video")
    max_s: float | None = setting(None, "greatest length, s; null is no limit")

    def longest(self, fps: float) -> int:
        """Return the greatest length in frames at ``fps`` sampled frames per second."""
        return self.max_frames if self.max_s is None else min(self.max_frames, int(self.max_s * fps + 1e-6))


@dataclass(frozen=True)
class SpotParameters(Sections):
    """How curves become proposals; the numbers that depend on the dataset are the limits and the thresholds."""

    thresholds: tuple[float, ...] = setting(
        (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), "intensities above which frames form a run (ICLR 2025)"
    )
    flank: float = setting(
        0.25,
        "length of the flanks of the OIC score, share of the run: .25 in eq. 15, .2 in the release",
        minimum=0,
        maximum=2,
    )
    class_threshold: float = setting(
        0.5, "a run has each class whose score at its apex is above this (ICLR 2025: .5)", minimum=0, maximum=1
    )
    class_weight: float = setting(
        0.0, "share of the class score at the apex that is added to the score: 0 in eq. 15, .2 in the release"
    )
    both_classes: bool = setting(
        True, "keep both classes of a run when both pass (journal); false keeps the one of the higher score"
    )
    sigma: float | None = setting(0.3, "width of soft-NMS in IoU^2; null is none")
    nms_iou: float = setting(
        0.5, "IoU with a better proposal of its class above which a proposal is dropped", minimum=0, maximum=1
    )
    smooth_frames: int = setting(
        1, "moving average over the intensity, frames, odd; 1 is none (ours)", minimum=1, maximum=101
    )
    length_first: bool = setting(False, "limit the length before soft-NMS instead of after it (ours)")
    macro: ClassLimits = setting(
        ClassLimits(min_frames=15, max_frames=240, min_score=0.3, max_per_video=8), "limits of macro-expressions"
    )
    micro: ClassLimits = setting(
        ClassLimits(min_frames=9, max_frames=15, min_score=0.3, max_per_video=2, max_s=0.5),
        "limits of micro-expressions",
    )

    def __post_init__(self) -> None:
        if self.smooth_frames % 2 == 0:
            raise InputError(f"spot: smooth_frames is {self.smooth_frames}, expected an odd number; 1 is none")
        for name in CLASSES:
            limits: ClassLimits = getattr(self, name)
            if limits.min_frames > limits.max_frames:
                raise InputError(
                    f"spot: {name} min_frames {limits.min_frames} is above max_frames {limits.max_frames}; swap them"
                )


def propose(
    intensity: ArrayLike,
    class_scores: ArrayLike,
    params: SpotParameters = SpotParameters(),
    *,
    valid: ArrayLike | None = None,
    fps: float = 30.0,
) -> pd.DataFrame:
    """Turn the curves of one video into proposals.

    Parameters
    ----------
    intensity
        Expression intensity [T].
    class_scores
        Scores [T, 2] of macro and micro.
    valid
        Mask [T], False where there is no face: such a frame has intensity 0 (ours). None: all frames are valid.
    fps
        Sampled frames per second, for limits in seconds.

    Returns
    -------
    DataFrame
        Columns FRAME_COLUMNS; in the order of class and onset; frames are sampled; intensities are those of the
        curve after smoothing and masking. No frame, or no run, gives no row.

    Raises
    ------
    ValueError
        Shapes differ or a value is not finite.
    """
    curve, classes, mask = _checked(intensity, class_scores, valid)
    curve = np.where(mask, moving_average(curve, params.smooth_frames, mask), 0.0)
    candidates = threshold_runs(curve, params.thresholds)
    apexes = apex_frames(curve, candidates)
    at_apex = classes[apexes]  # (N, 2)
    passed = at_apex > params.class_threshold
    if not params.both_classes:
        passed &= at_apex == at_apex.max(axis=1, keepdims=True)
    contrast = oic(curve, candidates, params.flank)
    tables = []
    for index, (name, limits) in enumerate(zip(CLASSES, (params.macro, params.micro), strict=True)):
        chosen = np.flatnonzero(passed[:, index])
        scores = contrast[chosen] + params.class_weight * at_apex[chosen, index]
        kept, scores = select(candidates[chosen], scores, limits, params, fps)
        tables.append(_table(name, curve, candidates[chosen][kept], apexes[chosen][kept], scores))
    return pd.concat(tables, ignore_index=True)


def threshold_runs(curve: Floats, thresholds: tuple[float, ...]) -> Intervals:
    """Return the distinct maximal runs [N, 2] of ``curve`` [T] above any threshold, sorted by onset, then offset."""
    found = [runs(curve > threshold) for threshold in thresholds]
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)


def oic(curve: Floats, intervals: Intervals, flank: float) -> Floats:
    """Return the outer-inner contrast [N] of intervals [N, 2]: mean inside minus mean of both flanks ([P25] eq. 15).

    A flank is int(flank x length) frames, cut at the ends of the video; the two are averaged as one; empty flanks
    count 0.
    """
    total = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])  # total[t]: sum of the frames before t
    onset, end = intervals[:, 0], intervals[:, 1] + 1
    width = (flank * lengths(intervals) + 1e-9).astype(np.int64)
    left, right = np.maximum(onset - width, 0), np.minimum(end + width, len(curve))
    inside = total[end] - total[onset]
    outside = total[right] - total[left] - inside
    return inside / (end - onset) - outside / np.maximum(right - left - (end - onset), 1)


def apex_frames(curve: Floats, intervals: Intervals) -> NDArray[np.int64]:
    """Return the frame of highest value [N] in each interval [N, 2]; the first of equals."""
    return np.array([onset + np.argmax(curve[onset : offset + 1]) for onset, offset in intervals], np.int64)


def select(
    intervals: Intervals, scores: Floats, limits: ClassLimits, params: SpotParameters, fps: float
) -> tuple[NDArray[np.int64], Floats]:
    """Choose the proposals of one class.

    Returns
    -------
    kept
        Positions [K] in ``intervals`` [N, 2], in the order of onset.
    scores
        Scores [K] of those after soft-NMS.
    """
    length = lengths(intervals)
    fits = (length >= limits.min_frames) & (length <= limits.longest(fps))
    pool = np.flatnonzero(fits) if params.length_first else np.arange(len(intervals))
    rescaled = scores[pool] if params.sigma is None else soft_nms(intervals[pool], scores[pool], params.sigma)
    allowed = fits[pool] & (rescaled >= limits.min_score)
    pool, rescaled = pool[allowed], rescaled[allowed]
    best = nms(intervals[pool], rescaled, params.nms_iou)[: limits.max_per_video]
    best = np.sort(best)
    return pool[best], rescaled[best]


def soft_nms(intervals: Intervals, scores: Floats, sigma: float) -> Floats:
    """Return the scores [N] rescaled by Gaussian soft-NMS (Bodla et al. 2017, doi 10.1109/ICCV.2017.593, eq. 3).

    From the best score down, each interval multiplies the scores of all later ones by exp(-IoU^2 / sigma). Nothing is
    dropped and the order of the rows stays. Of equal scores the earlier row goes first. A score of 0 or less takes no
    part and stays as it is: a factor below 1 would raise it.
    """
    rescaled = np.array(scores, np.float64)
    waiting = rescaled > 0
    while waiting.any():
        best = int(np.argmax(np.where(waiting, rescaled, -np.inf)))
        waiting[best] = False
        overlap = iou(intervals[best : best + 1], intervals[waiting])[0]
        rescaled[waiting] *= np.exp(-(overlap**2) / sigma)
    return rescaled


def moving_average(curve: Floats, width: int, valid: Mask) -> Floats:
    """Average ``curve`` [T] over ``width`` (odd) frames centred on each, over those inside the video and valid only."""
    if width < 1 or width % 2 == 0:
        raise ValueError(f"a moving average needs an odd width of at least 1 frame, got {width}")
    if width == 1:
        return curve
    frames = np.arange(len(curve))
    start, end = np.maximum(frames - width // 2, 0), np.minimum(frames + width // 2 + 1, len(curve))
    total = np.concatenate([[0.0], np.cumsum(np.where(valid, curve, 0.0))])
    count = np.concatenate([[0], np.cumsum(valid)])
    return (total[end] - total[start]) / np.maximum(count[end] - count[start], 1)


def _table(name: str, curve: Floats, intervals: Intervals, apexes: NDArray[np.int64], scores: Floats) -> pd.DataFrame:
    means = [curve[onset : offset + 1].mean() for onset, offset in intervals]
    columns = ([name] * len(intervals), intervals[:, 0], apexes, intervals[:, 1], scores)
    table = pd.DataFrame(dict(zip(FRAME_COLUMNS, columns, strict=False)))
    table["class"] = table["class"].astype(object)
    return table.assign(mean_intensity=np.array(means, np.float64), peak_intensity=curve[apexes])


def _checked(intensity: ArrayLike, class_scores: ArrayLike, valid: ArrayLike | None) -> tuple[Floats, Floats, Mask]:
    curve, classes = np.asarray(intensity, np.float64), np.asarray(class_scores, np.float64)
    mask = np.ones(len(curve), bool) if valid is None else np.asarray(valid, bool)
    if curve.ndim != 1 or classes.shape != (len(curve), len(CLASSES)) or mask.shape != curve.shape:
        raise ValueError(f"expected [T], [T, 2] and [T], got {curve.shape}, {classes.shape} and {mask.shape}")
    if not (np.isfinite(curve[mask]).all() and np.isfinite(classes[mask]).all()):
        raise ValueError("intensity or class scores are not finite; did training diverge?")
    return np.where(mask, curve, 0.0), np.where(mask[:, None], classes, 0.0), mask
