"""Whether faces are upright in the pictures of a recording: detectors say it of a face on its side, not of one on its head.

Face mesh fits an upright face to one that is upside down, in some frames, with its eyes beside the mouth. So the pictures are
looked at both ways: where eyes are, there are edges. Measured on five recordings (shared data), seven frames each: the right
way is 2.4 to 4 times as sharp at the eyes as the wrong one.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import cv2
import numpy as np

from pfes.faces import geometry
from pfes.faces.geometry import Face, Frame

Detector = Callable[[], AbstractContextManager[Callable[[Frame], list[Face]]]]

MAX_ROLL = 45.0  # degrees
SURER = 1.5  # times as sharp at the eyes that pictures must be upside down to be taken for so
FRAMES = 7  # of a recording that are looked at
REACH = 0.22  # half the width of the patch at an eye, distances of the eyes


def lying(frames: Iterable[Frame], detector: Detector) -> float:
    """Return the angle at which faces lie, degrees clockwise: the median roll, 180 for upside down; NaN without a face."""
    pictures = list(frames)
    found, turned = (_largest(way, detector) for way in (pictures, [_over(picture) for picture in pictures]))
    rolls = [float(geometry.roll(face.points)) for face in found if face is not None]
    sharp, sharp_over = _at_eyes(pictures, found), _at_eyes([_over(picture) for picture in pictures], turned)
    if sharp_over > SURER * sharp:
        return 180.0
    return float(np.median(rolls)) if rolls else float("nan")


def advice(angle: float) -> str:
    """Return the filter of FFmpeg that turns a picture upright whose faces lie at ``angle`` degrees."""
    return "hflip,vflip" if abs(angle) > 180 - MAX_ROLL else "transpose=2" if angle > 0 else "transpose=1"


def _over(picture: Frame) -> Frame:
    return np.ascontiguousarray(picture[::-1, ::-1])


def _largest(pictures: Iterable[Frame], detector: Detector) -> list[Face | None]:
    with detector() as detect:
        return [max(detect(one), key=lambda face: geometry.size(face.points), default=None) for one in pictures]


def _at_eyes(pictures: Iterable[Frame], faces: Iterable[Face | None]) -> float:
    """Return the mean over pictures of the mean absolute Laplacian at the less sharp eye, 0 where there is no face."""
    values = [0.0 if face is None else _eyes(one, face) for one, face in zip(pictures, faces, strict=True)]
    return float(np.mean(values)) if values else 0.0


def _eyes(picture: Frame, face: Face) -> float:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 1)
    edges = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    reach = max(3, int(REACH * float(geometry.interocular(face.points))))
    sharp = []
    for eye in (face.points[36:42], face.points[42:48]):
        x, y = np.maximum(eye.mean(0), 0).astype(int)
        patch = edges[max(0, y - reach // 2) : y + reach // 2 + 1, max(0, x - reach) : x + reach + 1]
        sharp.append(float(patch.mean()) if patch.size else 0.0)
    return min(sharp)
