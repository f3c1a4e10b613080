"""When the frames of a recording are shown, and which of them are sampled at about 30 per second.

Conventions
-----------
``step`` is the number of native frames per sampled frame: an integer stride where that comes near enough to the wanted
rate, else the ratio of the rates (resampling by time, nearest frame). Sampled frame i shows native frame
``rint(i * step)``; a label at native frame f belongs to sampled frame ``rint(f / step)``, ties to even in both.

Time
----
Time is what the frames are stamped with, from the first frame. Stamps within UNEVEN frame intervals of even spacing are
even: a constant rate, the header's where it agrees with them over the whole recording, else theirs. The header alone
counts only where frames carry no stamps. A rate in the sheet is believed where it differs from the stamps by more than
RATE_TOLERANCE (a fast camera's file played slowly): frames are then evenly spaced.

Variable rate: sampled frame i shows the native frame nearest to i / fps, and a label at native frame f belongs to sampled
frame ``rint(time of f * fps)``.

Gaps: where nothing was recorded for more than GAP_S and GAP_INTERVALS usual intervals, sampled frames further than half of
it from any picture are *missing*, and a new *stretch* begins after it: nothing is measured across. Stamps that go back by
more than BACK_S, or leap by more than LEAP_S where the container lets its clock start anew, are those of a second recording
joined to the first: it follows one interval after, as a new stretch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfes.base.config import setting
from pfes.base.errors import InputError

UNEVEN = 0.5  # frame intervals
RATE_TOLERANCE = 0.01
SLOWEST, FASTEST = 1.0, 20_000.0  # frames per second that a recording may have
GAP_S, GAP_INTERVALS = 0.15, 2.5
BACK_S, LEAP_S, LONGEST_GAP_S = 0.25, 10.0, 3600.0

Times = NDArray[np.float64]


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
        native frames per second; the mean, gaps left out, where the rate varies.
    times
        time [N] of each native frame, s, from the first; None for a constant rate: frame f at f / ``fps``.
    starts
        native frames that begin a new stretch, after a gap or where two recordings were joined.
    source
        where the rate comes from: ``stamps``, ``header`` or ``sheet``.
    """

    fps: float
    times: Times | None = None
    starts: tuple[int, ...] = ()
    source: str = "sheet"

    def seconds(self, frames: NDArray[np.int64]) -> Times:
        """Return the times of native ``frames``; the frame after the last ends it."""
        frames = np.asarray(frames)
        return frames / self.fps if self.times is None else self._ends()[np.clip(frames, 0, len(self.times))]

    def frames(self, seconds: Times) -> NDArray[np.int64]:
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

    def missing(self, native: NDArray[np.int64], params: SamplingParameters) -> NDArray[np.bool_]:
        """Return which sampled frames [T], showing ``native`` [T], lie in a gap: no picture is near their time."""
        if self.times is None:
            return np.zeros(len(native), bool)
        return np.abs(self.times[native] - np.arange(len(native)) / params.fps) > _gap_limit(np.diff(self.times)) / 2

    def begins(self, native: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which sampled frames [T], showing ``native`` [T], are the first of a new stretch; never the very first."""
        stretch = np.searchsorted(np.asarray(self.starts, np.int64), native, side="right")
        return np.diff(stretch, prepend=stretch[:1]) > 0

    def gaps(self) -> list[tuple[int, float]]:
        """Return (native frame after it, length in s) of every gap."""
        if self.times is None:
            return []
        steps = np.diff(self.times)
        return [(int(i) + 1, float(steps[i])) for i in np.flatnonzero(steps > _gap_limit(steps))]

    def lost_before(self, frame: int) -> int:
        """Return how many frame times without a frame lie before native ``frame``: 0 where nothing is missing."""
        if self.times is None or (self.source != "sheet" and not self.starts):
            return 0
        usual = float(np.median(np.diff(self.times)))
        return max(0, round(float(self.times[min(frame, len(self.times) - 1)]) / usual) - frame)

    def _ends(self) -> Times:
        assert self.times is not None
        return np.append(self.times, self.times[-1] + 1 / self.fps)


def clock_of_stamps(stamps: Times | None, header: float, *, given: float = 0.0, may_jump: bool = False) -> Clock:
    """Return the clock of frames with ``stamps`` [N], s, in the order of showing.

    Parameters
    ----------
    stamps : None where frames carry no times
    header, given : rate that the file's header and the sheet give, frames per second, 0 for none
    may_jump : whether a leap of the stamps may be a clock that starts anew

    Raises
    ------
    InputError
        There is no rate at all, or a gap of more than LONGEST_GAP_S.
    """
    if stamps is None or len(stamps) < 2 or stamps.max() <= stamps.min():
        return constant(header, given)
    times, starts = _continuous(stamps, may_jump)
    steps = np.diff(times)
    if steps.max() > LONGEST_GAP_S:
        where = int(steps.argmax()) + 1
        raise InputError(
            f"frame {where} is stamped {steps.max() / 3600:.1f} h after the one before; its times are damaged, write them anew"
        )
    if _even(times):
        mean = (len(times) - 1) / times[-1]
        agrees = abs(header - mean) * times[-1] <= UNEVEN
        rate = given or (header if agrees else mean)
        return Clock(float(rate), None, tuple(starts), "sheet" if given else "stamps")
    inner = steps[steps <= _gap_limit(steps)]
    rate = float(len(inner) / inner.sum())
    if given and abs(given - rate) > RATE_TOLERANCE * rate:
        return Clock(float(given), None, tuple(starts), "sheet")
    clock = Clock(rate, times, (), "stamps")
    return Clock(rate, times, tuple(sorted({*starts, *(frame for frame, _ in clock.gaps())})), "stamps")


def clock_of_places(places: NDArray[np.int64], given: float) -> Clock:
    """Return the clock of images at ``places`` [N] in time, in frames from the first, of a recording at rate ``given``."""
    if len(places) == places[-1] + 1:
        return Clock(float(given))
    clock = Clock(float(given), places / given)
    return Clock(clock.fps, clock.times, tuple(frame for frame, _ in clock.gaps()))


def constant(header: float, given: float) -> Clock:
    """Return the clock of frames without stamps; raises InputError where neither header nor sheet give a possible rate."""
    rate = given or header
    if not SLOWEST <= rate <= FASTEST:
        source = "the sheet or --fps gives" if given else "the file gives"
        raise InputError(f"{source} a frame rate of {rate:g}; give the real one, in the column fps or with --fps")
    return Clock(float(rate), source="sheet" if given else "header")


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


def _continuous(stamps: Times, may_jump: bool) -> tuple[Times, list[int]]:
    """Return the times [N] of frames from the first, never falling, and the frames that begin a joined recording.

    Stamps that fall by less are those of a container that gives none for showing (H.264 in AVI): they are put in order.
    """
    steps = np.diff(stamps)
    joined = (steps < -BACK_S) | (steps > LEAP_S if may_jump else np.zeros(len(steps), bool))
    parts = [np.sort(part) for part in np.split(stamps, np.flatnonzero(joined) + 1)]
    usual = float(np.median(np.concatenate([np.diff(part) for part in parts])))
    times = [parts[0] - parts[0][0]]
    for part in parts[1:]:
        times.append(times[-1][-1] + usual + part - part[0])
    return np.concatenate(times), (np.flatnonzero(joined) + 1).tolist()


def _even(times: Times) -> bool:
    """Return whether times [N] lie within UNEVEN intervals of an even spacing."""
    interval = times[-1] / (len(times) - 1)
    deviation = np.abs(times - interval * np.arange(len(times)))
    return bool(interval <= 0 or deviation.max() <= UNEVEN * interval)


def _gap_limit(steps: Times) -> float:
    return max(GAP_S, GAP_INTERVALS * float(np.median(steps)))


def _nearest(times: Times, seconds: Times) -> NDArray[np.int64]:
    """Return the index of the time nearest to each of ``seconds``; of two as near, the earlier."""
    after = np.clip(np.searchsorted(times, seconds), 1, len(times) - 1)
    return np.where(seconds - times[after - 1] <= times[after] - seconds, after - 1, after).astype(np.int64)
