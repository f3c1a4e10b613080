"""Spotting: from intensity curves and class scores to proposals.

Conventions
-----------
T sampled frames at about 30 fps. ``intensity`` [T] is the expression intensity, in [0, 1] from the network, but any
finite curve is taken. ``class_scores`` [T, 2] are two independent scores in [0, 1], columns as ``records.CLASSES``.
Intervals are inclusive ``[onset, offset]``, 0-based, int64.

Steps
-----
1. Runs of intensity above each of several thresholds ([P25]).
2. Score of a run: its mean intensity less that of its flanks, the outer-inner contrast (``contrast``).
3. Class of a run: every class whose score at the run's apex, its frame of highest intensity, passes a threshold.
4. Per class: Gaussian soft-NMS rescales the scores, then limits on length and score, hard NMS, the best few per video
   ([J26]).

``released`` takes all of this as the published code has it, see ``released_proposals``.

Sources
-------
[P25] Deng, Hayashi, Nagahara, "Gaussian-Based Instance-Adaptive Intensity Modeling for Point-Supervised Facial
Expression Spotting", ICLR 2025. [J26] its journal version, doi 10.1109/TBIOM.2026.3651893, and the released code.
Soft-NMS: Bodla, Singh, Chellappa, Davis, ICCV 2017, doi 10.1109/ICCV.2017.593.

Differences
-----------
- Unless ``released``: a run is its frames (the release adds one at the end), and counts once where several thresholds
  find it (the release keeps the copies, and soft-NMS lets them suppress others).
- A flank of eq. 15 is L / 4 frames rounded down (ours); the printed denominator L / 2 stays, rounded or cut.
- A frame without a face has intensity 0, so that no proposal covers it; the release has no such notion.
- The upper length limit of a micro-expression is also bound to ``max_s`` seconds, for rates below 30 fps.
- ``bridge_s`` (off) joins the two proposals of a held expression (``bridge``).
- ``length_first`` (off) applies the length limits before soft-NMS, so that no run of impossible length suppresses
  another.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pfes.base.config import REQUIRED, Sections, setting
from pfes.base.errors import InputError
from pfes.base.intervals import Intervals, iou, lengths, nms, runs
from pfes.base.records import CLASSES, FRAME_COLUMNS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Score = Literal["eq15", "release"]
ClassScore = Literal["s", "s_bar"]
LimitChoice = Literal["fixed", "points"]
RELEASE_FLANK, RELEASE_CLASS_WEIGHT = 0.2, 0.2


@dataclass(frozen=True)
class ClassLimits:
    """What a proposal of one class must satisfy."""

    min_frames: int = setting(REQUIRED, "least length, sampled frames", minimum=1)
    max_frames: int = setting(REQUIRED, "greatest length, sampled frames", minimum=1)
    min_score: float = setting(REQUIRED, "least score; no score is above 1.2", minimum=-2, maximum=1.2)
    max_per_video: int = setting(REQUIRED, "greatest number of proposals in a video", minimum=0)
    max_s: float | None = setting(None, "greatest length, s; null is no limit", exclusiveMinimum=0)

    def longest(self, fps: float) -> int:
        """Return the greatest length in frames at ``fps`` sampled frames per second."""
        return self.max_frames if self.max_s is None else min(self.max_frames, int(self.max_s * fps + 1e-6))


@dataclass(frozen=True)
class SpotParameters(Sections):
    """How curves become proposals; the numbers that depend on the dataset are the limits and the thresholds."""

    thresholds: tuple[float, ...] = setting(
        (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        "intensities above which frames form a run (ICLR 2025)",
        items={"minimum": 0, "maximum": 1},
        minItems=1,
    )
    score: Score = setting(
        "release",
        "score of a run: eq15 (ICLR 2025), or release, which the published score thresholds belong to (METHOD 8)",
    )
    class_threshold: float = setting(
        0.5, "a run has each class whose score at its apex is above this (ICLR 2025: .5)", minimum=0, maximum=1
    )
    class_by: ClassScore = setting("s", "the class score that is compared with it: s, or s_bar, s times the intensity")
    both_classes: bool = setting(
        True, "keep both classes of a run when both pass (journal); false keeps the one of the higher score"
    )
    sigma: float | None = setting(0.3, "width of soft-NMS in IoU^2; null is none", exclusiveMinimum=0)
    nms_iou: float = setting(
        0.5, "IoU with a better proposal of its class above which a proposal is dropped", minimum=0, maximum=1
    )
    smooth_frames: int = setting(
        1, "moving average over the intensity, frames, odd; 1 is none (ours)", minimum=1, maximum=101
    )
    length_first: bool = setting(False, "limit the length before soft-NMS instead of after it (ours)")
    bridge_s: float | None = setting(
        None, "onset and offset of a held expression are joined up to this length, s; null is none (ours)", minimum=0
    )
    released: bool = setting(
        False, "candidates, soft-NMS, limits and NMS as in the published code, whose proposals end one frame later"
    )
    one_based: bool = setting(
        False,
        "proposals one frame earlier: undoes points.one_based before they are compared with the labels",
    )
    limits: LimitChoice = setting(
        "fixed",
        "least scores of macro and micro: fixed (min_score), or points (chosen for each fold, see pfes.spotting.limits)",
    )
    macro: ClassLimits = setting(
        ClassLimits(min_frames=15, max_frames=240, min_score=0.3, max_per_video=8), "limits of macro-expressions"
    )
    micro: ClassLimits = setting(
        ClassLimits(min_frames=9, max_frames=15, min_score=0.3, max_per_video=2, max_s=0.5),
        "limits of micro-expressions",
    )

    def __post_init__(self) -> None:
        if self.one_based and not self.released:
            raise InputError("spot: one_based belongs to released; set both, or leave it out")
        for name, allowed in (("score", Score), ("class_by", ClassScore), ("limits", LimitChoice)):
            value, known = getattr(self, name), get_args(allowed)
            if value not in known:
                raise InputError(f"spot: {name} {value!r} is not known; expected one of {', '.join(known)}")
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
    if params.released:
        found = released_proposals(curve, classes, params, fps)
        frames = ["onset", "apex", "offset"]
        return found.assign(**(found[frames] - 1).clip(lower=0)) if params.one_based else found
    candidates = threshold_runs(curve, params.thresholds)
    apexes, at_apex, passed = _classified(curve, classes, candidates, params)
    tables = []
    for index, (name, limits) in enumerate(zip(CLASSES, (params.macro, params.micro), strict=True)):
        chosen = np.flatnonzero(passed[:, index])
        scores = contrast(curve, candidates[chosen], at_apex[chosen, index], params.score)
        kept, scores = select(candidates[chosen], scores, limits, params, fps)
        tables.append(proposal_table(name, curve, candidates[chosen][kept], apexes[chosen][kept], scores))
    return pd.concat(tables, ignore_index=True)


def released_proposals(curve: Floats, classes: Floats, params: SpotParameters, fps: float) -> pd.DataFrame:
    """Return the proposals that the published code makes of ``curve`` [T] and ``classes`` [T, 2]; columns as ``propose``.

    A proposal ends one frame after its run, at T where the run ends with the video, and its length counts that frame.
    Copies of a run found at several thresholds all take part in soft-NMS, whose overlap counts both ends; a threshold
    that frame 0 alone exceeds finds nothing. The overlap of the hard NMS is half-open. That both classes are one pool
    there changes nothing: with the published thresholds no proposal drops two others.
    """
    above = [runs(curve > threshold) for threshold in params.thresholds]
    found = np.concatenate([np.empty((0, 2), np.int64), *(own for own in above if own.any())])
    apexes, at_apex, passed = _classified(curve, classes, found, params)
    tables = []
    for kind, (name, limits) in enumerate(zip(CLASSES, (params.macro, params.micro), strict=True)):
        chosen = np.flatnonzero(passed[:, kind])
        scores = contrast(curve, found[chosen], at_apex[chosen, kind], params.score)
        ends = found[chosen] + [0, 1]
        order, scores = _soft_order(ends, scores, params.sigma)
        fits = (lengths(ends) >= limits.min_frames) & (lengths(ends) <= limits.longest(fps))
        pool = order[(fits & (scores >= limits.min_score))[order]]
        best = pool[nms(ends[pool], scores[pool], params.nms_iou, half_open=True)[: limits.max_per_video]]
        best = best[np.lexsort((ends[best, 1], ends[best, 0]))]
        table = proposal_table(name, curve, found[chosen[best]], apexes[chosen[best]], scores[best])
        tables.append(table.assign(offset=table["offset"] + 1))
    return pd.concat(tables, ignore_index=True)


def _classified(
    curve: Floats, classes: Floats, candidates: Intervals, params: SpotParameters
) -> tuple[Ints, Floats, Mask]:
    """Return for N candidates the apex [N], both class scores there [N, 2], and which classes the candidate has [N, 2]."""
    apexes = apex_frames(curve, candidates)
    at_apex = classes[apexes]
    compared = at_apex if params.class_by == "s" else at_apex * curve[apexes, None]
    passed = compared > params.class_threshold
    if not params.both_classes:
        passed &= compared == compared.max(axis=1, keepdims=True)
    return apexes, at_apex, passed


def _soft_order(intervals: Intervals, scores: Floats, sigma: float | None) -> tuple[Ints, Floats]:
    """Return the order [N] in which the release's soft-NMS takes intervals [N, 2], and the rescaled scores [N].

    The one that is taken changes places with the first of those that wait, which decides between equal scores.
    """
    order, rescaled = np.arange(len(scores)), np.array(scores, np.float64)
    for place in range(len(order)):
        best = place + int(np.argmax(rescaled[order[place:]]))
        order[[place, best]] = order[[best, place]]
        rest = order[place + 1 :]
        if sigma is not None:
            rescaled[rest] *= np.exp(-(iou(intervals[order[place : place + 1]], intervals[rest])[0] ** 2) / sigma)
    return order, rescaled


def threshold_runs(curve: Floats, thresholds: tuple[float, ...]) -> Intervals:
    """Return the distinct maximal runs [N, 2] of ``curve`` [T] above any threshold, sorted by onset, then offset."""
    found = [runs(curve > threshold) for threshold in thresholds]
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)


def contrast(curve: Floats, intervals: Intervals, class_scores: Floats, score: Score) -> Floats:
    """Return the scores [N] of runs [N, 2] of ``curve`` [T].

    ``eq15`` ([P25]): mean inside - (2 / L) sum over L / 4 frames on each side. ``release``: mean inside - mean over the
    frames there are of ceil(.2 L) before and floor(.2 L) after (0 if there are none) + .2 ``class_scores`` [N].
    Flanks are cut at the ends of the video. Equal stretches have equal scores to the last digit, which ties hang on.
    """
    length, inside, both = lengths(intervals), _sums(curve, intervals), np.empty_like(intervals)
    if score == "eq15":
        both[:] = intervals + np.stack([-(length // 4), length // 4], axis=1)
    else:  # the release cuts both ends to whole frames towards 0
        both[:] = intervals + RELEASE_FLANK * np.stack([-length, length], axis=1)
    sides = [np.stack(side, axis=1) for side in ((both[:, 0], intervals[:, 0] - 1), (intervals[:, 1] + 1, both[:, 1]))]
    sides = [np.clip(side, [0, -1], [len(curve), len(curve) - 1]) for side in sides]
    outside = sum(_sums(curve, side) for side in sides)
    if score == "eq15":
        return np.asarray(inside / length - 2 / length * outside)
    count = sum(lengths(side) for side in sides)
    return np.asarray(inside / length - outside / np.maximum(count, 1) + RELEASE_CLASS_WEIGHT * class_scores)


def _sums(curve: Floats, intervals: Intervals) -> Floats:
    return np.array([curve[onset : offset + 1].sum() for onset, offset in intervals], np.float64)


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


def proposal_table(
    name: str, curve: Floats, intervals: Intervals, apexes: NDArray[np.int64], scores: Floats
) -> pd.DataFrame:
    """Return the proposals of the class ``name``: intervals [N, 2], apexes and scores [N]; columns FRAME_COLUMNS."""
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
