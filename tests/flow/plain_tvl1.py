"""The scheme of ``pfes.flow.tvl1`` over whole planes, written again from its docstring: NumPy, float64, nothing fused."""

import numpy as np
from scipy.ndimage import correlate1d

from pfes.flow import tvl1 as solver


def blur(plane, taps):
    for axis in (0, 1):
        plane = correlate1d(plane, taps.astype(float), axis=axis, mode="nearest")
    return plane


def halve(plane):
    """Filter (1, 3, 3, 1) / 8 at 2 i - 1 .. 2 i + 2."""
    for axis in (0, 1):
        plane = correlate1d(plane, np.array([1, 3, 3, 1]) / 8, axis=axis, mode="nearest", origin=-1)
        plane = plane.take(np.arange(0, plane.shape[axis], 2), axis)
    return plane


def double(plane):
    """Interpolate linearly; centres stay aligned."""
    for axis in (0, 1):
        n = plane.shape[axis]
        position = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
        low = np.floor(position).astype(int)
        share = (position - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, n - 1)
        plane = plane.take(low, axis) * (1 - share) + plane.take(high, axis) * share
    return plane


def slopes(plane):
    e = np.pad(plane, 1, mode="edge")
    return (e[1:-1, 2:] - e[1:-1, :-2]) / 2, (e[2:, 1:-1] - e[:-2, 1:-1]) / 2


def cell_means(plane):
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4


def on_pixels(cells):
    return np.repeat(np.repeat(cells, 2, 0), 2, 1)


def sample(image, u):
    """Catmull-Rom at x + u, positions held at the border; and where none was held."""
    h, w = image.shape
    y, x = np.mgrid[:h, :w] + u[::-1]
    cx, cy = np.clip(x, 0, w - 1), np.clip(y, 0, h - 1)
    ix, iy = np.floor(cx).astype(int), np.floor(cy).astype(int)
    total = np.zeros((h, w))
    for row, b in zip((-1, 0, 1, 2), catmull_rom(cy - iy), strict=True):
        for column, a in zip((-1, 0, 1, 2), catmull_rom(cx - ix), strict=True):
            total += a * b * image[np.clip(iy + row, 0, h - 1), np.clip(ix + column, 0, w - 1)]
    return total, ((cx == x) & (cy == y)).astype(float)


def catmull_rom(t):
    return (-t + 2 * t**2 - t**3) / 2, (2 - 5 * t**2 + 3 * t**3) / 2, (t + 4 * t**2 - 3 * t**3) / 2, (t**3 - t**2) / 2


def flow(reference, moving):
    """Return the flow [H, W, 2] of two images whose sides the pyramid divides, with the default parameters."""
    params = solver.DEFAULT
    first, second = ([blur(image.astype(float), solver.gaussian(params.prefilter))] for image in (reference, moving))
    for levels in (first, second):
        for _ in range(params.scales - 1):
            levels.append(halve(levels[-1]))
    for k in reversed(range(params.scales)):
        if k == params.scales - 1:
            u = np.zeros((2, *(side // 2 for side in first[k].shape)))
            m, v = 1.0, solver.PLAUSIBLE
        else:
            u = 2 * np.stack([double(plane) for plane in u])
            spread = np.sqrt(u.var((1, 2)).sum())
            m = spread * 2**k / solver.MOTION / (np.sqrt(reference.size) / 128) ** 0.5
            m = np.clip(m**solver.MOTION_POWER, *solver.MOTION_RANGE)
            v = np.clip(spread, solver.FLOORS[k] * solver.PLAUSIBLE, solver.PLAUSIBLE)
        u = one_scale(first[k], second[k], u, m, v)
    return np.stack([double(plane) for plane in u], -1)


def one_scale(image, moving, u, m, v):
    params = solver.DEFAULT
    mean = blur(cell_means(image), solver.LIGHT)
    share = (image + solver.DARK) / on_pixels(mean + solver.DARK)
    gx, gy = (g - share * on_pixels(d) / 2 for g, d in zip(slopes(image), slopes(mean), strict=True))
    slope = blur(cell_means(gx**2 + gy**2), solver.TRUST)
    p = np.zeros((2, 2, *u.shape[1:]))  # component, direction
    sigma = 1 / (8 * params.tau)
    for _ in range(params.warps):
        warped, inside = sample(moving, np.stack([double(plane) for plane in u]))
        there = inside > 0
        x = image[there] - 128
        d = (warped - image)[there]
        gain = ((x * d).sum() - x.sum() * d.sum() / len(d)) / ((x * x).sum() - x.sum() ** 2 / len(d) + len(d))
        offset = (d.sum() - gain * x.sum()) / len(d)
        rho = (warped - image - offset - gain * (image - 128)) * inside
        light = blur(cell_means(rho), solver.LIGHT) / (mean + solver.DARK)
        rho = (rho - on_pixels(light) * (image + solver.DARK)) * inside
        size = np.abs(rho).sum() / inside.sum()
        n = max(size, solver.NOISE)
        c = cell_means(rho)
        blocks = (c[1:, 1:] + c[:-1, 1:] + c[1:, :-1] + c[:-1, :-1]) / 4
        coarse = max(np.abs(blocks).mean() * 4 / max(size, 1e-6), 1)
        excess = np.maximum(blur(cell_means(rho**2), solver.TRUST) - v**2 * slope, 0)
        trust = np.sqrt(solver.DOUBT * n**2 / (solver.DOUBT * n**2 + excess))
        weight = inside / np.maximum(np.abs(rho), max(params.delta * n, solver.SHARPEST))
        sums = [
            blur(4 * cell_means(weight * a) * trust, solver.WINDOW)
            for a in (gx * gx, gx * gy, gy * gy, gx * rho, gy * rho)
        ]
        k = params.lambda_ * m / (n * coarse)
        a = np.array([[sums[0], sums[1]], [sums[1], sums[2]]])
        b = np.array(sums[3:])
        matrix = np.linalg.inv((params.tau * k * a + np.eye(2)[:, :, None, None]).transpose(2, 3, 0, 1)).transpose(
            2, 3, 0, 1
        )
        c = params.tau * k * np.einsum("abij,bij->aij", matrix, np.einsum("abij,bij->aij", a, u) - b)
        for _ in range(params.iterations):
            divergence = p[:, 0].copy()
            divergence[:, :, 1:] -= p[:, 0, :, :-1]
            divergence += p[:, 1]
            divergence[:, 1:] -= p[:, 1, :-1]
            new = np.einsum("abij,bij->aij", matrix, u + params.tau * divergence) + c
            bar = 2 * new - u
            slope_x = np.concatenate([np.diff(bar, axis=2), np.zeros_like(bar[:, :, :1])], 2)
            slope_y = np.concatenate([np.diff(bar, axis=1), np.zeros_like(bar[:, :1])], 1)
            p = (p + sigma * np.stack([slope_x, slope_y], 1)) / (1 + sigma * params.epsilon)
            p /= np.maximum(np.sqrt((p**2).sum(1, keepdims=True)), 1)
            u = new
    return u
