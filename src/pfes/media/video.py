"""One video file, decoded by FFmpeg: its pictures as a person sees them, and the times its frames are stamped with.

Conventions
-----------
Frames are uint8 [H, W, 3], BGR, turned and mirrored as the container asks (the display matrix that phones write) and with
square pixels: where the sample aspect ratio is not 1 the shorter side of a pixel is stretched. Their size is that of the first:
later ones are scaled to it, refused if their shape differs. They come in the order of showing, only those that decode; what
an edit list hides is not shown. A cover picture is no recording: the first stream of moving pictures is taken. Interlaced frames are left as they are, both fields in one picture. Where 16 bits a colour hold
fewer (a 12-bit camera), the bits in use are scaled to 8.

Only media files are opened, and nothing that they name: lists, playlists and patterns of other files are refused. The first
pass over a file is made in a process of its own (``apart``).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.media.apart import alive, apart

Frame = NDArray[np.uint8]

# FFmpeg's names of the formats that are opened; raw streams carry no times
CONTAINERS = "mov,matroska,avi,asf,flv,ogg,mpegts,mpeg,mxf,nut,ivf,gif,wtv,rm,dv,yuv4mpegpipe"
RAW = "mpegvideo,m4v,h264,hevc,av1,obu,vc1,mjpeg"
SAME_SHAPE = 0.02  # by which width over height may change within a recording
NO_FRAME_S = 60.0  # after which a file that is read and gives no frame is refused
MOST_STRETCH = 4.0  # a pixel this many times wider than high, or more, is a damaged header


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over a file found, without converting a picture.

    Attributes
    ----------
    n_frames : number of frames that decode
    stamps : [N] when each frame is shown, s, in the order of showing; None where frames carry no times
    rate : frames per second that the header gives, 0 for none
    may_jump : whether the container lets its clock start anew (transport streams)
    turn : how pictures are turned to be upright, for people; "" for not at all
    aspect : width of a pixel over its height
    bits : bits of a colour that are in use
    size : (width, height) of the upright pictures, px
    interlaced : number of frames that are flagged so
    notes : what a person should know of the file
    """

    n_frames: int
    stamps: NDArray[np.float64] | None
    rate: float
    may_jump: bool
    turn: str
    aspect: float
    bits: int
    size: tuple[int, int]
    interlaced: int
    notes: tuple[str, ...]


def scan(path: Path) -> Scan:
    """Return what a pass over the file at ``path`` finds; the same file is passed over once.

    Raises
    ------
    InputError
        It is no media file, holds no moving pictures, or none of them decodes.
    """
    state = path.stat()
    return _scan(path, state.st_mtime_ns, state.st_size)


def frames(path: Path, first: int = 0) -> Iterator[Frame]:
    """Yield every picture of a video file from frame ``first`` on, upright, in the order of showing.

    A file whose frames are told apart by their stamps is entered at a key frame before ``first``, any other at its beginning.

    Raises
    ------
    InputError
        As ``scan``; or the size of the pictures changes on the way.
    """
    with _opened(path) as (container, stream):
        reformatter, shape, bits = VideoReformatter(), None, 8
        for frame in _decoded_from(path, container, stream, first):
            if shape is None and _component_bits(frame) > 8:
                bits = scan(path).bits if _component_bits(frame) == 16 else 8
            picture = _upright(_converted(frame, reformatter, bits), _matrix(frame), _aspect(path, stream))
            shape = shape or picture.shape
            yield picture if picture.shape == shape else _of_size(path, picture, shape)


def glances(path: Path, count: int) -> Iterator[Frame]:
    """Yield up to ``count`` pictures spread over the file, near those that it can jump to: quick however long it is."""
    found = scan(path)
    if found.stamps is None:
        return
    with _opened(path) as (container, stream):
        reformatter = VideoReformatter()
        for wanted in np.linspace(found.stamps.min(), found.stamps.max(), 2 * count + 1)[1::2].tolist():
            container.seek(int(wanted / float(stream.time_base or 1)), stream=stream)
            frame = next(_decoded(container, stream), None)
            if frame is not None:
                yield _upright(_converted(frame, reformatter, found.bits), _matrix(frame), _aspect(path, stream))


@lru_cache(maxsize=4096)
def _scan(path: Path, modified: int, size: int) -> Scan:
    return apart(path, partial(_passed_over, path))


