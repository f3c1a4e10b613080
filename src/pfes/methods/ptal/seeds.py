"""Seeds: frames that are taken for expression or for background, from the points and the background score.

Conventions
-----------
T frames, class order macro, micro; points in any order, at any frame, also several at one frame. Nothing here has a
gradient. Source: LAC, Lee and Byun, ICCV 2021, arXiv 2108.05029, its code @1ef066a (METHOD 10.0).

Differences
-----------
A video without points is all background; the code stops there.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BACKGROUND = 0.95  # least background score of a background seed
ACTION = 0.1  # greatest background score of a frame that a point spreads to


class Seeds(NamedTuple):
    """Background seeds [T] and the seeds of each class [T, 2], both bool; no frame is of both kinds."""

    background: NDArray[np.bool_]
    action: NDArray[np.bool_]


def find_seeds(
    background_score: NDArray[np.floating], point_frames: NDArray[np.int64], point_classes: NDArray[np.int64]
) -> Seeds:
    """Return the seeds of a video.

    Parameters
    ----------
    background_score : s_b [T] in [0, 1].
    point_frames, point_classes : [I]; classes 0 macro, 1 micro. I may be 0.
    """
    n_frames = len(background_score)
    background, action = np.zeros(n_frames, bool), np.zeros((n_frames, 2), bool)
    frames = np.unique(point_frames)
    if not len(frames):
        return Seeds(np.ones(n_frames, bool), action)
    ends = [-1, *frames.tolist(), n_frames]
    for number, (before, after) in enumerate(zip(ends, ends[1:], strict=False)):
        first, last = _gap_seeds(background_score[before + 1 : after], number == 0, number == len(frames))
        background[before + 1 + first : before + 1 + last] = True
    for frame, kind in zip(point_frames.tolist(), point_classes.tolist(), strict=True):
        action[frame, kind] = True
        for direction in (-1, 1):
            near = frame + direction
            while 0 <= near < n_frames and background_score[near] <= ACTION and not background[near]:
                action[near, kind] = True
                near += direction
    return Seeds(background, action)


def _gap_seeds(score: NDArray[np.floating], reaches_start: bool, reaches_end: bool) -> tuple[int, int]:
    """Return the first background seed of a gap between points and the frame after its last one; equal if it is empty."""
    if not len(score):
        return 0, 0
    high = np.flatnonzero(score >= BACKGROUND)
    if not len(high):
        high = np.array([np.argmax(score)])
    first = 0 if reaches_start else int(high[0])
    last = len(score) if reaches_end else int(high[-1]) + 1
    return first, last
