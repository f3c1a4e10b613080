"""Dense optical flow of faces: a TV-L1 solver with a fixed, small number of iterations, on one CPU core.

Conventions
-----------
Images are [H, W] or [N, H, W], uint8 or float32, intensities 0..255. Flow is float32 [..., H, W, 2] in pixels, last
axis (x to the right, y down), from ``reference`` to ``moving``: moving(x + u(x)) = reference(x). A pattern that moves
to the right has u_x > 0. Two equal images give exactly zero. Inputs are never written to.

Energy
------
    E(u) = lambda * sum |rho(u)|_delta + sum |grad u_x| + |grad u_y|
    rho(u) = I1(x + u0) - I0(x) + g . (u - u0)        linearised at the flow u0 of the last warp, grey levels

|.|_delta is the Huber norm (quadratic below delta grey levels: sensor noise, absolute above: occlusion). I0 and I1 are
the two images without their local mean. Coarse to fine over a pyramid of factor one half; at each scale ``warps``
linearisations, each followed by ``iterations`` primal-dual steps (p: dual variable of grad u, |p| <= 1, one per
flow component; s = 1 / (8 tau)):
    u_new = prox(u + tau div p)         prox of the data term: shift along g by clip(rho / (g^2 + delta/(tau lambda)))
    p_new = project(p + s grad(2 u_new - u))
and a median filter of the flow. Both halves of a step run in one pass over the rows.

References
----------
[Z] Zach, Pock, Bischof (2007), A duality based approach for realtime TV-L1 optical flow,
    doi 10.1007/978-3-540-74936-3_22: the energy and its thresholding step.
[S] Sanchez, Meinhardt-Llopis, Facciolo (2013), TV-L1 optical flow estimation, IPOL, doi 10.5201/ipol.2013.26.
[C] Chambolle, Pock (2011), A first-order primal-dual algorithm, doi 10.1007/s10851-010-0251-1: the steps above.
[W] Wedel et al. (2009), An improved algorithm for TV-L1 optical flow, doi 10.1007/978-3-642-03061-1_2: blended
    gradients, median filter.

Differences from OpenCV's DualTVL1OpticalFlow and from [S]
----------------------------------------------------------
- Local mean removed (``highpass``); OpenCV compares raw intensities. With a light change of 1 % between the images this
  alone halves the error, without any it costs 2 to 9 %.
- Steps of [C] on u itself: no second field v and no coupling weight theta, hence no theta in TVL1.
- Huber data term; OpenCV and [S]: absolute value (delta = 0).
- 4 scales of 1/2, 2 warps, 30 iterations, always; OpenCV: 5 scales of .8, 5 warps, up to 300 iterations until
  epsilon. Stopping early leaves smooth skin motion less flattened: here 300 iterations have 60 % more error (95th
  percentile) than 30, and less only at .1 px.
- p starts at zero on each scale and is kept from warp to warp.
- g is the mean of the five-point gradients of I0 and of the warped I1; OpenCV and [S]: warped central difference of I1.
- Sampling is cubic (Catmull-Rom) at exact positions; OpenCV's remap rounds them to 1/32 px.
- Where x + u0 is outside of the image the data term is off (g = 0 and rho = 0).

docs/benchmarks.md has errors against known displacement and times.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numba import njit
from numba.core.compiler import Compiler
from numpy.typing import NDArray

Image = NDArray[np.uint8] | NDArray[np.float32]
Flow = NDArray[np.float32]
Plane = NDArray[Any]  # float32 [h, w]

COARSEST = 8  # px, smallest side of the coarsest scale
DERIVATIVE = np.array([[1, -8, 0, 8, -1]], np.float32) / 12


@dataclass(frozen=True, kw_only=True)
class TVL1:
    """Parameters of the solver; the defaults were chosen on known displacements of .1 to 3 px (docs/benchmarks.md).

    Parameters
    ----------
    lambda_
        lambda, weight of the data term per grey level. Higher follows the images and their noise, lower is smoother.
    tau
        tau, step of u in px. Not a matter of the model but of how far 30 iterations come: lower smooths earlier and
        shrinks small bumps, higher leaves noise. The dual step is 1 / (8 tau), the largest that converges.
    delta
        delta, grey levels below which the data term is quadratic, some 3 times the noise of a difference of two
        frames. 0 is the pure L1 norm: half as much error again with noise of 2 grey levels.
    highpass
        Sigma in px of the Gaussian whose local mean is subtracted from the images; 0 keeps the light as it is.
    scales
        Levels of the pyramid, each half the size of the one before. 4 follow shifts of 12 px, 3 of 8 px.
    warps
        Linearisations per scale.
    iterations
        Primal-dual steps per warp; all of them are done, there is no stopping test.
    median
        Side of the median filter on the flow after each warp, px: 3, 5, or 0 for none.
    """

    lambda_: float = 0.15
    tau: float = 1.0
    delta: float = 8.0
    highpass: float = 8.0
    scales: int = 4
    warps: int = 2
    iterations: int = 30
    median: int = 5

    def __post_init__(self) -> None:
        for name in ("lambda_", "tau"):
            if not getattr(self, name) > 0:
                raise ValueError(f"TVL1: {name} is {getattr(self, name)}, expected a number above 0")
        for name in ("delta", "highpass"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"TVL1: {name} is {getattr(self, name)}, expected 0 or more")
        for name in ("scales", "warps", "iterations"):
            if int(getattr(self, name)) != getattr(self, name) or getattr(self, name) < 1:
                raise ValueError(f"TVL1: {name} is {getattr(self, name)}, expected a whole number of at least 1")
        if self.median not in (0, 3, 5):
            raise ValueError(f"TVL1: median is {self.median}, expected 0, 3 or 5")


DEFAULT = TVL1()


def tvl1(reference: Image, moving: Image, params: TVL1 = DEFAULT) -> Flow:
    """Return the flow from ``reference`` to ``moving``.

    Parameters
    ----------
    reference, moving
        [H, W] or [N, H, W], same shape and dtype, uint8 or float32, 0..255; at least 8 * 2^(scales - 1) px a side.
    params
        See TVL1.

    Returns
    -------
    float32 [H, W, 2] or [N, H, W, 2], px, (x, y). The pairs of a batch do not influence each other.

    Raises
    ------
    ValueError
        Wrong type, dtype or shape, images too small, or values that are not finite.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    >>> tvl1(image, image).shape
    (64, 64, 2)
    """
    _check("reference", reference, (2, 3), params)
    _check("moving", moving, (2, 3), params)
    if reference.shape != moving.shape or reference.dtype != moving.dtype:
        raise ValueError(
            f"tvl1: reference is {reference.dtype} {reference.shape} and moving {moving.dtype} {moving.shape}, "
            "expected the same dtype and shape"
        )
    size = reference.shape[-2:]
    flow = np.empty((*reference.shape, 2), np.float32)
    for out, image, other in zip(
        flow.reshape(-1, *size, 2), reference.reshape(-1, *size), moving.reshape(-1, *size), strict=True
    ):
        _solve(_reference(image, params), _pyramid(other, params), params, out)
    return flow


def tvl1_window(frames: Image, params: TVL1 = DEFAULT) -> Flow:
    """Return the flow from frame 0 to each later frame, [K, H, W] -> float32 [K - 1, H, W, 2].

    Equal to ``tvl1(frames[0], frames[k])`` for k = 1 .. K - 1; pyramid and gradients of frame 0 are computed once.
    One frame gives an empty result. Raises ValueError as tvl1 does.
    """
    _check("frames", frames, (3,), params)
    flow = np.empty((max(len(frames) - 1, 0), *frames.shape[1:], 2), np.float32)
    if len(flow):
        first = _reference(frames[0], params)
        for out, moving in zip(flow, frames[1:], strict=True):
            _solve(first, _pyramid(moving, params), params, out)
    return flow


def _check(name: str, images: Image, dimensions: tuple[int, ...], params: TVL1) -> None:
    found = getattr(images, "dtype", None)
    if not isinstance(images, np.ndarray) or found not in (np.uint8, np.float32):
        raise ValueError(
            f"tvl1: {name} is a {type(images).__name__} of {found}, expected a numpy array of uint8 or float32 with "
            "intensities 0..255"
        )
    if images.ndim not in dimensions:
        shapes = {2: "[H, W]", 3: "[N, H, W]"}
        expected = " or ".join(shapes[d] for d in dimensions)
        raise ValueError(f"tvl1: {name} has shape {images.shape}, expected {expected} (grey images)")
    smallest = COARSEST * 2 ** (params.scales - 1)
    if min(images.shape[-2:]) < smallest:
        raise ValueError(
            f"tvl1: {name} is {images.shape[-1]} x {images.shape[-2]} px, expected at least {smallest} px a side for "
            f"{params.scales} scales; enlarge the crop or use fewer scales"
        )
    if images.dtype == np.float32 and not np.isfinite(images).all():
        raise ValueError(f"tvl1: {name} has {(~np.isfinite(images)).sum()} values that are not finite, expected 0..255")


class _Scale(NamedTuple):
    """One scale of the reference: image and gradient."""

    image: Plane
    gx: Plane
    gy: Plane


def _reference(image: Image, params: TVL1) -> list[_Scale]:
    return [_Scale(level, *_gradient(level)) for level in _pyramid(image, params)]


def _pyramid(image: Image, params: TVL1) -> list[Plane]:
    """Return the image without its local mean at each scale, finest first."""
    levels: list[Plane] = [image.astype(np.float32, order="C")]
    if params.highpass:
        levels[0] -= cv2.GaussianBlur(levels[0], (0, 0), params.highpass)
    for _ in range(params.scales - 1):
        h, w = levels[-1].shape
        smooth = cv2.GaussianBlur(levels[-1], (0, 0), 0.7)
        levels.append(cv2.resize(smooth, ((w + 1) // 2, (h + 1) // 2), interpolation=cv2.INTER_AREA))
    return levels


def _gradient(image: Plane) -> tuple[Plane, Plane]:
    gx = cv2.filter2D(image, cv2.CV_32F, DERIVATIVE, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.filter2D(image, cv2.CV_32F, DERIVATIVE.T, borderType=cv2.BORDER_REPLICATE)
    return gx, gy


def _solve(reference: list[_Scale], moving: list[Plane], params: TVL1, out: Flow) -> None:
    """Write the flow into ``out`` [H, W, 2], coarse to fine."""
    u: list[Plane] = [np.zeros_like(reference[-1].image)] * 2
    for scale, target in zip(reversed(reference), reversed(moving), strict=True):
        h, w = scale.image.shape
        factors = w / u[0].shape[1], h / u[0].shape[0]
        u = [
            cv2.resize(c, (w, h), interpolation=cv2.INTER_LINEAR) * np.float32(f)
            for c, f in zip(u, factors, strict=True)
        ]
        u = _solve_scale(scale, target, u, params)
    out[..., 0], out[..., 1] = u


def _solve_scale(scale: _Scale, target: Plane, u: list[Plane], params: TVL1) -> list[Plane]:
    """Return the components (x, y) of the flow after all warps at one scale, [h, w] each."""
    h, w = target.shape
    padded = cv2.copyMakeBorder(target, 1, 2, 1, 2, cv2.BORDER_REPLICATE)  # [h + 3, w + 3]: room for cubic taps
    bar = np.zeros((2, h, w + 1), np.float32)  # 2 u_new - u, last column repeated
    px = np.zeros((2, h, w + 1), np.float32)  # p along x, column 0 is the border
    py = np.zeros((2, h + 1, w), np.float32)  # p along y, row 0 is the border
    warped, inside, slope, rest = np.empty((4, h, w), np.float32)
    # Types of the arguments never vary: one compiled version each, so that processes may fill the cache together.
    step = np.float32(params.tau)
    limit = np.float32(params.tau * params.lambda_)
    huber = np.float32(max(params.delta / (params.tau * params.lambda_), 1e-6))
    for _ in range(params.warps):
        _warp(padded, u[0], u[1], warped, inside)
        gx, gy = _gradient(warped)
        _linearise(
            scale.image.ravel(), scale.gx.ravel(), scale.gy.ravel(), warped.ravel(), inside.ravel(), u[0].ravel(),
            u[1].ravel(), gx.ravel(), gy.ravel(), slope.ravel(), rest.ravel(), huber,
        )  # fmt: skip
        _iterate(
            u[0], u[1], bar[0], bar[1], px[0], py[0], px[1], py[1], gx, gy, slope, rest,
            step, limit, np.float32(1 / (8 * params.tau)), params.iterations,
        )  # fmt: skip
        if params.median:
            u = [cv2.medianBlur(component, params.median) for component in u]
    return u


class _NoAlias(Compiler):
    """Numba's compiler, told that array arguments never overlap: without this the row loops do not vectorise."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