def _passed_over(path: Path) -> Scan:
    stamps: list[float | None] = []
    interlaced = corrupt = highest = 0
    sizes: dict[tuple[int, int], None] = {}
    first, bits, pictures = None, 8, (0, 0)
    with _opened(path) as (container, stream):
        for frame in _decoded(container, stream):
            alive()
            stamps.append(_stamp(frame))
            interlaced += frame.interlaced_frame
            corrupt += frame.is_corrupt
            sizes[frame.width, frame.height] = None
            if first is None:
                first, bits = _matrix(frame), _component_bits(frame)
                pictures = _upright_size(frame, first, _aspect(path, stream))
            if bits == 16:
                highest = max(highest, int(frame.to_ndarray(format="bgr48le").max()))
        if first is None:
            raise InputError(
                f"{path}: no frame could be decoded; expected a video that FFmpeg reads; convert it to H.264"
            )
        name = set(container.format.name.split(","))
        raw = bool(name & set(RAW.split(",")))
        others = sum(1 for other in container.streams.video if other.index != stream.index and _moves(other))
        notes = [
            (interlaced, f"interlaced: {interlaced} frames hold two fields each, used as they are; moving edges are combed"),
            (others, f"{others + 1} video streams; the first is used"),
            (len(sizes) > 1, f"stored in {len(sizes)} sizes, all scaled to the first"),
            (corrupt, f"{corrupt} frames are damaged"),
            (stream.frames > len(stamps), f"the header counts {stream.frames} frames, {len(stamps)} decode"),
        ]  # fmt: skip
        return Scan(
            n_frames=len(stamps),
            stamps=None if raw or None in stamps else np.asarray(stamps, np.float64),
            rate=0.0 if raw else float(stream.guessed_rate or 0),
            may_jump="mpegts" in name,
            turn=_turn(first),
            aspect=float(_aspect(path, stream)),
            bits=used_bits(highest) if bits == 16 else bits,
            size=pictures,
            interlaced=interlaced,
            notes=tuple(text for holds, text in notes if holds),
        )


def used_bits(highest: int) -> int:
    """Return the bits, 8 to 16 and even, that hold values up to ``highest``.

    >>> used_bits(4095), used_bits(4096), used_bits(90)
    (12, 14, 8)
    """
    return max(8, highest.bit_length() + highest.bit_length() % 2)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    options = {"format_whitelist": f"{CONTAINERS},{RAW}", "protocol_whitelist": "file"}
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace", timeout=NO_FRAME_S)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a video that can be decoded; expected a media file (mp4, mov, mkv, webm, avi, ts, ...), not a list"
            " of other files; convert or replace it"
        ) from error
    with container:
        moving = [stream for stream in container.streams.video if _moves(stream)]
        if not moving or moving[0].codec_context is None:
            raise InputError(
                f"{path}: holds no moving pictures that can be decoded; expected a video; convert it to H.264"
            )
        moving[0].codec_context.thread_count = 1
        yield container, moving[0]


