"""Dense optical flow of faces: a TV-L1 solver with a fixed, small number of iterations, on one CPU core.

Conventions
-----------
Images are [H, W] or [N, H, W], uint8 or float32, intensities 0..255. Flow is float32 [..., H, W, 2] in pixels, last
axis (x to the right, y down), from ``reference`` to ``moving``: moving(x + u(x)) = reference(x). A pattern that moves
to the right has u_x > 0. Two equal images give exactly zero. Inputs are never written to.

Energy
------
    E(u) = lambda * sum |rho(u)|_delta + sum |grad u_x|_epsilon + |grad u_y|_epsilon
    rho(u) = I1(x + u) - I0(x) - (offset + gain * I0(x))

|.|_d is the Huber norm: x^2 / (2 d) below d, |x| - d / 2 above. u lives on cells of 2 x 2 px: the data term is summed
over all pixels, u is interpolated linearly between the centres of cells, grad u is the difference to the next cell.

Scheme
------
1. Both images are padded at the right and below (edge repeated) to a multiple of cell * 2^(scales - 1), smoothed by a
   Gaussian (``prefilter``), and halved scales - 1 times: filter (1, 3, 3, 1) / 8 along both axes, every second sample
   (centres stay aligned). L0 is the mean of I0 over cells, smoothed by LIGHT; the gradient is that of I0 with its local
   light taken out: g = grad I0 - (I0 + DARK) / (L0 + DARK) grad L0, central differences, edge repeated.
2. Coarse to fine: u = 2 * u of the coarser scale, linearly interpolated (0 at the coarsest); p = 0. Then ``warps``
   times, with u0 the present u:
   a. u0 on pixels (linear interpolation), I1 sampled there (Catmull-Rom, 4 x 4 taps). Where x + u0 is outside of the
      image the pixel takes no part below.
   b. Light: offset and gain by least squares of I1(x + u0) - I0 on (1, I0), over the image; then a gain e of each cell,
      from the rest r: e = LIGHT-smoothed mean of r over cells / (L0 + DARK), rho0 = r - e (I0 + DARK). n = mean |rho0|,
      at least NOISE grey levels: what the images differ by, noise mostly.
   c. Per pixel w = 1 / max(|rho0|, delta * n); per cell the sums A = w g g^T (2 x 2, symmetric) and b = w g rho0, each
      of these five planes times the trust in the cell, and smoothed over cells by WINDOW. trust = sqrt(d / (d + x)),
      d = DOUBT n^2, x what the TRUST-smoothed mean of rho0^2 exceeds v^2 times that of |g|^2 by: a difference that neither
      noise nor a motion of v px explains is a shadow, a reflection or a block of a codec. v is the spread of u (as in d,
      in px of this scale), within FLOORS * PLAUSIBLE .. PLAUSIBLE; PLAUSIBLE at the coarsest scale.
   d. k = lambda * m / (n q). M = (1 + tau k A)^-1 and c = tau k M (A u0 - b), per cell. q, at least 1, is how much larger
      the means of rho0 over 2 x 2 cells are than those of white noise of the same n: codecs err by whole blocks. m is the
      size of the motion: sqrt(var u_x + var u_y) over the flow this scale started from, in px of the finest scale,
      divided by MOTION * sqrt(side / 128), to the power MOTION_POWER, within MOTION_RANGE; 1 at the coarsest scale.
   e. ``iterations`` primal-dual steps on u and p (dual variable of grad u, |p| <= 1, one 2-vector per component of u):
          u_new = M (u + tau div p) + c
          p_new = project((p + s grad(2 u_new - u)) / (1 + s epsilon)),  s = 1 / (8 tau), project(p) = p / max(1, |p|)
      grad is the forward difference, 0 across the last column or row; div is its negative adjoint.
3. The flow is u of the finest scale on pixels (linear interpolation), without the padding.

Steps 2c to 2e are one round of reweighted least squares for |rho|_delta and [C] for the total variation. Weighing the
data by 1 / n and m makes one set of parameters serve a quiet and a noisy camera, and motion of .1 px as well as of 3.

References
----------
[Z] Zach, Pock, Bischof (2007), A duality based approach for realtime TV-L1 optical flow,
    doi 10.1007/978-3-540-74936-3_22.
[S] Sanchez, Meinhardt-Llopis, Facciolo (2013), TV-L1 optical flow estimation, IPOL, doi 10.5201/ipol.2013.26.
[C] Chambolle, Pock (2011), A first-order primal-dual algorithm, doi 10.1007/s10851-010-0251-1: step 2e.
[B] Bruhn, Weickert, Schnoerr (2005), Lucas/Kanade meets Horn/Schunck, doi 10.1023/B:VISI.0000045324.43199.43: the sums
    over a neighbourhood of 2c.
[H] Werlberger et al. (2009), Anisotropic Huber-L1 optical flow, doi 10.5244/C.23.108: the Huber norm of grad u.

Differences from OpenCV's DualTVL1OpticalFlow and from [S]
----------------------------------------------------------
- u on cells of 2 x 2 px and sums A, b over a neighbourhood of cells; there one vector and one equation per pixel.
- Huber norms for both terms; there absolute values (delta = epsilon = 0).
- The weight of the data follows noise and motion (n, m); there it is fixed.
- Changes of light, of the whole image and local ones, are fitted and taken out; there raw intensities are compared.
- Cells that neither noise nor plausible motion explains count less; there all pixels count alike.
- One variable u; there a second field v coupled to it by theta.
- 4 scales of 1/2, 2 warps, 25 iterations, always; OpenCV: 5 scales of .8, 5 warps, up to 300 iterations until epsilon.
- g is the gradient of I0, the same for all frames of a window; there that of the warped I1.
- Cubic sampling at exact positions; OpenCV's remap rounds them to 1/32 px. No median filter.

TVL1(lambda_=.15, delta=0, epsilon=0, cell=1) with window, adapt, light, local and trust off and prefilter=0 is the
energy of [S].
docs/benchmarks.md has errors against known displacement and times.
"""

