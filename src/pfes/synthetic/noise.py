"""What the flow stage makes of motion: its error, its shrinkage, and how both hang together over regions and steps.

Conventions
-----------
Shapes and units are those of ``snippets``. An error is drawn once for a region in a frame, as if the region itself had
been there: so all flows to a frame share it, all flows of a window share that of their reference, and the nose's own is in
every region. Two parts, one new in every frame, one that lasts. On top of that each flow has a part of its own. Motion
is measured shorter than it is, by a share that differs from region to region and, a little, from window to window; beyond
some px of motion in a window flow loses its way.

How the numbers were found: ``pfes bench noise`` renders videos, measures them and compares; docs/benchmarks.md has the
figures. ``strength`` spreads them: no recording is like the rendered ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from pfes.flow.snippets import N_ROIS
from pfes.synthetic.snippets import Array

# Share of the error's variance in the difference of a region and the nose: of the nose, of what the two brows, the three
# regions of a brow, or the four of the mouth have in common; what is left is a region's own.
NOSE_SHARE, BROWS_SHARE, BROW_SHARE, MOUTH_SHARE = 0.25, 0.18, 0.35, 0.14


@dataclass(frozen=True)
class NoiseParameters:
    """The error of flow; px are standard deviations of one component.

    Attributes
    ----------
    frame_px, lasting_px, lasting_frames
        error of a region in a frame: the part that is new in each, the part that lasts, and for how long (frames in
        which its correlation with itself falls by e).
    flow_px
        error of one flow alone.
    slope, slope_spread
        share of the motion that is measured: mean, and standard deviation over the regions of a recording (exponential, to
        the lower side).
    flow_slope_spread
        standard deviation of that share from window to window.
    turn_spread
        standard deviation of the angle by which the motion of a region is measured askew, radian.
    strength
        range of the factor by which the errors of a whole recording are larger or smaller.
    lost_px, lost_share
        motion in a window from which on flow saturates, least and most; share of the recordings in which it does.
    """

    frame_px: float = 0.008
    lasting_px: float = 0.06
    lasting_frames: float = 16.0
    flow_px: float = 0.015
    slope: float = 0.93
    slope_spread: float = 0.1
    flow_slope_spread: float = 0.03
    turn_spread: float = 0.05
    strength: tuple[float, float] = (0.4, 2.5)
    lost_px: tuple[float, float] = (5.0, 14.0)
    lost_share: float = 0.4


def _loadings() -> Array:
    """Return [15, 11], how much of each independent part of the error is in each region and in the nose."""
    share = np.zeros((5 + N_ROIS, N_ROIS + 1))
    share[0, N_ROIS] = NOSE_SHARE
    share[1, :6], share[2, :3], share[3, 3:6], share[4, 6:N_ROIS] = BROWS_SHARE, BROW_SHARE, BROW_SHARE, MOUTH_SHARE
    share[5:, :N_ROIS] = np.diag(1 - NOSE_SHARE - share[:5, :N_ROIS].sum(0))
    return np.asarray(np.sqrt(share), np.float32)


LOADINGS = _loadings()


@dataclass(frozen=True)
class Strengths:
    """What is drawn once for N recordings: ``noise`` [N], ``slope`` and ``turn`` [N, 10], ``lost`` [N], px (inf: never)."""

    noise: NDArray[np.float64]
    slope: NDArray[np.float64]
    turn: NDArray[np.float64]
    lost: NDArray[np.float64]


def draw_strengths(rng: np.random.Generator, count: int, params: NoiseParameters = NoiseParameters()) -> Strengths:
    """Draw how strong the errors of ``count`` recordings are."""
    low, high = np.log(params.strength)
    slope = params.slope + params.slope_spread * (1 - rng.exponential(1, (count, N_ROIS)))
    lost = np.where(rng.random(count) < params.lost_share, rng.uniform(*params.lost_px, count), np.inf)
    turn = rng.normal(0, params.turn_spread, (count, N_ROIS))
    return Strengths(np.exp(rng.uniform(low, high, count)), np.clip(slope, 0.3, None), turn, lost)


def with_frame_errors(
    rng: np.random.Generator, tracks: Array, drawn: Strengths, params: NoiseParameters = NoiseParameters()
) -> Array:
    """Return tracks [N, T, 11, 2] with the errors that belong to a frame."""
    shape = (*tracks.shape[:2], len(LOADINGS), 2)
    lasting = rng.standard_normal(shape, np.float32)
    kept = np.float32(np.exp(-1 / params.lasting_frames))
    lasting[:, 1:] *= np.sqrt(1 - kept**2)
    lasting = params.lasting_px * lfilter(np.ones(1), np.array([1, -kept]), lasting, axis=1).astype(np.float32)
    parts = lasting + params.frame_px * rng.standard_normal(shape, np.float32)
    error = np.einsum("ntkc,kr->ntrc", parts, LOADINGS, optimize=True)
    return np.asarray(tracks + error * _f32(drawn.noise)[:, None, None, None], np.float32)


def measured(
    rng: np.random.Generator, motion: Array, drawn: Strengths, params: NoiseParameters = NoiseParameters()
) -> Array:
    """Return snippets [N, M, 17, 10, 2] from the motion in windows: shrunk, and with the errors of single flows."""
    n, m = motion.shape[:2]
    slope = drawn.slope[:, None] + rng.normal(0, params.flow_slope_spread, (n, m, N_ROIS))
    turn = _f32(drawn.turn)[:, None, None]
    x, y = motion[..., 0], motion[..., 1]
    found = np.stack([x - turn * y, y + turn * x], axis=-1) * _f32(slope)[:, :, None, :, None]
    length = np.linalg.norm(found, axis=-1, keepdims=True)
    found /= (1 + (length / _f32(drawn.lost)[:, None, None, None, None]) ** 4) ** np.float32(0.25)
    own = rng.standard_normal(found.shape, np.float32) * _f32(params.flow_px * drawn.noise)[:, None, None, None, None]
    own[:, :, 0] = 0
    return np.asarray(found + own, np.float32)


def _f32(values: NDArray[Any]) -> Array:
    return np.asarray(values, np.float32)