def _moves(stream: VideoStream) -> bool:
    return not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield the frames that decode; damaged packets, and whatever follows a damaged end, are passed over."""
    packets, since = container.demux(stream), time.monotonic()
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.ExitError as error:  # FFmpeg read for NO_FRAME_S without finding a packet
            raise _without_frames(container) from error
        except av.FFmpegError:
            packet = None
        try:
            found = stream.decode(packet)
        except av.FFmpegError:
            found = []
        yield from found
        if packet is None:
            return
        if found:
            since = time.monotonic()
        elif time.monotonic() - since > NO_FRAME_S:
            raise _without_frames(container)


def _without_frames(container: InputContainer) -> InputError:
    name = container.name.removeprefix("file:")
    return InputError(
        f"{name}: gives no frame for {NO_FRAME_S:.0f} s of reading; expected a video; is it damaged, or on a disk that does not"
        " answer? copy it again, or convert it to H.264"
    )


def _decoded_from(path: Path, container: InputContainer, stream: VideoStream, first: int) -> Iterator[av.VideoFrame]:
    """Yield the frames that decode, from frame ``first`` on."""
    stamps = scan(path).stamps if first > 0 else None
    if stamps is not None and first < len(stamps) and (np.diff(stamps) > 0).all():
        container.seek(int(stamps[first] / float(stream.time_base or 1)), stream=stream)
        following = _decoded(container, stream)
        entered = next((frame for frame in following if (_stamp(frame) or 0.0) >= stamps[first]), None)
        if entered is not None and _stamp(entered) == stamps[first]:
            yield entered
            yield from following
            return
        container.seek(0, stream=stream)
    yield from islice(_decoded(container, stream), first, None)


def _stamp(frame: av.VideoFrame) -> float | None:
    ticks = frame.pts if frame.pts is not None else frame.dts
    return None if ticks is None else float(ticks * (frame.time_base or Fraction(1)))


def _component_bits(frame: av.VideoFrame) -> int:
    return max((component.bits for component in frame.format.components), default=8)


def _converted(frame: av.VideoFrame, reformatter: VideoReformatter, bits: int) -> Frame:
    target = "bgr24" if _component_bits(frame) < 16 else "bgr48le"
    made = reformatter.reformat(frame, format=target, interpolation=Interpolation.BICUBIC).to_ndarray()
    return np.asarray(made, np.uint8) if target == "bgr24" else to_8_bits(np.asarray(made, np.uint16), bits)


def to_8_bits(picture: NDArray[np.uint16], bits: int) -> Frame:
    """Return a picture whose values use ``bits`` bits scaled to 8, rounded down as a shift does."""
    return (picture >> (bits - 8)).astype(np.uint8)


def _matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return the signs (a, b, c, d) of the display matrix: a point (x, y) is shown at (a x + c y, b x + d y)."""
    side_data: Any = frame.side_data
    try:
        matrix = bytes(side_data[Type.DISPLAYMATRIX])
    except KeyError:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(matrix, "<i4")[:5].astype(np.float64)
    largest = max(abs(a), abs(b), abs(c), abs(d), 1.0)
    rounded = [int(np.rint(value / largest)) for value in (a, b, c, d)]
    straight = np.abs(np.array([a, b, c, d]) / largest - rounded).max() < 0.02
    if not straight or rounded[0] * rounded[3] == rounded[1] * rounded[2]:
        raise InputError(
            f"the container turns its pictures by {np.degrees(np.arctan2(-b, a)):.0f} degrees, expected quarter turns;"
            " convert the recording to upright pictures"
        )
    return rounded[0], rounded[1], rounded[2], rounded[3]


def _turn(matrix: tuple[int, int, int, int]) -> str:
    a, b, c, d = matrix
    angle = round(float(np.degrees(np.arctan2(-b, a)))) % 360
    words = [*([f"{angle} degrees"] if angle else []), *(["mirrored"] if a * d - b * c < 0 else [])]
    return ", ".join(words)


def _aspect(path: Path, stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not 1 / MOST_STRETCH <= aspect <= MOST_STRETCH:
        raise InputError(
            f"{path}: pixels {aspect} times as wide as high, expected {1 / MOST_STRETCH} to {MOST_STRETCH:g}; correct the"
            " header, or convert it to square pixels"
        )
    return aspect


def _upright(picture: Frame, matrix: tuple[int, int, int, int], aspect: Fraction) -> Frame:
    height, width = picture.shape[:2]
    wanted = _square(width, height, aspect)
    if wanted != (width, height):
        picture = np.asarray(cv2.resize(picture, wanted, interpolation=cv2.INTER_CUBIC), np.uint8)
    a, b, c, d = matrix
    if a == 0:
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _upright_size(frame: av.VideoFrame, matrix: tuple[int, int, int, int], aspect: Fraction) -> tuple[int, int]:
    width, height = _square(frame.width, frame.height, aspect)
    return (width, height) if matrix[0] else (height, width)


def _square(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))


def _of_size(path: Path, picture: Frame, shape: tuple[int, ...]) -> Frame:
    """Return a picture scaled to the size of the first one, as players do; a call over a network changes it on the way."""
    height, width = shape[:2]
    if abs(picture.shape[1] / picture.shape[0] * height / width - 1) > SAME_SHAPE:
        raise InputError(
            f"{path}: the picture changes from {width}x{height} to {picture.shape[1]}x{picture.shape[0]} px on the way;"
            " expected one shape; split it there, or convert it to one size"
        )
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