# mypy: allow-untyped-calls

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfes.flow import tvl1_kernels as kernels

Image = NDArray[np.uint8] | NDArray[np.float32]
Flow = NDArray[np.float32]

COARSEST = 8  # px, smallest side of the coarsest scale
NOISE = 0.45  # grey levels, least difference of two frames
SHARPEST = 0.05  # grey levels, least delta: the weights of 2c stay finite
MOTION = 0.4  # px at a side of 128 px, motion at which m is 1
MOTION_POWER = 1.4  # small motion is smoothed more than in proportion
MOTION_RANGE = (0.06, 8.0)
DARK = 8.0  # grey levels added to the local mean: light is not multiplied where it is dark
DOUBT = 5.0  # mean square of rho, in n^2, that halves the trust beyond what plausible motion explains
PLAUSIBLE = 0.7  # px of a scale, motion that a warp may still have to find
FLOORS = (0.1, 0.2, 0.45, 1.0)  # least share of PLAUSIBLE, finest scale first


def gaussian(sigma: float) -> NDArray[np.float32]:
    """Return the taps [odd] of a Gaussian of ``sigma`` samples, cut at 3 sigma, of sum 1; a single 1 for 0."""
    x = np.arange(-np.ceil(3 * sigma), np.ceil(3 * sigma) + 1)
    taps = np.exp(-(x**2) / (2 * sigma**2)) if sigma else np.ones(1)
    return np.asarray(taps / taps.sum(), np.float32)


HALVING = np.array([1, 3, 3, 1], np.float32) / 8
WINDOW = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1], np.float32) / 256
LIGHT = gaussian(1.5)  # cells
TRUST = gaussian(3.0)  # cells


@dataclass(frozen=True, kw_only=True)
class TVL1:
    """Parameters of the solver; the defaults were chosen on known displacements of .1 to 3 px (docs/benchmarks.md).

    Parameters
    ----------
    lambda_
        lambda, weight of the data term per grey level, for frames that differ by 1 grey level and motion of the size
        MOTION where ``adapt`` is on. Higher follows the images and their noise, lower is smoother.
    delta
        Difference below which the data term is quadratic, in multiples of n (in grey levels where ``adapt`` is off).
        0 is the L1 norm. Higher lets mismatches pull, lower gives noise more weight.
    epsilon
        Difference of neighbouring cells, px, below which the smoothness term is quadratic: smooth motion then stays
        smooth. 0 is the total variation, which makes it stepped.
    tau
        Step of u, px; the dual step is 1 / (8 tau), the largest that converges.
    cell
        Side of a cell, 1 or 2 px.
    window
        Smooth the data over neighbouring cells (9 x 9, binomial).
    adapt
        Weigh the data by noise and motion.
    light
        Take out a uniform change of light.
    local
        Take out changes of light that differ from place to place.
    trust
        Weigh cells down whose difference neither noise nor plausible motion explains.
    prefilter
        Sigma of the Gaussian that both images are smoothed by first, px.
    scales
        Levels of the pyramid, each half the size of the one before. 4 follow shifts of 12 px.
    warps
        Linearisations per scale.
    iterations
        Primal-dual steps per warp; all of them are done, there is no stopping test.
    """

    lambda_: float = 0.57
    delta: float = 4.0
    epsilon: float = 0.05
    tau: float = 0.5
    cell: int = 2
    window: bool = True
    adapt: bool = True
    light: bool = True
    local: bool = True
    trust: bool = True
    prefilter: float = 0.85
    scales: int = 4
    warps: int = 2
    iterations: int = 25

    def __post_init__(self) -> None:
        for name in ("lambda_", "tau"):
            if not getattr(self, name) > 0:
                raise ValueError(f"TVL1: {name} is {getattr(self, name)}, expected a number above 0")
        for name in ("delta", "epsilon", "prefilter"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"TVL1: {name} is {getattr(self, name)}, expected 0 or more")
        for name in ("scales", "warps", "iterations"):
            if int(getattr(self, name)) != getattr(self, name) or getattr(self, name) < 1:
                raise ValueError(f"TVL1: {name} is {getattr(self, name)}, expected a whole number of at least 1")
        if self.cell not in (1, 2):
            raise ValueError(f"TVL1: cell is {self.cell}, expected 1 or 2")


