"""What the method ``training_free`` watches: the displacement of regions and points of the face, head motion removed.

Conventions
-----------
Positions are [T, C, 2] in g (half the distance of the inner eye corners), x right and y down, up to a constant: C = 10
regions by flow, in the order of ``align.ROI_NAMES``, then the 10 landmarks in their middle, if there are landmarks.

Flow is exact to hundredths of g but loses its way where the look of the mouth changes altogether (wide open, lips rolled
in); landmarks are found anew in every frame and keep their way, but are exact to a tenth of g at best: with the head and
the lids they move by that much.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from pfes.base.intervals import lengths, runs
from pfes.base.records import HALF
from pfes.flow.snippets import N_ROIS
from pfes.methods.base import Signals
from pfes.methods.training_free.parameters import TrainingFreeParameters

Positions = NDArray[np.float64]

POINTS = np.array([20, 19, 18, 23, 24, 25, 48, 54, 51, 57])  # landmark of each region
RIGID = np.array(
    [27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45]
)  # landmarks that no expression moves far: nose, eye corners
BROWS = np.arange(2 * N_ROIS) % N_ROIS < 6  # channels that a blink moves
CLOSED, BLINK_S, AROUND = 0.85, 0.5, 3  # lids: share of the usual opening; longest blink; frames on either side of it
HUBER, HUBER_ROUNDS, NEVER_PX = 1.345, 6, 1e-3


@dataclass(frozen=True)
class Channels:
    """Positions [T, C, 2] in g, and the least quiet level [C] of each channel, g."""

    positions: Positions
    floors: NDArray[np.float64]


def channels(signals: Signals, params: TrainingFreeParameters) -> Channels:
    """Return what there is to watch in a video of T frames.

    During a blink brows are not measured but taken as moving evenly from before it to after it.
    """
    if params.motion == "long":
        flow = np.asarray(signals.measured, np.float64)
    else:
        flow = integrated(signals.measured) * (9.0 / signals.size)
    parts, floors = [flow], [np.full(N_ROIS, params.flow_floor_g)]
    seen = np.isfinite(signals.landmarks[:, 0, 0])
    if seen.any():
        parts.append(aligned(signals.landmarks)[:, POINTS])
        floors.append(np.full(N_ROIS, params.landmark_floor_g))
    positions = np.concatenate(parts, axis=1)
    known = ~blinks(signals.landmarks, signals.fps)
    if not known.all() and known.any():
        brows = BROWS[: positions.shape[1]]
        positions[:, brows] = _interpolated(positions[:, brows], known)
    return Channels(positions, np.concatenate(floors))


def aligned(landmarks: NDArray[np.floating]) -> Positions:
    """Return landmarks [T, 68, 2] (NaN: no face, then taken from the frames around) in g, without head motion.

    Each face is laid on the mean one by the similarity that fits its RIGID points best.
    """
    seen = np.isfinite(landmarks[:, 0, 0])
    points = _interpolated(landmarks, seen)
    points = points - points[:, RIGID].mean(axis=1, keepdims=True)
    z = points[..., 0] + 1j * points[..., 1]  # (T, 68)
    size = np.abs(z[:, 39] - z[:, 42])[:, None] / 2
    model = np.median((z / size).real, axis=0) + 1j * np.median((z / size).imag, axis=0)
    own = z[:, RIGID]
    turn = (np.conj(own) @ model[RIGID]) / np.maximum((np.abs(own) ** 2).sum(axis=1), 1e-9)
    laid = z * turn[:, None]
    return np.stack([laid.real, laid.imag], axis=-1)


def blinks(landmarks: NDArray[np.floating], fps: float) -> NDArray[np.bool_]:
    """Return in which of T frames the eyes blink: the lids of landmarks [T, 68, 2] come together for at most BLINK_S.

    The opening of an eye is the mean distance of its lids over that of its corners (Soukupova, Cech 2016). A blink is
    some frames below CLOSED of the median opening of the 2 s around, and AROUND frames before and after.
    """
    found = np.zeros(len(landmarks), bool)
    seen = np.isfinite(landmarks[:, 0, 0])
    if not seen.any():
        return found
    points = _interpolated(landmarks, seen)
    opening = np.mean([_opening(points[:, first : first + 6]) for first in (36, 42)], axis=0)
    usual = median_filter(opening, 2 * round(fps) + 1, mode="nearest")
    shut = runs(opening < CLOSED * usual)
    for first, last in shut[lengths(shut) <= BLINK_S * fps].tolist():
        found[max(0, first - AROUND) : last + AROUND + 1] = True
    return found


def integrated(snippets: NDArray[np.floating]) -> Positions:
    """Return the positions [T, R, 2] that fit the displacements in snippets [T, 17, R, 2] best (METHOD 10b.7, b).

    Entry k of snippet t is x(t - 8 + k) - x(t - 8); least squares with Huber weights over all entries, those beyond the
    ends of the video left out. One component at a time is a banded system of 16 off-diagonals.
    """
    n_frames, span = len(snippets), snippets.shape[1]
    if not n_frames:
        return np.zeros((0, *snippets.shape[2:]))
    start = np.arange(n_frames)[:, None] - HALF + np.zeros(span, np.int64)
    end = start + np.arange(span)
    used = (start >= 0) & (end < n_frames) & (end > start)
    first, second = start[used], end[used]
    columns = snippets[used].astype(np.float64).reshape(len(first), np.prod(snippets.shape[2:]))
    solved = [_positions(column, first, second, n_frames, span - 1) for column in columns.T]
    return np.stack(solved, axis=-1).reshape(n_frames, *snippets.shape[2:])


def _positions(
    steps: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64], n_frames: int, width: int
) -> NDArray[np.float64]:
    """Return x [T] for which x[second] - x[first] is ``steps`` [N], by reweighted least squares."""
    from scipy.linalg import solveh_banded  # not for every job that wants to know which methods there are

    weights, x = np.ones(len(steps)), np.zeros(n_frames)
    for _ in range(HUBER_ROUNDS):
        bands = np.zeros((width + 1, n_frames))
        bands[width] = np.bincount(first, weights, n_frames) + np.bincount(second, weights, n_frames) + 1e-6
        np.add.at(bands, (width - (second - first), second), -weights)
        pull = np.bincount(second, weights * steps, n_frames) - np.bincount(first, weights * steps, n_frames)
        x = solveh_banded(bands, pull)
        residual = np.abs(steps - (x[second] - x[first]))
        scale = HUBER * (1.4826 * np.median(residual) if len(residual) else 0) + NEVER_PX
        weights = 1 / np.maximum(1, residual / scale)
    return np.asarray(x)


def _opening(eye: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return lids' distance over corners' of an eye [T, 6, 2]."""
    lids = np.linalg.norm(eye[:, [1, 2]] - eye[:, [5, 4]], axis=-1).mean(axis=1)
    return np.asarray(lids / np.maximum(np.linalg.norm(eye[:, 0] - eye[:, 3], axis=-1), 1e-9), np.float64)


def _interpolated(values: NDArray[np.floating], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``values`` [T, ...] with the frames that are not ``known`` [T] interpolated in time."""
    frames = np.arange(len(values))
    columns = values.reshape(len(values), -1)
    filled = [np.interp(frames, frames[known], column[known]) for column in columns.T]
    return np.stack(filled, axis=-1).reshape(values.shape).astype(np.float64)
