"""The scheme of ``pfes.flow.tvl1`` on a GPU: many windows in one batch, in torch, its inner loops in Triton where there is one.

Conventions
-----------
N windows of K flows each. Tensors are float32 [N, K, ...] or, for what the flows of a window share, [N, 1, ...]; planes
[h, w] of one scale of the pyramid, cell planes [h / cell, w / cell]. The steps and their names are those of the scheme
in the docstring of ``pfes.flow.tvl1``; so are the parameters. Everything also runs on a CPU tensor, which the tests use.

Differences from ``pfes.flow.tvl1``
------------------------------
Sums are taken in another order, so that flow agrees to rounding (about .001 px), not bit for bit.
"""

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pfes.flow.tvl1 import (
    DARK,
    DEFAULT,
    DOUBT,
    HALVING,
    LIGHT,
    MOTION,
    MOTION_POWER,
    MOTION_RANGE,
    NOISE,
    PLAUSIBLE,
    SHARPEST,
    TRUST,
    TVL1,
    WINDOW,
    floors,
    gaussian,
)

BATCH = 1024  # flows solved at once: at 256 px some 6 GB
GREY = 128.0
Images = NDArray[Any]


def tvl1(reference: Images, moving: Images, params: TVL1 = DEFAULT, device: str = "cuda") -> NDArray[np.float32]:
    """Return the flow [..., H, W, 2], px, of checked images [H, W] or [N, H, W]; see ``pfes.flow.tvl1.tvl1``."""
    size = reference.shape[-2:]
    pairs = np.stack([reference.reshape(-1, *size), moving.reshape(-1, *size)], axis=1)
    return tvl1_windows(pairs, params, device)[:, 0].reshape(*reference.shape, 2)


def tvl1_window(frames: Images, params: TVL1 = DEFAULT, device: str = "cuda") -> NDArray[np.float32]:
    """Return the flow [K - 1, H, W, 2], px, from frame 0 to each later one of checked ``frames`` [K, H, W]."""
    return tvl1_windows(frames[None], params, device)[0]


def tvl1_windows(frames: Images, params: TVL1 = DEFAULT, device: str = "cuda") -> NDArray[np.float32]:
    """Return the flow [N, K - 1, H, W, 2], px, of windows [N, K, H, W], uint8 or float32, from frame 0 of each.

    At most about BATCH flows are solved at a time. Raises ValueError where torch finds no such device.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("tvl1: device is 'cuda', but torch finds no CUDA device; use 'cpu'")
    n, flows = len(frames), frames.shape[1] - 1
    out = np.empty((n, flows, *frames.shape[2:], 2), np.float32)
    step = max(1, BATCH // max(flows, 1))
    for start in range(0, n if flows else 0, step):
        part = torch.from_numpy(np.ascontiguousarray(frames[start : start + step])).to(device)
        out[start : start + step] = solve(part, params).cpu().numpy()
    return out


@torch.inference_mode()
def solve(frames: Tensor, params: TVL1 = DEFAULT) -> Tensor:
    """Return the flow [N, K - 1, H, W, 2] of windows [N, K, H, W] on their device; K of 2 at least, images checked."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # its 10 bits would blur the pyramid
        return _solve(frames, params)


