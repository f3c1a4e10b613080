"""Shot cuts: frames before which the recording was stopped, spliced or switched to another camera.

Conventions
-----------
``change`` [T] is how different the picture at t is from the one before, 0 to about 2: half the mean square difference
of the pictures shrunk to SIDE x SIDE px, grey, each with its mean subtracted and divided by its standard deviation (so
1 - correlation): brightness and contrast do not count. It is the least over the pairs of {t-2, t-1} and {t, t+1}: a
flash, a blank or a broken frame, after which the picture is the old one, is no change.
``jump`` [T] is how far the face that moved least went from t-1 to t, in distances of its eyes; NaN without a pair.

A cut is at t where
- the picture is another one: change >= OTHER and twice the median of the frames around (a panning camera is none), or
- the change is large and stands alone (>= LARGE, four times the largest of the frames around), or
- all faces jump, which stands alone (>= JUMP, three times the largest around), and so does the change, if less
  (>= SMALL, above noise; twice the largest around).
Frames around: NEAR on either side. Motion of a head or a hand, a blink, a change of light do not stand alone: they take
several frames. Fades and dissolves are not found, nor a splice after which face and picture are where they were.
"""

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.faces.geometry import Face, Frame, interocular

SIDE = 32  # px
FLAT = 4.0  # least standard deviation that is divided by, grey levels
NEAR = 8  # frames
OTHER, LARGE, SMALL = 0.3, 0.03, 0.002
JUMP = 0.04

Curve = NDArray[np.float64]


class Pictures:
    """Compares every frame of a stream with the three before it; keeps no pictures but those."""

    def __init__(self) -> None:
        self._last: deque[NDArray[np.float32]] = deque(maxlen=3)
        self._distances: list[list[float]] = []

    def add(self, frame: Frame | None) -> None:
        """Take the next frame [H, W, 3] BGR; one that cannot be read counts as the one before."""
        if frame is None and not self._last:
            self._distances.append([0.0] * 3)
            return
        picture = self._last[-1] if frame is None else _thumbnail(frame)
        distances = [float(np.mean((picture - other) ** 2) / 2) for other in reversed(self._last)] or [0.0]
        self._distances.append(distances + [np.inf] * (3 - len(distances)))
        self._last.append(picture)

    def change(self) -> Curve:
        """Return the change [T] of the frames so far; 0 in the first."""
        lags = np.asarray(self._distances, np.float64).reshape(-1, 3)
        change = lags[:, :2].min(axis=1)  # t against t-1 and t-2
        change[:-1] = np.minimum(change[:-1], lags[1:, 1:].min(axis=1))  # t+1 against t-1 and t-2
        return change


def face_jumps(detections: list[list[Face]]) -> Curve:
    """Return the jump [T] of the faces of T frames."""
    jumps = np.full(len(detections), np.nan)
    for t in range(1, len(detections)):
        moves = [
            float(np.median(np.linalg.norm(new.points - old.points, axis=-1)) / interocular(old.points))
            for old in detections[t - 1]
            for new in detections[t]
        ]
        jumps[t] = min(moves, default=np.nan)
    return jumps


def find_cuts(change: Curve, jump: Curve) -> NDArray[np.bool_]:
    """Return in which frames [T] a new shot begins; never in the first."""
    jump = np.nan_to_num(jump)
    around, jumps_around = _around(change), _around(jump).max(axis=1)
    other = (change >= OTHER) & (change >= 2 * np.median(around, axis=1))
    alone = (change >= LARGE) & (change >= 4 * around.max(axis=1))
    jumped = (jump >= JUMP) & (jump >= 3 * jumps_around)
    cut = other | alone | (jumped & (change >= SMALL) & (change >= 2 * around.max(axis=1)))
    cut[:1] = False
    return cut


def _thumbnail(frame: Frame) -> NDArray[np.float32]:
    height, width = (max(length // SIDE * SIDE, 1) for length in frame.shape[:2])  # whole blocks are quick to average
    small = cv2.resize(frame[:height, :width], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    picture = grey.astype(np.float32) - grey.mean(dtype=np.float32)
    return np.asarray(picture / max(float(picture.std()), FLAT), np.float32)


def _around(curve: Curve) -> Curve:
    """Return the NEAR values before and after each of T, [T, 2 NEAR]; 0 beyond the ends."""
    if not len(curve):
        return np.empty((0, 2 * NEAR))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(curve, NEAR), 2 * NEAR + 1)
    return np.asarray(np.delete(windows, NEAR, axis=1), np.float64)
