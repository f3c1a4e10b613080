"""What went wrong, instance by instance and proposal by proposal, and what else was going on in the face there.

Conventions
-----------
``matches`` is the table of ``pfes.evaluation.counts`` for one experiment and seed. An unmatched instance and an unmatched proposal
are an error each. "Reaches": IoU at or above the threshold of the evaluation. "Covers": holds at least half of its
frames. Of several kinds that apply, the first in this order is given.

Kinds of an unmatched instance
    wrong class   a proposal of another class reaches it
    merged        a proposal of its class covers it and another instance of the class, or reaches it but belongs to another
    split         it covers two or more proposals of its class
    boundary      a proposal of its class overlaps it with an IoU of at least ``boundary_iou``, but below the threshold
    missed        none of these
Kinds of an unmatched proposal
    duplicate     it reaches an instance of its class, which another proposal was matched to
    wrong class   it reaches an instance of another class
    merged        it covers two or more instances of its class
    split         an instance of its class covers it and another proposal of the class
    boundary      it overlaps an instance of its class with an IoU of at least ``boundary_iou``, but below the threshold
    false alarm   none of these

Causes
------
False alarms get a likely cause from the flow of the video (kind ``flow``): the signal that is above its limit in the largest
share of the frames of the interval, if that share is at least ``share``; else "". A missed instance gets none but "no face":
an expression moves eyelids and mouth itself. Signals are
displacements against the nose, px of the crop over its side:
    no face       the face, or that of the window's first frame, was not found
    head motion   the nose itself moves by ``head`` within the window
    blink         both lower eyelids are ``blink`` away from their median place in the window, or are so within 4 frames
    talking       the inner mouth moves by ``talking`` within the window
The limits were set on 8 rendered videos of the demo, where blinks and talking are known: of 24 blinks 22 are named so and 2
talking, the one episode of talking is named so, and of random intervals of 12 frames 14 % are named blink (blinks with
their surroundings fill about that share of the time), 11 % talking. A strong smile or a jaw drop moves the inner mouth too: a cause
is a hint where to look, not a measurement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.intervals import Intervals, as_intervals, lengths
from pfes.base.records import CLASSES, HALF
from pfes.evaluation.counts import numbers
from pfes.evaluation.matching import threshold
from pfes.faces.align import NOSE, ROI_NAMES

Bools = NDArray[np.bool_]

INSTANCE_KINDS = ("wrong class", "merged", "split", "boundary", "missed")
PROPOSAL_KINDS = ("duplicate", "wrong class", "merged", "split", "boundary", "false alarm")
CAUSES = ("no face", "head motion", "blink", "talking")
ERROR_COLUMNS = (
    "subject", "video_id", "class", "instance", "proposal", "kind", "cause", "onset", "apex", "offset",
)  # fmt: skip
EYELIDS = [ROI_NAMES.index(f"{side}_lower_eyelid") for side in ("left", "right")]
BLINK_HALF = 4  # frames from the middle of a blink to its ends
INNER_MOUTH = ROI_NAMES.index("inner_mouth")


@dataclass(frozen=True)
class ErrorParameters:
    """Limits of the error analysis.

    boundary_iou : least IoU of a boundary that is off, in (0, threshold)
    share : least share of an interval's frames for a cause
    head, blink, talking : displacement that counts as such, share of the side of the crop
    """

    boundary_iou: float = 0.1
    share: float = 0.3
    head: float = 0.012
    blink: float = 0.003
    talking: float = 0.008


def find_errors(
    expressions: pd.DataFrame,
    proposals: pd.DataFrame,
    matches: pd.DataFrame,
    causes: Mapping[str, Bools] | None = None,
    *,
    iou: float = 0.5,
    params: ErrorParameters = ErrorParameters(),
) -> pd.DataFrame:
    """Name every error of one experiment and seed.

    Parameters
    ----------
    expressions, proposals, matches
        As of ``pfes.evaluation.counts``; an apex is copied where there is one.
    causes
        Of ``video_causes``; the errors of a video that is not in it get no causes.
    iou
        Threshold of the matches.

    Returns
    -------
    DataFrame
        ERROR_COLUMNS, in the order of ``matches``; onset, apex and offset are those of the instance, or of the proposal
        where ``instance`` is -1; without an apex it is the middle of the interval.
    """
    truth = _placed(expressions, expressions["instance"])
    found = _placed(proposals, pd.Series(numbers(proposals), proposals.index))
    open_ = matches[(matches["instance"] < 0) | (matches["proposal"] < 0)]
    tables = [
        _of_video(rows, truth.get(str(video), _NOTHING), found.get(str(video), _NOTHING), iou, params)
        for video, rows in open_.groupby("video_id", sort=False)
    ]
    if not tables:
        return pd.DataFrame(columns=list(ERROR_COLUMNS))
    errors = pd.concat(tables).sort_index()
    return _with_causes(errors, causes or {}, params.share).reset_index(drop=True)[list(ERROR_COLUMNS)]


def instance_kinds(
    truth: Intervals, truth_class: NDArray[np.int64], found: Intervals, found_class: NDArray[np.int64],
    iou: float = 0.5, boundary_iou: float = 0.1,
) -> NDArray[np.str_]:  # fmt: skip
    """Return what each instance [N] of one video would be if it were unmatched, one of INSTANCE_KINDS."""
    near = _relations(truth, truth_class, found, found_class, iou, boundary_iou)
    several = near.covers_instance.sum(axis=0) >= 2
    conditions = [
        (near.reaches & ~near.same).any(axis=1),
        (near.covers_instance & several).any(axis=1) | (near.reaches & near.same).any(axis=1),
        near.covers_proposal.sum(axis=1) >= 2,
        near.touches.any(axis=1),
    ]
    return np.select(conditions, INSTANCE_KINDS[:-1], INSTANCE_KINDS[-1])


def proposal_kinds(
    truth: Intervals, truth_class: NDArray[np.int64], found: Intervals, found_class: NDArray[np.int64],
    iou: float = 0.5, boundary_iou: float = 0.1,
) -> NDArray[np.str_]:  # fmt: skip
    """Return what each proposal [M] of one video would be if it were unmatched, one of PROPOSAL_KINDS."""
    near = _relations(truth, truth_class, found, found_class, iou, boundary_iou)
    several = near.covers_proposal.sum(axis=1, keepdims=True) >= 2
    conditions = [
        (near.reaches & near.same).any(axis=0),
        (near.reaches & ~near.same).any(axis=0),
        near.covers_instance.sum(axis=0) >= 2,
        (near.covers_proposal & several).any(axis=0),
        near.touches.any(axis=0),
    ]
    return np.select(conditions, PROPOSAL_KINDS[:-1], PROPOSAL_KINDS[-1])


def video_causes(flow: Mapping[str, Path | str], params: ErrorParameters = ErrorParameters()) -> dict[str, Bools]:
    """Return ``frame_causes`` of every video; ``flow`` maps video_id to a file of kind ``flow``, refused ones are left out."""
    found = {}
    for video_id, path in flow.items():
        if store.refusal(path, "flow") is None:
            arrays, size = store.read(path, "flow"), float(store.attributes(path, "flow")["size"])
            found[video_id] = frame_causes(arrays["flow"], arrays["valid"] > 0, size, params)
    return found


def frame_causes(
    flow: NDArray[np.floating], valid: Bools, size: float, params: ErrorParameters = ErrorParameters()
) -> Bools:
    """Return which cause is present in each frame: [T, 4], columns as CAUSES.

    ``flow`` [T, 17, R, 2] is the ROI flow before head motion, px of a crop of ``size`` px; ``valid`` [T].
    """
    nose = flow[:, :, NOSE]
    lids = flow[:, :, EYELIDS] - nose[:, :, None]  # (T, 17, 2, 2)
    away = _size(lids[:, HALF] - np.median(lids, axis=1)).min(axis=1)  # (T,): closed for a moment, both eyes
    away = scipy.ndimage.maximum_filter1d(away, 2 * BLINK_HALF + 1, mode="nearest")
    signals = _size(nose).max(axis=1), away, _size(flow[:, :, INNER_MOUTH] - nose).max(axis=1)
    limits = (params.head, params.blink, params.talking)
    above = [valid & (signal >= limit * size) for signal, limit in zip(signals, limits, strict=True)]
    return np.stack([~valid, *above], axis=1)


def likely_cause(present: Bools, onset: int, offset: int, share: float = 0.3) -> str:
    """Return the cause (of CAUSES) present in most frames of [onset, offset], or "" if in less than ``share`` of them."""
    shares = present[onset : offset + 1].mean(axis=0) if onset < len(present) else np.zeros(len(CAUSES))
    best = int(np.argmax(shares))
    return CAUSES[best] if shares[best] >= share else ""


@dataclass(frozen=True)
class _Relations:
    """How N instances and M proposals of a video lie to each other, each [N, M]; all but ``reaches``: of one class only."""

    same: Bools
    reaches: Bools
    covers_instance: Bools
    covers_proposal: Bools
    touches: Bools


def _relations(
    truth: Intervals, truth_class: NDArray[np.int64], found: Intervals, found_class: NDArray[np.int64],
    iou: float, boundary_iou: float,
) -> _Relations:  # fmt: skip
    onset = np.maximum(truth[:, None, 0], found[None, :, 0])
    offset = np.minimum(truth[:, None, 1], found[None, :, 1])
    shared = np.maximum(offset - onset + 1, 0)
    long, short = lengths(truth)[:, None], lengths(found)[None, :]
    union = long + short - shared
    same = truth_class[:, None] == found_class[None, :]
    reaches, touches = (
        (shared > 0) & (shared * limit.denominator >= union * limit.numerator)
        for limit in (threshold(iou), threshold(boundary_iou))
    )
    return _Relations(same, reaches, same & (2 * shared >= long), same & (2 * shared >= short), same & touches)


@dataclass(frozen=True)
class _Placed:
    """The instances, or proposals, of one video; ``number`` [N] is theirs in ``matches``."""

    intervals: Intervals
    kind: NDArray[np.int64]
    number: NDArray[np.int64]
    apex: NDArray[np.float64]


_NOTHING = _Placed(np.empty((0, 2), np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def _placed(table: pd.DataFrame, number: pd.Series) -> dict[str, _Placed]:
    table = table.assign(number=number.to_numpy(np.int64), kind=pd.Index(CLASSES).get_indexer(pd.Index(table["class"])))
    found = {}
    for video, rows in table.groupby("video_id", sort=False):
        intervals = as_intervals(rows["onset"], rows["offset"])
        apex = rows["apex"].to_numpy(np.float64, na_value=np.nan) if "apex" in rows else np.full(len(rows), np.nan)
        middle = intervals.sum(axis=1) // 2
        found[str(video)] = _Placed(
            intervals, rows["kind"].to_numpy(np.int64), rows["number"].to_numpy(np.int64),
            np.where(np.isnan(apex), middle, apex),
        )  # fmt: skip
    return found


def _of_video(rows: pd.DataFrame, truth: _Placed, found: _Placed, iou: float, params: ErrorParameters) -> pd.DataFrame:
    both = (truth.intervals, truth.kind, found.intervals, found.kind, iou, params.boundary_iou)
    sides = (
        (rows["instance"] >= 0, "instance", truth, instance_kinds(*both)),
        (rows["instance"] < 0, "proposal", found, proposal_kinds(*both)),
    )
    parts = []
    for chosen, column, side, kinds in sides:
        own = rows[chosen]
        position = pd.Index(side.number).get_indexer(pd.Index(own[column]))
        onset, offset = side.intervals[position].T
        apex = side.apex[position].astype(np.int64)
        parts.append(own.assign(kind=kinds[position].astype(object), onset=onset, apex=apex, offset=offset))
    return pd.concat([part for part in parts if len(part)])


def _with_causes(errors: pd.DataFrame, causes: Mapping[str, Bools], share: float) -> pd.DataFrame:
    columns = (errors[name] for name in ("kind", "video_id", "onset", "offset"))
    named = []
    for kind, video, onset, offset in zip(*columns, strict=True):
        unexplained = kind in (INSTANCE_KINDS[-1], PROPOSAL_KINDS[-1]) and video in causes
        found = likely_cause(causes[video], int(onset), int(offset), share) if unexplained else ""
        named.append(found if kind == PROPOSAL_KINDS[-1] or found == CAUSES[0] else "")
    return errors.assign(cause=np.array(named, object))


def _size(flow: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the length of vectors [..., 2]."""
    return np.linalg.norm(flow, axis=-1)
