"""Events for statistics: what was spotted, when, how strong, where in the face, and how well the face was seen.

Conventions
-----------
Frames are native, from 0, intervals inclusive; seconds are from the first frame. Left and right are those of the picture.
Displacement is that from onset to apex, head motion removed, of the region that moved most, in % of the distance of the eyes
(the face's own scale, whatever the camera). It is read from the stage ``snippets``, whose flow reaches over 16 sampled
frames (longer ways are summed in steps of 8), or from the stage ``displacement``, which knows the place at any frame.

Tables
------
events   EVENT_COLUMNS and the condition columns of the videos sheet, a row per proposal
summary  a row per subject, condition and class, also where there is no event: events, minutes (of usable frames), rate_per_min,
         duration_s, displacement_pct, score (means), latency_s (of the first event after the stimulus, mean over recordings
         that have one)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base.records import CLASSES
from pfes.faces.align import ROI_NAMES
from pfes.methods.base import Measured, Signals
from pfes.methods.baseline import displacement

EVENT_COLUMNS = (
    "subject", "video", "class", "onset", "apex", "offset", "onset_s", "apex_s", "offset_s", "duration_s", "score",
    "displacement_pct", "side", "region", "usable_share", "yaw_deg",
)  # fmt: skip
STIMULUS = "stimulus_s"  # column of the videos sheet: when the stimulus begins, s
STEP = 8  # sampled frames over which a displacement is measured at a time


def events_of(
    proposals: pd.DataFrame, kind: Measured, signals: Signals, interocular: NDArray[np.floating]
) -> pd.DataFrame:
    """Return what each proposal of one recording is, EVENT_COLUMNS without subject and video.

    Parameters
    ----------
    proposals : records.PROPOSAL_COLUMNS, sampled frames and seconds.
    kind, signals : the stage that the motion is read from, and what a recording of T frames has of it.
    interocular : [T], distance of the eyes, px of the recording.
    """
    rows = []
    for row in proposals.to_dict("records"):
        onset, apex, offset = (int(row[name]) for name in ("onset", "apex", "offset"))
        inside = slice(onset, offset + 1)
        moved = np.linalg.norm(way(kind, signals.measured, onset, apex), axis=1)  # [10]
        region = ROI_NAMES[int(moved.argmax())]
        rows.append(
            {
                "class": row["class"],
                **{name: row[f"native_{name}"] for name in ("onset", "apex", "offset")},
                **{f"{name}_s": row[f"{name}_s"] for name in ("onset", "apex", "offset")},
                "duration_s": row["offset_s"] - row["onset_s"] + _frame_s(row),
                "score": row["score"],
                "displacement_pct": 100 * float(moved.max()) * eye_scale(kind, signals, interocular, inside),
                "side": side_of(region),
                "region": region,
                "usable_share": float(signals.valid[inside].mean()),
                "yaw_deg": _median(signals.pose[inside, 0]),
            }
        )
    return pd.DataFrame(rows, columns=[name for name in EVENT_COLUMNS if name not in ("subject", "video")])


def way(kind: Measured, measured: NDArray[np.floating], start: int, end: int) -> NDArray[np.float64]:
    """Return the way [10, 2] of each region from sampled frame ``start`` to ``end``: px of the crop of snippets, g of displacement.

    ``measured`` : [T, 17, 10, 2] of snippets, [T, 10, 2] of displacement.
    """
    if kind == "displacement":
        return (measured[end] - measured[start]).astype(np.float64)
    stops = np.unique(np.append(np.arange(start, end, STEP), end))
    return displacement(measured, stops[:-1], stops[1:]).sum(axis=0)


def eye_scale(kind: Measured, signals: Signals, interocular: NDArray[np.floating], inside: slice) -> float:
    """Return eye distances per px of the crop, or per g, median of the frames.

    The crop is 4.5 distances of the inner corners wide, g is half of such a distance.
    """
    inner = np.linalg.norm(signals.landmarks[inside, 42] - signals.landmarks[inside, 39], axis=-1)
    inner_per_unit = 0.5 if kind == "displacement" else 4.5 / signals.size
    return _median(inner_per_unit * inner / interocular[inside])


def side_of(region: str) -> str:
    """Return left, right or middle, in the picture.

    >>> side_of("left_brow_inner"), side_of("upper_lip")
    ('left', 'middle')
    """
    return next((side for side in ("left", "right") if side in region), "middle")


def summary(events: pd.DataFrame, videos: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """Return the summary per subject, condition and class.

    Parameters
    ----------
    events : EVENT_COLUMNS and ``conditions``.
    videos : a row per usable recording: subject, video, usable_s, the conditions, and STIMULUS where it is known.
    """
    keys = ["subject", *conditions]
    rows = []
    for values, own in videos.groupby(keys, dropna=False, sort=True):
        for kind in CLASSES:
            found = events[
                (events["class"] == kind)
                & events["video"].isin(own["video"])
                & (events["subject"] == own["subject"].iloc[0])
            ]
            minutes = own["usable_s"].sum() / 60
            rows.append(
                {
                    **dict(zip(keys, values, strict=True)), "class": kind, "events": len(found), "minutes": minutes,
                    "rate_per_min": len(found) / minutes if minutes else np.nan,
                    **{name: found[name].mean() for name in ("duration_s", "displacement_pct", "score")},
                    "latency_s": _latency(found, own),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _latency(events: pd.DataFrame, videos: pd.DataFrame) -> float:
    """Return the mean time, s, from the stimulus to the next onset, over the recordings that have both."""
    found = []
    for video in videos.to_dict("records"):
        after = events.loc[events["video"] == video["video"], "onset_s"] - float(video.get(STIMULUS, np.nan))
        after = after[after >= 0]
        found += [after.min()] if len(after) else []
    return float(np.mean(found)) if found else float("nan")


def _frame_s(row: Mapping[Any, Any]) -> float:
    """Return the length of a sampled frame, s."""
    frames = row["offset"] - row["onset"]
    return float((row["offset_s"] - row["onset_s"]) / frames) if frames else 1 / 30


def _median(values: NDArray[Any]) -> float:
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else float("nan")
