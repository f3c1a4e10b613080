"""Open recordings: their frames, one by one, and when they are shown.

Conventions
-----------
A recording is a video file (``media.video``) or a folder of images (``media.images``); nothing else is opened, and nothing
that a file names. Frames are uint8 [H, W, 3], BGR, upright, of square pixels. Native frame f is the f-th that decodes, from
0: what an edit list hides or a damaged packet held does not count, nor does a place that an AVI file leaves empty. When they
are shown and which of them are sampled: ``media.clock``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np

from pfes.base.errors import InputError
from pfes.media import images, video
from pfes.media.clock import RATE_TOLERANCE, clock_of_places, clock_of_stamps, constant
from pfes.media.clock import Clock as Clock
from pfes.media.clock import SamplingParameters as SamplingParameters
from pfes.media.clock import native_to_sampled as native_to_sampled
from pfes.media.clock import sampled_to_native as sampled_to_native
from pfes.media.clock import sampling_map as sampling_map
from pfes.media.images import IMAGES as IMAGES
from pfes.media.images import image_numbers as image_numbers
from pfes.media.video import Frame as Frame

SHORT = 600  # frames that are read one after the other to see some of them


@dataclass(frozen=True, eq=False)
class Recording:
    """What a recording is, as ``describe`` found it.

    n_frames, clock
        number of frames that decode, and when they are shown.
    turn
        how its pictures are turned to be upright, "" for not at all.
    bits
        bits of a colour that are in use; 8 of them are kept.
    aspect
        width of a pixel over its height, as stored.
    size
        (width, height), px, upright and of square pixels.
    notes
        what a person should know of it.
    """

    n_frames: int
    clock: Clock
    turn: str
    bits: int
    aspect: float
    size: tuple[int, int]
    notes: tuple[str, ...]


def describe(path: Path | str, given: float = 0.0, *, ranked: bool = False) -> Recording:
    """Return what the recording at ``path`` is; ``given`` and ``ranked`` as for ``recording_clock``.

    Raises
    ------
    InputError
        It is no recording, or has no frame rate.
    """
    path, clock = check_recording(path), recording_clock(path, given, ranked=ranked)
    if path.is_dir():
        missing = np.diff(image_numbers(path)) if ranked else np.diff(images.frame_places(path))
        lost = int((missing - 1).sum())
        notes = [f"{lost} numbers of images are missing"] if lost else []
        return Recording(
            len(image_numbers(path)), clock, images.turn(path), images.depth(path), 1.0, images.size(path), tuple(notes)
        )
    scan = video.scan(path)
    joins = len(clock.starts) - len(clock.gaps())
    notes = [*scan.notes, *([f"{joins + 1} recordings joined"] if joins else [])]
    own = clock_of_stamps(scan.stamps, scan.rate, may_jump=scan.may_jump).fps if scan.stamps is not None else scan.rate
    if clock.source == "sheet" and own and abs(own - clock.fps) > RATE_TOLERANCE * own:
        notes.append(f"the file's own rate is {own:g}, the sheet's {clock.fps:g}")
    return Recording(scan.n_frames, clock, scan.turn, scan.bits, scan.aspect, scan.size, tuple(notes))


def recording_clock(path: Path | str, given: float = 0.0, *, ranked: bool = False) -> Clock:
    """Return when the frames of a recording are shown.

    Parameters
    ----------
    given : its frame rate in the sheet, 0 for the file's own
    ranked : images of a folder follow each other whatever their numbers: a missing one is no time

    Raises
    ------
    InputError
        The recording has no frame rate, and none is given.
    """
    path = check_recording(path)
    try:
        if path.is_dir():
            if not given:
                raise InputError("a folder of images has no frame rate; give it in the column fps of the videos sheet")
            return (
                constant(0.0, given) if ranked else clock_of_places(images.frame_places(path), constant(0.0, given).fps)
            )
        scan = video.scan(path)
        return clock_of_stamps(scan.stamps, scan.rate, given=given and constant(0.0, given).fps, may_jump=scan.may_jump)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error


def check_recording(path: Path | str) -> Path:
    """Return ``path`` if something could be decoded there; raise InputError that says what is wrong otherwise."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected a video or a folder of images; correct its path")
    if not path.is_file() and not path.is_dir():
        raise InputError(
            f"{path}: neither a file nor a folder; expected a video file, no pipe and no device; record it first"
        )
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); expected a video; copy it again")
    return path


def count_frames(path: Path | str) -> int:
    """Return the number of native frames that decode."""
    path = check_recording(path)
    return len(images.images(path)) if path.is_dir() else video.scan(path).n_frames


def read_frames(path: Path | str, first: int = 0) -> Iterator[Frame | None]:
    """Yield every native frame from ``first`` on, in order; None for an image of a folder that cannot be read.

    Raises
    ------
    InputError
        Nothing is there, it is not a video, no frame decodes, or its pictures differ in size.
    """
    path = check_recording(path)
    yield from islice(images.frames(path), first, None) if path.is_dir() else video.frames(path, first)


def glances(path: Path | str, count: int) -> Iterator[Frame]:
    """Yield up to ``count`` frames spread over a recording; those of long video files are near the ones wanted."""
    path, n_frames = check_recording(path), count_frames(path)
    if path.is_dir() or n_frames <= SHORT:
        wanted = np.unique(np.linspace(0, n_frames - 1, 2 * count + 1)[1::2].astype(int)).tolist()
        yield from (frame for _, frame in read_at(path, wanted) if frame is not None)
    else:
        yield from video.glances(path, count)


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
