"""One face in one picture: its 68 points, and what they say about size, distance, pose and sharpness.

Conventions
-----------
Points are float32 [68, 2], x to the right and y down, px of the recording, in the order of the 68-point scheme (jaw
0-16, brows 17-21 and 22-26, nose 27-35, eyes 36-41 and 42-47, outer lips 48-59, inner lips 60-67), image left before
image right. Sequences of them are [T, 68, 2], NaN where there is no face.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Frame = NDArray[np.uint8]

# A generic head for the pose: point -> (x right, y down, z away from the camera), mm, nose tip at the origin.
HEAD_MODEL = {
    30: (0, 0, 0),
    8: (0, 63.6, 12.5),
    36: (-43.3, -32.7, 26),
    45: (43.3, -32.7, 26),
    48: (-28.9, 28.9, 24.1),
    54: (28.9, 28.9, 24.1),
}


class Face(NamedTuple):
    """A detection: points [68, 2], the backend's confidence (NaN where it gives none) and sharpness, grey^2."""

    points: Points
    confidence: float = float("nan")
    sharpness: float = float("nan")


def size(points: Points) -> float:
    """Return the side of a square of the area of the box around one face [68, 2], px."""
    return float(np.sqrt(np.prod(np.ptp(points, axis=0))))


def interocular(points: Points) -> NDArray[np.float32]:
    """Return the distance of the eye centres [...] of faces [..., 68, 2], px; NaN without face."""
    eyes = points[..., 36:42, :].mean(-2) - points[..., 42:48, :].mean(-2)
    return np.asarray(np.linalg.norm(eyes, axis=-1), np.float32)


def roll(points: Points) -> NDArray[np.float32]:
    """Return the angle [...] of the line from the image-left to the image-right eye of faces [..., 68, 2], degrees.

    0 is level, 90 lies on the right side of the picture (turned clockwise), 180 on its head; NaN without face.
    """
    across = points[..., 42:48, :].mean(-2) - points[..., 36:42, :].mean(-2)
    return np.asarray(np.degrees(np.arctan2(across[..., 1], across[..., 0])), np.float32)


def pose(points: Points, picture: tuple[int, int]) -> NDArray[np.float32]:
    """Return yaw, pitch and roll [3] in degrees of one face [68, 2] in a picture of (width, height), NaN without face.

    A rigid generic head under a pinhole camera of focal length = image width: good for telling turned heads, not for metrology.
    """
    if not np.isfinite(points[0, 0]):
        return np.full(3, np.nan, np.float32)
    width, height = picture
    camera = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float64)
    model, image = np.array(list(HEAD_MODEL.values()), np.float64), points[list(HEAD_MODEL)].astype(np.float64)
    _, rotation, _ = cv2.solvePnP(model, image, camera, np.zeros(4), flags=cv2.SOLVEPNP_SQPNP)
    pitch, yaw, roll = cv2.RQDecomp3x3(cv2.Rodrigues(rotation)[0])[0]
    return np.array([yaw, pitch, roll], np.float32)


def sharpness(frame: Frame, points: Points) -> float:
    """Return the variance of the Laplacian in the box around one face [68, 2], grey^2: the lower, the more blurred."""
    x0, y0 = np.maximum(points.min(0).astype(int), 0)
    x1, y1 = np.maximum(points.max(0).astype(int) + 1, 0)
    face = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[y0:y1, x0:x1]
    return float(cv2.Laplacian(face, cv2.CV_32F).var()) if face.size else float("nan")
