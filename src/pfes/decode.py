"""Decode recordings, and map native frames to frames sampled at about 30 per second.

Conventions
-----------
A recording is a video file or a folder of images whose order is the number after the last ``_`` (or letter) of their
names. Frames are uint8 [H, W, 3], BGR. ``step`` is the number of native frames per sampled frame: an integer stride
where that comes near enough to the wanted rate, else the ratio of the rates (resampling by time, nearest frame).
Sampled frame i shows native frame ``rint(i * step)``; a label at native frame f belongs to sampled frame
``rint(f / step)``, ties to even in both. Frame counts come from decoding, never from the file's header.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.errors import InputError

cv2.setNumThreads(1)

Frame = NDArray[np.uint8]
IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}


@dataclass(frozen=True)
class SamplingParameters:
    """Resampling of recordings.

    fps
        wanted rate, frames per second.
    tolerance
        an integer stride is taken where its rate differs from ``fps`` by at most this share (200 fps / 7 differs by
        .048 from 30); beyond, frames are picked by time.
    """

    fps: float = 30.0
    tolerance: float = 0.05

    def step(self, native_fps: float) -> float:
        """Return the native frames per sampled frame for a recording of ``native_fps`` frames per second."""
        stride = max(1, round(native_fps / self.fps))
        near = abs(native_fps / stride - self.fps) <= self.tolerance * self.fps
        return float(stride) if near else native_fps / self.fps


def sampled_to_native(n_native: int, step: float) -> NDArray[np.int64]:
    """Return the native frame [T] that each sampled frame shows, for a recording of ``n_native`` frames."""
    native = np.rint(np.arange(int(n_native / step) + 2) * step).astype(np.int64)
    return native[native < n_native]


def native_to_sampled(frames: NDArray[np.int64], step: float, n_frames: int) -> NDArray[np.int64]:
    """Return the sampled frames of labels at native ``frames``, ties to even, the last ones clipped to the video."""
    return np.minimum(np.rint(np.asarray(frames) / step), n_frames - 1).astype(np.int64)


def check_recording(path: Path | str) -> Path:
    """Return ``path`` if something could be decoded there; raise InputError that says what is wrong otherwise."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected a video or a folder of images; correct its path")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); expected a video; copy it again")
    return path


def frame_rate(path: Path | str, given: float = 0.0) -> float:
    """Return the native frame rate: ``given`` if positive, else what the video file says."""
    if given > 0:
        return float(given)
    path = check_recording(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder of images has no frame rate; give it in the column fps of the videos sheet")
    rate = _open(path).get(cv2.CAP_PROP_FPS)
    if not 1 <= rate <= 2000:
        raise InputError(f"{path}: the file gives a frame rate of {rate}; give the real one in the column fps")
    return float(rate)


def count_frames(path: Path | str) -> int:
    """Return the number of native frames that decode."""
    path = check_recording(path)
    if path.is_dir():
        return len(_images(path))
    capture, count = _open(path), 0
    while capture.grab():
        count += 1
    return count


def read_frames(path: Path | str) -> Iterator[Frame | None]:
    """Yield every native frame in order; None for an image of a folder that cannot be read.

    Raises
    ------
    InputError
        Nothing is there, it is not a video, or no frame decodes.
    """
    path = check_recording(path)
    if path.is_dir():
        yield from (cv2.imread(str(image), cv2.IMREAD_COLOR) for image in _images(path))  # type: ignore[misc]
        return
    capture, count = _open(path), 0
    while True:
        found, frame = capture.read()
        if not found:
            break
        count += 1
        yield frame  # type: ignore[misc]
    if count == 0:
        raise InputError(
            f"{path}: no frame could be decoded; expected a video that OpenCV's FFmpeg reads; convert it to H.264"
        )


def read_sampled(path: Path | str, step: float) -> Iterator[tuple[int, Frame | None]]:
    """Yield (native index, frame) of every sampled frame in order; one native frame may serve several times."""
    sampled = 0
    for native, frame in enumerate(read_frames(path)):
        while round(sampled * step) == native:  # Python's round ties to even, as np.rint does
            yield native, frame
            sampled += 1


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise InputError(
            f"{path}: not a video that can be decoded; expected a video file (H.264, MJPEG, ...); convert or replace it"
        )
    return capture


def _images(folder: Path) -> list[Path]:
    images = [item for item in folder.iterdir() if item.suffix.lower() in IMAGES]
    if not images:
        raise InputError(f"{folder}: the folder holds no image ({', '.join(sorted(IMAGES))}); expected numbered frames")
    unnumbered = [item.name for item in images if not re.search(r"\d+$", item.stem)]
    if unnumbered:
        raise InputError(
            f"{folder}: {unnumbered[0]} does not end in a number; frames are ordered by it, e.g. img001.jpg"
        )
    return sorted(images, key=_number)


def _number(image: Path) -> int:
    match = re.search(r"(\d+)$", image.stem)
    return int(match.group(1)) if match else -1