def _solve(frames: Tensor, params: TVL1) -> Tensor:
    """Go through the scales, coarse to fine."""
    size = frames.shape[-2:]
    images = _pyramid(frames.float(), params)
    side = (size[0] * size[1]) ** 0.5
    h, w = (s // params.cell for s in images[-1].shape[-2:])
    u = frames.new_zeros((len(frames), frames.shape[1] - 1, 2, h, w), dtype=torch.float32)
    motion, plausible = u.new_ones(u.shape[:2]), u.new_full(u.shape[:2], PLAUSIBLE)
    for k in range(params.scales - 1, -1, -1):
        level = images[k]
        if k < params.scales - 1:
            u = 2 * resize(u, (level.shape[-2] // params.cell, level.shape[-1] // params.cell))
            spread = u.var((-2, -1), correction=0).sum(-1).sqrt()
            motion = ((spread * 2**k / (MOTION * (side / 128) ** 0.5)) ** MOTION_POWER).clamp(*MOTION_RANGE)
            plausible = spread.clamp(floors(params.scales)[k] * PLAUSIBLE, PLAUSIBLE)
        u = _solve_scale(level[:, :1], level[:, 1:], u, (motion, plausible), params)
    return resize(u, images[0].shape[-2:])[..., : size[0], : size[1]].permute(0, 1, 3, 4, 2).contiguous()


def _pyramid(frames: Tensor, params: TVL1) -> list[Tensor]:
    """Return the padded and smoothed frames [N, K, h, w] at each scale, finest first."""
    unit = params.cell << (params.scales - 1)
    below, right = (-side % unit for side in frames.shape[-2:])
    levels = [smooth(_pad(frames, (0, right, 0, below)), gaussian(params.prefilter))]
    for _ in range(params.scales - 1):
        levels.append(smooth(levels[-1], HALVING, stride=2))
    return levels


def _pad(planes: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Repeat the edges of ``planes`` [..., h, w]; margins left, right, above, below."""
    flat = functional.pad(planes.reshape(-1, 1, *planes.shape[-2:]), margins, mode="replicate")
    return flat.reshape(*planes.shape[:-2], *flat.shape[-2:])


def smooth(planes: Tensor, taps: NDArray[np.float32], stride: int = 1) -> Tensor:
    """Filter ``planes`` [..., h, w] with n ``taps`` along both axes, the edge repeated, and take every ``stride``-th sample.

    The first sample is (n - 1) // 2 before the first pixel. Sides are a multiple of ``stride``.
    """
    if len(taps) == stride == 1:
        return planes
    triton = _triton(planes)
    if triton is not None:
        return triton.smooth(planes, taps, stride)
    before, after = (len(taps) - 1) // 2, len(taps) // 2
    kernel = torch.from_numpy(taps).to(planes.device)
    flat = _pad(planes, (before, after, before, after)).flatten(0, -3)[:, None]
    flat = functional.conv2d(flat, kernel.view(1, 1, 1, -1), stride=(1, stride))
    flat = functional.conv2d(flat, kernel.view(1, 1, -1, 1), stride=(stride, 1))
    return flat.reshape(*planes.shape[:-2], *(side // stride for side in planes.shape[-2:]))


def resize(planes: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Interpolate ``planes`` [N, K, 2, h, w] linearly to ``size``; centres stay aligned."""
    if planes.shape[-2:] == tuple(size):
        return planes
    triton = _triton(planes)
    if triton is not None:
        return triton.resize(planes, tuple(size))
    flat = functional.interpolate(planes.flatten(0, 1), tuple(size), mode="bilinear", align_corners=False)
    return flat.view(*planes.shape[:3], *size)


def _solve_scale(image: Tensor, moving: Tensor, u: Tensor, sizes: tuple[Tensor, Tensor], params: TVL1) -> Tensor:
    """Return u [N, K, 2, h, w] after all warps of one scale: image [N, 1, .], moving [N, K, .], ``sizes`` m, v [N, K]."""
    motion, plausible = sizes
    cell = params.cell
    gx, gy = _gradient(image)
    mean, lit = smooth(_cell_means(image, cell), LIGHT), image + DARK
    if params.local:
        share = lit / (_on_pixels(mean + DARK, cell) * cell)
        gx, gy = (g - share * _on_pixels(d, cell) for g, d in zip((gx, gy), _gradient(mean), strict=True))
    slope = smooth(_cell_means(gx * gx + gy * gy, cell), TRUST)
    padded = _pad(moving, (1, 2, 1, 2))
    px, py = torch.zeros_like(u), torch.zeros_like(u)
    for _ in range(params.warps):
        warped, inside = warp(padded, resize(u, image.shape[-2:]))
        rho, size = residual(warped, image, inside, params.light)
        if params.local:
            light = smooth(_cell_means(rho, cell), LIGHT) / (mean + DARK)
            rho = (rho - (_by_cells(lit, cell) * light[..., :, None, :, None]).view_as(rho)) * inside
            size = rho.abs().sum((-2, -1)) / inside.sum((-2, -1)).clamp_min(1)
        noise = size.clamp_min(NOISE) if params.adapt else torch.ones_like(size)
        delta = (params.delta * noise).clamp_min(SHARPEST)
        cells = gather(rho, inside, gx, gy, delta, cell)
        if params.trust:
            cells = cells * trust(rho, slope, noise, plausible, cell)[:, :, None]
        if params.window:
            cells = smooth(cells, WINDOW)
        weight = params.tau * params.lambda_ / noise
        if params.adapt:
            weight = weight * motion / coarseness(rho, size, cell)
        u, px, py = iterate(u, px, py, system(cells, u, weight), params)
    return u


def _gradient(image: Tensor) -> tuple[Tensor, Tensor]:
    edges = _pad(image, (1, 1, 1, 1))
    return (edges[..., 1:-1, 2:] - edges[..., 1:-1, :-2]) / 2, (edges[..., 2:, 1:-1] - edges[..., :-2, 1:-1]) / 2


def _by_cells(planes: Tensor, cell: int) -> Tensor:
    """Return ``planes`` [..., h, w] as [..., h / cell, cell, w / cell, cell]."""
    return planes.unflatten(-1, (-1, cell)).unflatten(-3, (-1, cell))


def _cell_means(planes: Tensor, cell: int) -> Tensor:
    """Return the mean of ``planes`` [N, K, h, w] over each cell."""
    return functional.avg_pool2d(planes, cell)


def _on_pixels(cells: Tensor, cell: int) -> Tensor:
    """Return cell planes [N, K, h, w] on pixels, the same in all pixels of a cell."""
    return cells.repeat_interleave(cell, -2).repeat_interleave(cell, -1)


def coarseness(rho: Tensor, size: Tensor, cell: int) -> Tensor:
    """Return [N, K] how much larger the means of ``rho`` over 2 x 2 cells are than those of white noise; 1 at least."""
    c = _cell_means(rho, cell)
    blocks = c[..., :-1, :-1] + c[..., :-1, 1:] + c[..., 1:, :-1] + c[..., 1:, 1:]
    return (blocks.abs().mean((-2, -1)) / 4 * 2 * cell / size.clamp_min(1e-6)).clamp_min(1)


def trust(rho: Tensor, slope: Tensor, noise: Tensor, plausible: Tensor, cell: int) -> Tensor:
    """Return the trust [N, K, h, w] in each cell; noise n and plausible motion v [N, K]."""
    usual = DOUBT * noise[..., None, None] ** 2
    excess = smooth(_cell_means(rho * rho, cell), TRUST) - plausible[..., None, None] ** 2 * slope
    return (usual / (usual + excess.clamp_min(0))).sqrt()


def warp(padded: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``padded`` [N, K, h + 3, w + 3] sampled at x + u [N, K, 2, h, w] (Catmull-Rom), and 1 where x + u is inside."""
    triton = _triton(u)
    if triton is not None:
        return triton.warp(padded, u)
    h, w = u.shape[-2:]
    x = torch.arange(w, device=u.device) + u[:, :, 0]
    y = torch.arange(h, device=u.device)[:, None] + u[:, :, 1]
    cx, cy = x.clamp(0, w - 1), y.clamp(0, h - 1)
    inside = ((cx == x) & (cy == y)).float()
    ix, iy = cx.long(), cy.long()
    across, down = _cubic(cx - ix), _cubic(cy - iy)
    start = (iy * (w + 3) + ix).flatten(2)
    flat = padded.flatten(2)
    warped = torch.zeros_like(cx)
    for row in range(4):
        taps = [flat.gather(2, start + row * (w + 3) + column).view_as(cx) * across[column] for column in range(4)]
        warped += down[row] * (taps[0] + taps[1] + taps[2] + taps[3])
    return warped, inside


def _cubic(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weights of the four taps at -1, 0, 1, 2 for positions t in [0, 1)."""
    return (
        0.5 * t * (t * (2 - t) - 1),
        0.5 * (t * t * (3 * t - 5) + 2),
        0.5 * t * (t * (4 - 3 * t) + 1),
        0.5 * t * t * (t - 1),
    )


def residual(warped: Tensor, image: Tensor, inside: Tensor, light: bool) -> tuple[Tensor, Tensor]:
    """Return rho [N, K, h, w], the change of light taken out where ``light``, and its mean size [N, K]."""
    level, difference = (image - GREY) * inside, (warped - image) * inside
    total = (-2, -1)
    n = inside.sum(total).clamp_min(1)
    s, t = difference.sum(total), level.sum(total)
    gain = light * ((level * difference).sum(total) - t * s / n) / ((level * level).sum(total) - t * t / n + n)
    offset = light * (s - gain * t) / n
    rho = difference - offset[..., None, None] * inside - gain[..., None, None] * level
    return rho, rho.abs().sum(total) / n


def gather(rho: Tensor, inside: Tensor, gx: Tensor, gy: Tensor, delta: Tensor, cell: int) -> Tensor:
    """Return the sums over cells [N, K, 5, h / c, w / c] of w g g^T (xx, xy, yy) and w g rho (x, y); gx, gy [N, 1, h, w]."""
    triton = _triton(rho)
    if triton is not None:
        return triton.gather(rho, inside, gx, gy, delta, cell)
    weight = inside / torch.maximum(rho.abs(), delta[..., None, None])
    wx, wy = weight * gx, weight * gy
    planes = torch.stack([wx * gx, wx * gy, wy * gy, wx * rho, wy * rho], 2)
    return planes if cell == 1 else _by_cells(planes, cell).sum((-3, -1))


def system(cells: Tensor, u: Tensor, weight: Tensor) -> Tensor:
    """Return the planes m11, m12, m22, c1, c2 [N, K, 5, h, w] of the data step u = M v + c; weight [N, K]."""
    axx, axy, ayy, bx, by = (weight[..., None, None, None] * cells).unbind(2)
    u1, u2 = u.unbind(2)
    x, y = axx * u1 + axy * u2 - bx, axy * u1 + ayy * u2 - by
    a, d = 1 + axx, 1 + ayy
    scale = 1 / (a * d - axy * axy)
    m11, m12, m22 = d * scale, -axy * scale, a * scale
    return torch.stack([m11, m12, m22, m11 * x + m12 * y, m12 * x + m22 * y], 2)


def iterate(u: Tensor, px: Tensor, py: Tensor, system: Tensor, params: TVL1) -> tuple[Tensor, Tensor, Tensor]:
    """Return u and p, [N, K, 2, h, w] each, after all primal-dual steps of one warp."""
    triton = _triton(u)
    if triton is not None:
        return triton.iterate(u, px, py, system, params)
    sigma = 1 / (8 * params.tau)
    shrink = 1 / (1 + sigma * params.epsilon)
    m11, m12, m22, c1, c2 = system.unbind(2)
    for _ in range(params.iterations):
        divergence = px.clone()
        divergence[..., 1:] -= px[..., :-1]
        divergence += py
        divergence[..., 1:, :] -= py[..., :-1, :]
        v1, v2 = (u + params.tau * divergence).unbind(2)
        new = torch.stack([m11 * v1 + m12 * v2 + c1, m12 * v1 + m22 * v2 + c2], 2)
        bar = 2 * new - u
        across = functional.pad(bar[..., 1:] - bar[..., :-1], (0, 1))
        down = functional.pad(bar[..., 1:, :] - bar[..., :-1, :], (0, 0, 0, 1))
        px, py = shrink * (px + sigma * across), shrink * (py + sigma * down)
        within = (px * px + py * py).clamp_min(1).rsqrt()
        u, px, py = new, px * within, py * within
    return u, px, py


@cache
def _kernels() -> ModuleType | None:
    try:
        from pfes.flow import tvl1_triton
    except ImportError:  # no Triton: torch alone
        return None
    return tvl1_triton


def _triton(tensor: Tensor) -> Any:
    """Return the module of Triton kernels for a CUDA tensor where Triton is installed, else None."""
    return _kernels() if tensor.is_cuda else None
