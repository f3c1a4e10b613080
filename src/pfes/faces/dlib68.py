"""Backend ``dlib``: the HOG face detector and the 68-point shape predictor of dlib.

The package (``dlib-bin``, imports as dlib) is optional. The model ``shape_predictor_68_face_landmarks.dat`` was trained
on iBUG 300-W, whose licence excludes commercial use; pfes does not carry it.

Every frame looks for each face of the frame before near its place, in a patch scaled to the size that the detector was
made for: quick, and free of drift. Where a face is lost, and every SEARCH_FRAMES, the whole picture is searched. The
predictor gives whole pixels: it works on a patch scaled to PATCH px.

References
----------
Kazemi, Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", doi 10.1109/CVPR.2014.241.
King, "Dlib-ml: A Machine Learning Toolkit", JMLR 10 (2009).
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.faces import geometry
from pfes.faces.geometry import Face, Frame, Points

MODEL = "shape_predictor_68_face_landmarks.dat"
CARRIER = "face_recognition_models"  # a package on PyPI that contains the model

SEARCH_FRAMES = 30
SMALLEST = 80  # side of the smallest box that the detector finds, px
BOX_PER_EYES = 2.5  # side of its box over the distance of the eyes
LOCAL = 110  # size to which a known face is scaled before detection, px
PATCH = 400  # side of the box to which a face is scaled before its points are predicted, px

Box = tuple[float, float, float]  # x0, y0, side, px


@contextmanager
def detector(model: str | None, max_faces: int, min_interocular: float) -> Iterator[Callable[[Frame], list[Face]]]:
    """Yield the function frame [H, W, 3] BGR -> faces, largest first; give it the frames of one video in order.

    Parameters
    ----------
    model : path of MODEL; None takes it from the installed package CARRIER
    max_faces : faces per frame, the largest ones
    min_interocular : eye distance down to which faces are searched for, px; at most the picture is doubled

    Raises
    ------
    InputError
        dlib or the model is missing, or the model cannot be read.
    """
    predictor = _predictor(model_path(model))
    yield _Follower(predictor, max_faces, min(2.0, SMALLEST / (BOX_PER_EYES * max(min_interocular, 1))))


def model_path(model: str | None) -> Path:
    """Return the model's file: ``model``, or the one inside the package CARRIER where ``model`` is None.

    Raises InputError where dlib or the model is missing: what to install, or which file is expected.
    """
    if importlib.util.find_spec("dlib") is None:
        raise InputError(
            "faces.backend: dlib is not installed; install it with: pip install 'pfes[dlib]' (the package dlib-bin)"
        )
    if model is not None:
        if not Path(model).is_file():
            raise InputError(f"faces.dlib_model: no file {model}; expected {MODEL} (non-commercial licence)")
        return Path(model)
    carrier = importlib.util.find_spec(CARRIER)
    path = Path(str(carrier.origin)).parent / "models" / MODEL if carrier else None
    if path is None or not path.is_file():
        raise InputError(
            f"faces.dlib_model: null, and no package {CARRIER} to take it from; give the path of {MODEL}, or, if its "
            f"non-commercial licence allows your use, install the package with: pip install {CARRIER}"
        )
    return path


def version() -> str:
    """Return the version of the installed dlib."""
    return str(importlib.import_module("dlib").__version__)


@cache
def _predictor(path: Path) -> Any:
    """Read the model, which takes a second, once per process."""
    try:
        return importlib.import_module("dlib").shape_predictor(str(path))
    except RuntimeError as error:
        raise InputError(
            f"faces.dlib_model: {path} is not a shape predictor of dlib ({error}); expected {MODEL}"
        ) from error


class _Follower:
    """Detects faces near their last places, and anywhere from time to time."""

    def __init__(self, predictor: Any, max_faces: int, scale: float) -> None:
        self._predictor, self._max_faces, self._scale = predictor, max_faces, scale
        self._dlib = importlib.import_module("dlib")
        self._detector = self._dlib.get_frontal_face_detector()
        self._last: list[Face] = []
        self._frame = 0

    def __call__(self, frame: Frame) -> list[Face]:
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        found = _distinct([near for face in self._last for near in self._near(grey, face.points)])
        if len(found) < max(len(self._last), 1) or self._frame % SEARCH_FRAMES == 0:
            found = _distinct(found + self._boxes(grey, self._scale, (0, 0)))
        largest = sorted(found, key=lambda detection: -detection[0][2])[: self._max_faces]
        self._frame += 1
        self._last = [Face(self._points(grey, box), score) for box, score in largest]
        return self._last

    def _near(self, grey: NDArray[np.uint8], points: Points) -> list[tuple[Box, float]]:
        """Return (box, score) of the face nearest to ``points`` in the square of 2.2 face sizes around them, if any."""
        centre, size = points.mean(0), max(geometry.size(points), 1.0)
        x0, y0 = np.maximum((centre - 1.1 * size).astype(int), 0)
        x1, y1 = np.maximum((centre + 1.1 * size).astype(int), 0)
        patch = grey[y0:y1, x0:x1]
        found = self._boxes(patch, LOCAL / size, (int(x0), int(y0))) if patch.size else []
        return sorted(found, key=lambda detection: float(np.linalg.norm(_centre(detection[0]) - centre)))[:1]

    def _boxes(self, grey: NDArray[np.uint8], scale: float, origin: tuple[int, int]) -> list[tuple[Box, float]]:
        found, scores, _ = self._detector.run(_scaled(grey, scale), 0, 0.0)
        corners = [
            (box.left() / scale + origin[0], box.top() / scale + origin[1], box.width() / scale) for box in found
        ]
        return list(zip(corners, map(float, scores), strict=True))

    def _points(self, grey: NDArray[np.uint8], box: Box) -> Points:
        """Return the points [68, 2] of the face in ``box``, predicted in a patch of three times its side."""
        x, y, side = box
        x0, y0 = int(x - side), int(y - side)
        rows = np.clip(np.arange(y0, int(y + 2 * side)), 0, grey.shape[0] - 1)
        columns = np.clip(np.arange(x0, int(x + 2 * side)), 0, grey.shape[1] - 1)
        scale = PATCH / side
        left, top = round((x - x0) * scale), round((y - y0) * scale)
        shape = self._predictor(
            _scaled(grey[rows[:, None], columns[None]], scale),
            self._dlib.rectangle(left, top, left + PATCH - 1, top + PATCH - 1),
        )
        points = np.array([(part.x, part.y) for part in shape.parts()], np.float32)
        return ((points + 0.5) / scale - 0.5 + (x0, y0)).astype(np.float32)  # pixel centres, as cv2.resize has them


def _scaled(grey: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    width, height = (max(1, round(length * scale)) for length in grey.shape[::-1])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (width, height), interpolation=interpolation), np.uint8)


def _distinct(found: list[tuple[Box, float]]) -> list[tuple[Box, float]]:
    """Return the detections without those whose centre lies in the box of an earlier one."""
    kept: list[tuple[Box, float]] = []
    for box, score in found:
        centre = _centre(box)
        if not any(np.abs(centre - _centre(other)).max() <= other[2] / 2 for other, _ in kept):
            kept.append((box, score))
    return kept


def _centre(box: Box) -> NDArray[np.float64]:
    return np.array([box[0] + box[2] / 2, box[1] + box[2] / 2])
