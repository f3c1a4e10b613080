"""The intensity that onset, apex and offset stand for.

Conventions
-----------
tau in [0, 1] is the position in a clip, 0 at the onset and 1 at the offset; outside it intensity is 0. alpha = (apex -
onset) / (offset - onset). All shapes but ``shuffled`` are 1 at tau = alpha. At an apex on the onset (alpha = 0) a clip starts at 1, on the
offset (alpha = 1) it ends at 1. An expression of one frame has alpha = 0 and is 1 there.

triangle   linear rise and fall                                                        [W25]
half_sine  a quarter of a sine up, one down
gaussian   exp(-(tau - alpha)^2 / (2 s^2)), s = a third of the way to the end on each side
gim        exp(-|x - mu|^2 / (2 sigma^2)), x the crop's pixels, mu those at the apex, sigma^2 the mean of |x - mu|^2
           over the clip: eq. 4 and 5 of GIM (ICLR 2025) on pixels
step       0 before the apex, 1 from it on: without the triangle's structure, for the ablation that [W25] rests on
shuffled   the triangle's values in an order drawn from the clip's own pixels: each clip has its own, always the same
"""

import zlib
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.intensity.parameters import Shape

Floats = NDArray[np.floating]
SHAPES: tuple[Shape, ...] = get_args(Shape)


def apex_position(onset: float, apex: float, offset: float) -> float:
    """Return alpha in [0, 1]; an apex that is missing (NaN) or outside of [onset, offset] counts as the midpoint."""
    if onset > offset:
        raise InputError(f"intensity: onset {onset:g} lies after offset {offset:g}; expected onset <= offset")
    if offset == onset:
        return 0.0
    alpha = (apex - onset) / (offset - onset)
    return float(alpha) if 0 <= alpha <= 1 else 0.5


def pseudo_intensity(tau: Floats, alpha: float, shape: Shape = "triangle", crops: NDArray | None = None) -> Floats:
    """Return the pseudo-intensity float64 [T], 0 to 1, at positions ``tau`` [T].

    ``crops`` [T, S, S] are needed for ``gim`` and ``shuffled`` only. Raises InputError for an unknown shape.
    """
    tau = np.asarray(tau, float)
    inside = (tau >= 0) & (tau <= 1)
    if shape in ("gim", "shuffled") and crops is None:
        raise ValueError(f"pseudo_intensity: {shape} needs the crops of the clip")
    if shape == "step":
        return np.where(inside & (tau >= alpha), 1.0, 0.0)
    if shape == "shuffled":
        curve = pseudo_intensity(tau, alpha)
        order = np.random.default_rng(zlib.crc32(np.ascontiguousarray(crops).tobytes())).permutation(int(inside.sum()))
        curve[inside] = curve[inside][order]
        return curve
    if shape == "gim":
        assert crops is not None
        return np.where(inside, _feature_distance(tau, alpha, inside, crops), 0.0)
    rising = tau <= alpha
    reach = np.where(rising, max(alpha, 1e-12), max(1 - alpha, 1e-12))  # distance from the apex to the end of its side
    away = np.abs(tau - alpha) / reach  # 0 at the apex, 1 at the end
    away[tau == alpha] = 0
    if shape == "triangle":
        curve = 1 - away
    elif shape == "half_sine":
        curve = np.cos(np.pi / 2 * np.minimum(away, 1))
    elif shape == "gaussian":
        curve = np.exp(-((3 * away) ** 2) / 2)
    else:
        raise InputError(f"intensity: shape {shape!r} is not known; expected one of {', '.join(SHAPES)}")
    return np.where(inside, np.clip(curve, 0, 1), 0.0)


def _feature_distance(tau: Floats, alpha: float, inside: NDArray[np.bool_], crops: NDArray) -> Floats:
    x = crops.reshape(len(crops), -1).astype(float)
    x = x - x.mean(1, keepdims=True)  # a change of light is no expression
    apex = int(np.argmin(np.where(inside, np.abs(tau - alpha), np.inf)))
    squared = ((x - x[apex]) ** 2).sum(1)
    variance = squared[inside].mean()
    return np.exp(-squared / (2 * variance)) if variance > 0 else np.ones_like(squared)
