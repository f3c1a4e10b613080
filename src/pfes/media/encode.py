"""Write H.264 video: the one encoder of the demo renderer and of the overlay.

Frames are ``[H, W, 3]`` uint8 BGR, as OpenCV has them. One thread and bit-exact flags: the same frames give the same
file on the same machine. H.264 with 4:2:0 colour needs even sides, so an odd side is padded by repeating its last line.
Colours are ITU-R BT.601, limited range, converted by OpenCV; FFmpeg's default conversion shifts them by 2 to 3 levels.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.errors import InputError


def encode(
    path: Path | str, frames: Iterable[NDArray[np.uint8]], fps: float, crf: int = 20, *, fast: bool = False
) -> int:
    """Encode ``frames`` to an mp4 at ``path`` and return their number; frames are taken one by one.

    Parameters
    ----------
    frames : frames ``[H, W, 3]`` uint8 BGR, all of one size
    fps : constant frame rate of the file
    crf : quality of x264, 0 (lossless) to 51; 18 to 23 is usual
    fast : a search of 2/5 of the time (preset veryfast instead of medium), for what is looked at and not measured

    Raises
    ------
    InputError
        ``frames`` is empty, or a frame differs in size from the first.
    """
    written = 0
    with (
        store.atomic(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as file,
    ):
        shape: tuple[int, ...] | None = None
        for frame in frames:
            if shape is None:
                shape = frame.shape
                stream = _stream(file, frame, fps, crf, "veryfast" if fast else "medium")
            elif frame.shape != shape:
                raise InputError(
                    f"{path}: frame {written} has shape {frame.shape}, frame 0 {shape}; give frames of one size"
                )
            file.mux(stream.encode(_picture(frame)))
            written += 1
        if shape is None:
            raise InputError(f"{path}: no frame to encode")
        file.mux(stream.encode(None))
    return written


def _stream(file: OutputContainer, frame: NDArray[np.uint8], fps: float, crf: int, preset: str) -> VideoStream:
    rate = Fraction(fps).limit_denominator(1001)
    stream = file.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": preset, "threads": "1"})
    height, width = _even(frame).shape[:2]
    stream.height, stream.width = height, width
    stream.pix_fmt = "yuv420p"
    stream.codec_context.flags |= Flags.bitexact
    stream.codec_context.thread_count = 1
    stream.codec_context.colorspace, stream.codec_context.color_range = Colorspace.ITU601, ColorRange.MPEG
    return stream


def _picture(frame: NDArray[np.uint8]) -> av.VideoFrame:
    planes = np.asarray(cv2.cvtColor(_even(frame), cv2.COLOR_BGR2YUV_I420), np.uint8)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(frame)
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
