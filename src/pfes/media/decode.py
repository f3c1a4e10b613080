"""Decode recordings, and map native frames to frames sampled at about 30 per second.

Conventions
-----------
A recording is a video file or a folder of images whose order is the number after the last ``_`` (or letter) of their
names. Frames are uint8 [H, W, 3], BGR. ``step`` is the number of native frames per sampled frame: an integer stride
where that comes near enough to the wanted rate, else the ratio of the rates (resampling by time, nearest frame).
Sampled frame i shows native frame ``rint(i * step)``; a label at native frame f belongs to sampled frame
``rint(f / step)``, ties to even in both. Frame counts come from decoding, never from the file's header.

Variable rate: where the frames of a video file are shown more than UNEVEN frame intervals away from even spacing, their
own times count. Sampled frame i then shows the native frame nearest to i / fps, and a label at native frame f belongs
to sampled frame ``rint(time of f * fps)``. A frame rate given for such a file is believed where it differs from the
file's mean by more than RATE_TOLERANCE (a fast camera's file played slowly): its frames are then evenly spaced.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.base.config import setting
from pfes.base.errors import InputError

UNEVEN = 0.5  # frame intervals
RATE_TOLERANCE = 0.01

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

    fps: float = setting(30.0, "wanted frame rate after down-sampling, 1/s", minimum=1, maximum=240)
    tolerance: float = setting(
        0.05,
        "relative deviation from it up to which an integer stride is taken; beyond, frames are picked by time",
        minimum=0,
        maximum=0.5,
    )

    def step(self, native_fps: float) -> float:
        """Return the native frames per sampled frame for a recording of ``native_fps`` frames per second."""
        stride = max(1, round(native_fps / self.fps))
        near = abs(native_fps / stride - self.fps) <= self.tolerance * self.fps
        return float(stride) if near else native_fps / self.fps


@dataclass(frozen=True, eq=False)
class Clock:
    """When the native frames of a recording are shown.

    fps
        native frames per second, the mean where the rate varies.
    times
        time [N] of each native frame, s, from the first; None for a constant rate: frame f at f / ``fps``.
    """

    fps: float
    times: NDArray[np.float64] | None = None

    def seconds(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the times of native ``frames``; the frame after the last ends it."""
        frames = np.asarray(frames)
        return frames / self.fps if self.times is None else self._ends()[np.clip(frames, 0, len(self.times))]

    def frames(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the native frames whose times lie nearest to ``seconds``."""
        seconds = np.asarray(seconds)
        return np.rint(seconds * self.fps).astype(np.int64) if self.times is None else _nearest(self._ends(), seconds)

    def sampled(self, frames: NDArray[np.int64], params: SamplingParameters, n_frames: int) -> NDArray[np.int64]:
        """Return the sampled frames of labels at native ``frames``, the last ones clipped to the ``n_frames`` sampled."""
        if self.times is None:
            return native_to_sampled(frames, params.step(self.fps), n_frames)
        return np.minimum(np.rint(self.seconds(frames) * params.fps), n_frames - 1).astype(np.int64)

    def sampled_fps(self, params: SamplingParameters) -> float:
        """Return the rate of the sampled frames."""
        return self.fps / params.step(self.fps) if self.times is None else params.fps

    def _ends(self) -> NDArray[np.float64]:
        assert self.times is not None
        return np.append(self.times, self.times[-1] + 1 / self.fps)


def recording_clock(path: Path | str, given: float = 0.0) -> Clock:
    """Return when the frames of a recording are shown; ``given`` is its frame rate in the sheet, 0 for the file's own.

    Raises
    ------
    InputError
        The recording has no frame rate, and none is given.
    """
    shown = _packet_times(Path(path))
    if shown is None or _even(shown):
        return Clock(_constant_rate(path, given))
    mean = (len(shown) - 1) / (shown[-1] - shown[0])
    if given > 0 and abs(given - mean) > RATE_TOLERANCE * mean:
        return Clock(float(given))
    times = _decoded_times(Path(path))
    return Clock((len(times) - 1) / float(times[-1]), times)


def sampling_map(clock: Clock, n_native: int, params: SamplingParameters) -> NDArray[np.int64]:
    """Return the native frame [T] that each sampled frame shows, for a recording of ``n_native`` frames."""
    if clock.times is None:
        return sampled_to_native(n_native, params.step(clock.fps))
    end = float(clock.times[-1]) + 0.5 / clock.fps  # as far beyond the last frame as an even rate goes
    wanted = np.arange(int(end * params.fps) + 1) / params.fps
    return np.minimum(_nearest(clock.times, wanted[wanted < end]), n_native - 1)


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


def _constant_rate(path: Path | str, given: float) -> float:
    if given > 0:
        return float(given)
    path = check_recording(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder of images has no frame rate; give it in the column fps of the videos sheet")
    rate = _open(path).get(cv2.CAP_PROP_FPS)
    if not 1 <= rate <= 2000:
        raise InputError(f"{path}: the file gives a frame rate of {rate}; give the real one in the column fps")
    return float(rate)


def _packet_times(path: Path) -> NDArray[np.float64] | None:
    """Return the times at which a video file says that its frames are shown, s, in order, without decoding any.

    None for folders, for files that cannot be read (which decoding then says), and where frames carry no times.
    """
    if not path.is_file():
        return None
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            stamps = [packet.pts for packet in file.demux(stream) if packet.size]
    except (av.FFmpegError, OSError, ValueError, IndexError):
        return None
    if len(stamps) < 2 or None in stamps:
        return None
    return np.sort(np.asarray(stamps, np.float64)) * float(stream.time_base or 1)


def _even(times: NDArray[np.float64]) -> bool:
    """Return whether times [N] lie within UNEVEN intervals of an even spacing."""
    interval = (times[-1] - times[0]) / (len(times) - 1)
    deviation = np.abs(times - times[0] - interval * np.arange(len(times)))
    return bool(interval <= 0 or deviation.max() <= UNEVEN * interval)


def _decoded_times(path: Path) -> NDArray[np.float64]:
    """Return the time [N] of every frame that decodes, s, from the first, by the decoder that reads the frames."""
    capture, times = _open(path), []
    while capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    if len(times) < 2:
        raise InputError(f"{path}: {len(times)} frames decode; expected a video; convert it to H.264")
    return np.maximum.accumulate(np.asarray(times)) - times[0]


def _nearest(times: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the time nearest to each of ``seconds``; of two as near, the earlier."""
    after = np.clip(np.searchsorted(times, seconds), 1, len(times) - 1)
    return np.where(seconds - times[after - 1] <= times[after] - seconds, after - 1, after).astype(np.int64)


def count_frames(path: Path | str) -> int:
    """Return the number of native frames that decode."""
    path = check_recording(path)
    if path.is_dir():
        return len(_images(path))
    capture, n_frames = _open(path), 0
    while capture.grab():
        n_frames += 1
    return n_frames


def image_numbers(folder: Path | str) -> NDArray[np.int64]:
    """Return the numbers in the names of a folder's images, in order; frame i is the image with the i-th of them."""
    return np.asarray([_number(image) for image in _images(Path(folder))], np.int64)


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
    capture, n_frames = _open(path), 0
    while True:
        found, frame = capture.read()
        if not found:
            break
        n_frames += 1
        yield frame  # type: ignore[misc]
    if n_frames == 0:
        raise InputError(
            f"{path}: no frame could be decoded; expected a video that OpenCV's FFmpeg reads; convert it to H.264"
        )


def read_sampled(path: Path | str, clock: Clock, params: SamplingParameters) -> Iterator[tuple[int, Frame | None]]:
    """Yield (native index, frame) of every sampled frame in order; one native frame may serve several times."""
    if clock.times is None:
        return read_at(path, strides(params.step(clock.fps)))
    return read_at(path, sampling_map(clock, len(clock.times), params).tolist())


def strides(step: float) -> Iterator[int]:
    """Yield the native frame of each sampled frame, without end; Python's round ties to even, as np.rint does."""
    return (round(sampled * step) for sampled in count())


def read_at(path: Path | str, native_frames: Iterable[int]) -> Iterator[tuple[int, Frame | None]]:
    """Yield (native index, frame) for every one of ``native_frames``, in ascending order, as far as the recording goes."""
    wanted = iter(native_frames)
    following = next(wanted, -1)
    for native, frame in enumerate(read_frames(path)):
        while following == native:
            yield native, frame
            following = next(wanted, -1)
        if following < 0:
            return


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise InputError(
            f"{path}: not a video that can be decoded; expected a video file (H.264, MJPEG, ...); convert or replace it"
        )
    return capture


def _images(folder: Path) -> list[Path]:
    images = [item for item in folder.iterdir() if item.suffix.lower() in IMAGES and not item.name.startswith(".")]
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
