"""What the fully supervised SpotFormer shall say of each frame, from the intervals of the instances.

Conventions
-----------
T frames, I instances, intervals inclusive [onset, apex, offset], 0-based int64. Class order macro, micro. Start and end
are spread over +- 1 frame (micro) and +- 3 (macro), as is the apex, exp(-j^2 / 32) at distance j; everything is cut at
the ends of the video (arXiv 2407.20799, doi 10.1109/TAFFC.2026.3677401).

Where instances of a class share frames, an end wins over a start, and the higher apex target counts (ours).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.base.records import CLASSES

START, END, NONE = 0, 1, 2
SPREAD = (3, 1)  # frames on each side: macro, micro
APEX_WIDTH = 32.0  # of the Gaussian, frames^2
NEUTRAL, MACRO, MICRO = 0, 1, 2  # groups of the contrastive loss


@dataclass(frozen=True)
class Targets:
    """Targets of T frames.

    Parameters
    ----------
    start_end : int64 [T, 2], START, END or NONE of macro and micro.
    apex : float32 [T, 2] in [0, 1].
    action : float32 [T, 2], 1 inside an instance.
    group : int64 [T], NEUTRAL, MACRO (also where both) or MICRO.
    """

    start_end: NDArray[np.int64]
    apex: NDArray[np.float32]
    action: NDArray[np.float32]
    group: NDArray[np.int64]

    def rows(self, first: int, stop: int) -> Self:
        """Return the targets of the frames first .. stop - 1."""
        return type(self)(**{item.name: getattr(self, item.name)[first:stop] for item in fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Join targets of several stretches of frames, in their order."""
        return cls(**{item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)})


def frame_targets(n_frames: int, intervals: NDArray[np.int64], classes: NDArray[np.int64]) -> Targets:
    """Return the targets of a video of ``n_frames`` frames.

    Parameters
    ----------
    intervals : [I, 3], onset, apex, offset; I may be 0.
    classes : [I], 0 macro, 1 micro.
    """
    start_end = np.full((n_frames, 2), NONE, np.int64)
    apex = np.zeros((n_frames, 2), np.float32)
    action = np.zeros((n_frames, 2), np.float32)
    instances = [(int(c), *map(int, row)) for c, row in zip(classes, intervals, strict=True)]
    for value, place in ((START, 1), (END, 3)):
        for instance in instances:
            c, frame = instance[0], instance[place]
            start_end[_around(frame, SPREAD[c], n_frames), c] = value
    for c, onset, peak, offset in instances:
        near = _around(peak, SPREAD[c], n_frames)
        distance = np.arange(n_frames)[near] - peak
        apex[near, c] = np.maximum(apex[near, c], np.exp(-(distance**2) / APEX_WIDTH))
        action[max(onset, 0) : offset + 1, c] = 1
    group = np.where(action[:, 0] > 0, MACRO, np.where(action[:, 1] > 0, MICRO, NEUTRAL)).astype(np.int64)
    return Targets(start_end, apex, action, group)


def video_targets(expressions: pd.DataFrame, video_id: str, n_frames: int) -> Targets:
    """Return the targets of a video of ``n_frames`` frames from an ``expressions`` table (of any videos).

    An instance without apex takes its midpoint, an apex outside of its instance the nearest frame inside.

    Raises
    ------
    InputError
        An instance lies beyond the video.
    """
    own = expressions[expressions["video_id"] == video_id]
    onset, offset = own["onset"].to_numpy(np.int64), own["offset"].to_numpy(np.int64)
    outside = (onset < 0) | (offset >= n_frames) | (onset > offset)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise InputError(f"{video_id}: instance {onset[row]}..{offset[row]} of {n_frames} frames; rerun rule dataset")
    apex = pd.to_numeric(own["apex"]).to_numpy(np.float64, na_value=np.nan)
    apex = np.clip(np.where(np.isnan(apex), (onset + offset) // 2, apex), onset, offset)
    intervals = np.stack([onset, np.rint(apex).astype(np.int64), offset], axis=1)
    return frame_targets(n_frames, intervals, own["class"].map(CLASSES.index).to_numpy(np.int64))


def _around(frame: int, half: int, n_frames: int) -> slice:
    return slice(min(max(frame - half, 0), n_frames), max(min(frame + half + 1, n_frames), 0))