DEFAULT = TVL1()


def tvl1(reference: Image, moving: Image, params: TVL1 = DEFAULT, device: str = "cpu") -> Flow:
    """Return the flow from ``reference`` to ``moving``.

    Parameters
    ----------
    reference, moving
        [H, W] or [N, H, W], same shape and dtype, uint8 or float32, 0..255; at least 8 * 2^(scales - 1) px a side.
    params
        See TVL1.
    device
        ``cpu`` (one thread) or ``cuda``, the same scheme on a GPU.

    Returns
    -------
    float32 [H, W, 2] or [N, H, W, 2], px, (x, y). The pairs of a batch do not influence each other.

    Raises
    ------
    ValueError
        Wrong type, dtype or shape, images too small, values that are not finite, or a device that is not there.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    >>> tvl1(image, image).shape
    (64, 64, 2)
    """
    check_images("reference", reference, (2, 3), params)
    check_images("moving", moving, (2, 3), params)
    if reference.shape != moving.shape or reference.dtype != moving.dtype:
        raise ValueError(
            f"tvl1: reference is {reference.dtype} {reference.shape} and moving {moving.dtype} {moving.shape}, "
            "expected the same dtype and shape"
        )
    if (other := _other_device(device)) is not None:
        flow: Flow = other.tvl1(reference, moving, params)
        return flow
    size = reference.shape[-2:]
    flow = np.empty((*reference.shape, 2), np.float32)
    pairs = np.stack([reference.reshape(-1, *size), moving.reshape(-1, *size)], axis=1)
    for out, pair in zip(flow.reshape(-1, 1, *size, 2), pairs, strict=True):
        _solve(pair, params, out)
    return flow


def tvl1_window(frames: Image, params: TVL1 = DEFAULT, device: str = "cpu") -> Flow:
    """Return the flow from frame 0 to each later frame, [K, H, W] -> float32 [K - 1, H, W, 2].

    Equal to ``tvl1(frames[0], frames[k])`` for k = 1 .. K - 1; pyramid and gradients of frame 0 are computed once.
    One frame gives an empty result. Raises ValueError as tvl1 does.
    """
    check_images("frames", frames, (3,), params)
    if (other := _other_device(device)) is not None:
        flow: Flow = other.tvl1_window(frames, params)
        return flow
    flow = np.empty((max(len(frames) - 1, 0), *frames.shape[1:], 2), np.float32)
    if len(flow):
        _solve(frames, params, flow)
    return flow


def _other_device(device: str) -> Any:
    """Return the module that solves on ``device``, None for the CPU."""
    if device == "cpu":
        return None
    if device != "cuda":
        raise ValueError(f"tvl1: device is {device!r}, expected 'cpu' or 'cuda'")
    from pfes.flow import tvl1_cuda  # imports torch, which takes seconds

    return tvl1_cuda


def check_images(name: str, images: Image, dimensions: tuple[int, ...], params: TVL1) -> None:
    """Raise ValueError unless ``images`` is an array of finite grey images, large enough, of one of ``dimensions``."""
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


def _solve(frames: Image, params: TVL1, out: Flow) -> None:
    """Write the flow [K - 1, H, W, 2] from frame 0 to each later one into ``out``."""
    unit = params.cell << (params.scales - 1)
    margins = [(0, -side % unit) for side in frames.shape[1:]]
    padded = np.pad(frames, [(0, 0), *margins], mode="edge").astype(np.float32, order="C")
    kernels.solve(padded, settings(params, frames.shape[1] * frames.shape[2]), out)


def settings(params: TVL1, pixels: int) -> kernels.Settings:
    """Return what the compiled code wants to know for images of that many ``pixels``."""
    f = np.float32
    sigma = 1 / (8 * params.tau)
    return kernels.Settings(
        tau=f(params.tau), sigma=f(sigma), shrink=f(1 / (1 + sigma * params.epsilon)),
        weight=f(params.tau * params.lambda_), delta=f(params.delta), adapt=f(params.adapt), light=f(params.light),
        local=f(params.local), trust=f(params.trust), noise=f(NOISE), sharpest=f(SHARPEST),
        motion=f(MOTION * (pixels**0.5 / 128) ** 0.5), power=f(MOTION_POWER), least=f(MOTION_RANGE[0]), most=f(MOTION_RANGE[1]), dark=f(DARK),
        doubt=f(DOUBT), plausible=f(PLAUSIBLE), floors=floors(params.scales), cell=int(params.cell),
        scales=int(params.scales), warps=int(params.warps), iterations=int(params.iterations),
        prefilter=gaussian(params.prefilter), window=WINDOW if params.window else gaussian(0), light_taps=LIGHT,
        trust_taps=TRUST,
    )  # fmt: skip


def floors(scales: int) -> NDArray[np.float32]:
    """Return the least share of PLAUSIBLE at each of ``scales``, finest first; 1 beyond those named."""
    return np.array([*FLOORS, *[1.0] * scales][:scales], np.float32)
