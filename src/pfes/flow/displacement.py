"""Stage displacement: where the regions of the face are, against one picture of the same face, over a whole recording.

SW-MRO sees 16 frames; a slow or long expression is seen against a rest that lies further away (METHOD 10b.7, a).

Conventions
-----------
A shot is covered by windows of ``window_s``, each beginning half a window after the one before. The *reference* of a window
is its frame whose landmarks lie nearest to those of most others, a rest and no expression where there is one. The result
[T, 10, 2] is the displacement of the first ten regions (``rois``), in g, half the distance of the inner eye corners
(1/9 of the side of the crop), x right and y down, up to one constant for each shot.

Method
------
1. All frames of a window are cropped with the reference's box, moved by whole px with the tip of the nose, and the flow
   from the reference to each is measured, one pair a frame.
2. Head motion: shift, turn and size of the whole face, a similarity fitted to the flow inside the outline of the
   landmarks by iteratively reweighted least squares (Cauchy weights, scale the median residual), is subtracted.
3. The mean over the strongest pixels of each region is taken of the rest.
4. A window is moved by the median of its difference to what came before it, and both are blended where they overlap.

Differences from METHOD_TRAINING_FREE 7 a
-----------------------------------------
- The reference is chosen, so that flow from an open mouth to a closed one is rarely asked for.
- The whole face instead of the nose says how the head moved: a nose stands out of the face and turns with it. On the demo
  the nose alone left motion of the size of expressions.
- Crops are not moved again by measured flow: the similarity takes what whole px leave over.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import setting
from pfes.base.errors import InputError
from pfes.base.intervals import Intervals, shots
from pfes.base.progress import watched
from pfes.faces import align
from pfes.faces.align import ROIS
from pfes.faces.landmarks import USABLE, Points
from pfes.flow.roi_means import SHARES, roi_means
from pfes.flow.snippets import N_ROIS
from pfes.flow.sw_mro import FlowParameters, Solver, in_threads, placement, solver
from pfes.flow.windows import TIP, Flow, Grey, Placement
from pfes.media import decode

FITTED = 3  # the head's motion is fitted to every third pixel along both axes
ROUNDS, LEAST_PX = 8, 0.3  # of the reweighting; least scale of its residuals
CLOSE = 0.2  # quantile of the distances of frames that says what lies near

Displacement = NDArray[np.float64]


@dataclass(frozen=True)
class DisplacementParameters:
    """Displacement against a rest."""

    window_s: float = setting(
        6.7, "length of a window, all of whose frames are compared with one, s", minimum=1, maximum=60
    )


@dataclass(frozen=True)
class LongWindow:
    """Frames ``start`` .. ``stop`` - 1, all compared with frame ``reference``."""

    start: int
    stop: int
    reference: int


def write_displacement(
    recording: str,
    faces_path: Path | str,
    out: Path | str,
    flow: FlowParameters,
    params: DisplacementParameters = DisplacementParameters(),
    *,
    cores: int = 1,
) -> None:
    """Measure the displacement of a recording and write a file of kind ``displacement``; a refusal passes through.

    ``cores``: windows measured side by side; the result is the same for any number.
    """
    used = {"flow": {**asdict(flow), "device": "cpu"}, "displacement": asdict(params)}
    origin = provenance.record("displacement", used, [faces_path])
    with store.refusing(out, "displacement", origin):
        faces = store.read(faces_path, "faces")
        fps = float(store.attributes(faces_path, "faces")["fps"])
        place = placement(faces["landmarks"], flow, cut=faces["cut"], native=faces["native_frame"])
        length = max(2, round(params.window_s * fps))
        found = long_windows(place.landmarks, faces["state"] == USABLE, shots(faces["cut"]), length)
        native = faces["native_frame"].tolist()
        frames = watched("optical flow", (frame for _, frame in decode.read_at(recording, native)), len(native))
        measure = partial(window_displacement, place=place, solve=solver(flow))
        parts = in_threads(measure, stacks(frames, found, place), cores)
        whole = stitched(found, list(parts), len(faces["found"]))
        store.write(
            out, "displacement", {"displacement": whole}, origin, fps=fps,
            rois=" ".join(roi.name for roi in ROIS[:N_ROIS]),
        )  # fmt: skip


def long_windows(landmarks: Points, usable: NDArray[np.bool_], of_shots: Intervals, length: int) -> list[LongWindow]:
    """Return the windows of ``length`` frames that cover the shots [N, 2], in the order of their starts.

    ``landmarks`` [T, 68, 2] without NaN; a frame that is not ``usable`` [T] is no reference where another is.
    """
    windows = []
    for first, last in of_shots.tolist():
        for start in range(first, max(last + 1 - length // 2, first + 1), max(1, length // 2)):
            frames = slice(start, min(start + length, last + 1))
            windows.append(LongWindow(frames.start, frames.stop, start + rest_frame(landmarks[frames], usable[frames])))
    return windows


def rest_frame(landmarks: Points, usable: NDArray[np.bool_]) -> int:
    """Return the frame whose landmarks [T, 68, 2], about the nose and without the jaw, are nearest to those of most."""
    about_nose = landmarks[:, 17:] - landmarks[:, 27:36].mean(axis=1, keepdims=True)
    size = np.linalg.norm(landmarks[:, 39] - landmarks[:, 42], axis=1)
    return densest((about_nose / size[:, None, None]).reshape(len(landmarks), -1), usable)


def densest(rows: NDArray[np.floating], usable: NDArray[np.bool_]) -> int:
    """Return which of ``rows`` [T, D] has most others near it, of the usable ones [T] if there are any."""
    candidates = usable if usable.any() else np.ones(len(rows), bool)
    squares = (rows**2).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))[:, candidates]
    near = max(float(np.quantile(apart[candidates], CLOSE)), 1e-9)
    return int(np.argmax(np.where(candidates, np.exp(-((apart / near) ** 2)).sum(axis=1), -1.0)))


def stacks(
    frames: Iterable[decode.Frame | None], windows: list[LongWindow], place: Placement
) -> Iterator[tuple[LongWindow, Grey]]:
    """Yield each window with its crops [1 + n, S, S], the reference's first; an unreadable frame shows the one before.

    Raises
    ------
    InputError
        The first frame cannot be read, or there are fewer frames than places.
    """
    crops: dict[LongWindow, list[Grey]] = {window: [] for window in windows}
    nose = place.landmarks[:, TIP]
    grey: Grey | None = None
    for t, frame in enumerate(frames):
        if frame is not None:
            grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        if grey is None:
            raise InputError("the first frame of the recording cannot be read; remove it or replace it")
        for window in [window for window in crops if window.start <= t]:
            shift = np.rint(nose[t] - nose[window.reference]).astype(np.int64)
            crops[window].append(align.crop(grey, place.boxes[window.reference] + np.append(shift, 0), place.size))
            if t == window.stop - 1:
                own = crops.pop(window)
                yield window, np.stack([own[window.reference - window.start], *own])
    if crops:
        raise InputError(
            f"the recording ended before frame {max(window.stop for window in crops) - 1}; did it change since its faces "
            "were found? delete its file of faces and rerun"
        )


def window_displacement(item: tuple[LongWindow, Grey], place: Placement, solve: Solver) -> Displacement:
    """Return the displacement [n, 10, 2], in g, of the frames of a window from its crops [1 + n, S, S]."""
    window, crops = item
    flow = next(iter(solve([crops])))  # (n, S, S, 2)
    box, scale = place.boxes[window.reference], place.size / place.boxes[window.reference][2]
    points = (place.landmarks[window.reference] - box[:2]) * scale
    regions = align.roi_boxes(place.landmarks[window.reference], box, place.size, ROIS[:N_ROIS])
    grid = np.stack(np.meshgrid(np.arange(place.size), np.arange(place.size)), axis=-1).astype(np.float64)
    inside = np.zeros((place.size, place.size), np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(points).astype(np.int32)), (1,))
    fitted = np.zeros_like(inside, bool)
    fitted[::FITTED, ::FITTED] = inside[::FITTED, ::FITTED] > 0
    shift, turn = similarity(grid[fitted], flow[:, fitted])
    positions = grid[..., 0] + 1j * grid[..., 1]
    found = []
    for k, field in enumerate(flow):
        head = shift[k] + turn[k] * positions
        rest = (field - np.stack([head.real, head.imag], axis=-1)).astype(np.float32)
        found.append(roi_means(rest, regions, SHARES[:N_ROIS]))
    return np.stack(found) * (9.0 / place.size)


def similarity(points: NDArray[np.float64], flow: Flow) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Fit shift [K] and turn [K], complex, to flow [K, N, 2] at ``points`` [N, 2]: flow = shift + turn * point.

    x + i y stands for a vector: turn's real part is growth, its imaginary part rotation (radian). What moves by itself, as
    long as it is less than half of the points, hardly counts.
    """
    z = points[:, 0] + 1j * points[:, 1]
    v = flow[..., 0].astype(np.float64) + 1j * flow[..., 1]
    centre = z.mean()
    shift, turn = np.median(v.real, axis=1) + 1j * np.median(v.imag, axis=1), np.zeros(len(v), np.complex128)
    for _ in range(ROUNDS):
        residual = np.abs(v - shift[:, None] - turn[:, None] * (z - centre))
        scale = np.maximum(1.4826 * np.median(residual, axis=1, keepdims=True), LEAST_PX)
        weight = 1 / (1 + (residual / scale) ** 2)
        weight /= weight.sum(axis=1, keepdims=True)
        mean_z, mean_v = (weight * z).sum(axis=1, keepdims=True), (weight * v).sum(axis=1, keepdims=True)
        spread = (weight * np.abs(z - mean_z) ** 2).sum(axis=1)
        turn = (weight * np.conj(z - mean_z) * (v - mean_v)).sum(axis=1) / np.maximum(spread, 1e-9)
        shift = mean_v[:, 0] - turn * (mean_z[:, 0] - centre)
    return shift - turn * centre, turn


def stitched(windows: list[LongWindow], parts: list[Displacement], n_frames: int) -> Displacement:
    """Join the displacements [n, R, 2] of overlapping windows to one [T, R, 2]; windows that do not overlap stay apart."""
    whole = np.zeros((n_frames, *parts[0].shape[1:]))
    stop = 0
    for window, part in zip(windows, parts, strict=True):
        shared = max(0, stop - window.start)
        before, own = whole[window.start : stop], part[:shared]
        moved = part + np.median(before - own, axis=0) if shared else part
        rise = ((np.arange(shared) + 1) / (shared + 1))[:, None, None]
        whole[window.start : window.start + shared] = (1 - rise) * before + rise * moved[:shared]
        whole[window.start + shared : window.stop] = moved[shared:]
        stop = window.stop
    return whole