def _kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile with the result cached on disk, or without a cache where no directory can be written."""
    try:
        return njit(fastmath=True, nogil=True, cache=True, pipeline_class=_NoAlias)(function)
    except RuntimeError:  # numba: no locator available
        return njit(fastmath=True, nogil=True, pipeline_class=_NoAlias)(function)


_row = njit(fastmath=True, nogil=True, pipeline_class=_NoAlias)
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
TWO, THREE, FOUR, FIVE = np.float32(2), np.float32(3), np.float32(4), np.float32(5)


@_kernel
def _warp(padded, u1, u2, warped, inside):
    """Sample at x + u with Catmull-Rom weights, positions held at the border; ``inside`` is 1 where none was held."""
    h, w = u1.shape
    stride = padded.shape[1]
    flat = padded.reshape(-1)
    for i in range(h):
        for j in range(w):
            x, y = np.float32(j) + u1[i, j], np.float32(i) + u2[i, j]
            cx, cy = min(max(x, ZERO), np.float32(w - 1)), min(max(y, ZERO), np.float32(h - 1))
            inside[i, j] = ONE if cx == x and cy == y else ZERO
            ix, iy = np.int64(cx), np.int64(cy)
            a0, a1, a2, a3 = _cubic(cx - np.float32(ix))
            b0, b1, b2, b3 = _cubic(cy - np.float32(iy))
            o = iy * stride + ix
            p, q, r = o + stride, o + 2 * stride, o + 3 * stride
            warped[i, j] = (
                b0 * (a0 * flat[o] + a1 * flat[o + 1] + a2 * flat[o + 2] + a3 * flat[o + 3])
                + b1 * (a0 * flat[p] + a1 * flat[p + 1] + a2 * flat[p + 2] + a3 * flat[p + 3])
                + b2 * (a0 * flat[q] + a1 * flat[q + 1] + a2 * flat[q + 2] + a3 * flat[q + 3])
                + b3 * (a0 * flat[r] + a1 * flat[r + 1] + a2 * flat[r + 2] + a3 * flat[r + 3])
            )


@_row
def _cubic(t):
    """Return the weights of the four taps at -1, 0, 1, 2 for a position t in [0, 1)."""
    return (
        HALF * t * (t * (TWO - t) - ONE),
        HALF * (t * t * (THREE * t - FIVE) + TWO),
        HALF * t * (t * (FOUR - THREE * t) + ONE),
        HALF * t * t * (t - ONE),
    )


@_kernel
def _linearise(image, rx, ry, warped, inside, u1, u2, gx, gy, slope, rest, huber):
    """Blend the gradients; rho(u) = rest + g . u, and slope = 1 / (g^2 + delta/(tau lambda)); outside, g = 0."""
    for j in range(image.shape[0]):
        x = HALF * (gx[j] + rx[j]) * inside[j]
        y = HALF * (gy[j] + ry[j]) * inside[j]
        gx[j], gy[j] = x, y
        slope[j] = ONE / (x * x + y * y + huber)
        rest[j] = (warped[j] - image[j]) * inside[j] - x * u1[j] - y * u2[j]


@_kernel
def _iterate(u1, u2, bar1, bar2, px1, py1, px2, py2, gx, gy, slope, rest, tau, limit, sigma, iterations):
    """Run the primal-dual steps in place; the dual update of a row follows as soon as the next row of u is new."""
    h, w = u1.shape
    for _ in range(iterations):
        for i in range(h):
            _primal(
                u1[i], u2[i], bar1[i], bar2[i], px1[i], py1[i + 1], py1[i], px2[i], py2[i + 1], py2[i],
                gx[i], gy[i], slope[i], rest[i], tau, limit,
            )  # fmt: skip
            bar1[i, w], bar2[i, w] = bar1[i, w - 1], bar2[i, w - 1]
            if i > 0:
                _dual(bar1[i - 1], bar1[i], px1[i - 1], py1[i], sigma)
                _dual(bar2[i - 1], bar2[i], px2[i - 1], py2[i], sigma)
        _dual(bar1[h - 1], bar1[h - 1], px1[h - 1], py1[h], sigma)
        _dual(bar2[h - 1], bar2[h - 1], px2[h - 1], py2[h], sigma)


@_row
def _primal(u1, u2, bar1, bar2, px1, py1, above1, px2, py2, above2, gx, gy, slope, rest, tau, limit):
    for j in range(u1.shape[0]):
        v1 = u1[j] + tau * (px1[j + 1] - px1[j] + py1[j] - above1[j])
        v2 = u2[j] + tau * (px2[j + 1] - px2[j] + py2[j] - above2[j])
        move = min(max((rest[j] + gx[j] * v1 + gy[j] * v2) * slope[j], -limit), limit)
        v1 -= move * gx[j]
        v2 -= move * gy[j]
        bar1[j] = TWO * v1 - u1[j]
        bar2[j] = TWO * v2 - u2[j]
        u1[j] = v1
        u2[j] = v2


@_row
def _dual(bar, below, px, py, sigma):
    for j in range(py.shape[0]):
        x = px[j + 1] + sigma * (bar[j + 1] - bar[j])
        y = py[j] + sigma * (below[j] - bar[j])
        shrink = ONE / np.sqrt(max(x * x + y * y, ONE))
        px[j + 1] = x * shrink
        py[j] = y * shrink
