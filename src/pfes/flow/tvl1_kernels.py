"""The compiled inner loops of ``pfes.flow.tvl1``: one equation after another, float32, one thread, no allocation.

Conventions
-----------
Planes are float32 [h, w], or the same raveled, of one scale of the pyramid; cell planes are [h / cell, w / cell]. The
names are those of the scheme in the docstring of ``pfes.flow.tvl1``. Scalars come as numpy float32, so that each kernel is
compiled for one set of types and processes may fill the cache on disk together.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core.compiler import Compiler


class _NoAlias(Compiler):
    """Numba's compiler, told that array arguments never overlap: without this the row loops do not vectorise."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


# numpy's error model: no test for zero before each division
OPTIONS: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy", "pipeline_class": _NoAlias}


def _kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with the result cached on disk, or without a cache where no directory can be written."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # numba: no locator available
        return njit(**OPTIONS)(function)


_row = njit(**OPTIONS)
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
TWO, THREE, FOUR, FIVE = np.float32(2), np.float32(3), np.float32(4), np.float32(5)
GREY = np.float32(128)


@_kernel
def warp(padded, u1, u2, warped, inside):
    """Sample at x + u with Catmull-Rom weights, positions held at the border; ``inside`` is 1 where none was held.

    ``padded`` [h + 3, w + 3] has one row and column before the image and two after it.
    """
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
def residual(warped, image, inside, light, rho):
    """Write rho = I1(x + u) - I0, less the change of light where ``light`` is 1; return its mean size in grey levels."""
    n = s = t = tt = ts = ZERO
    for j in range(rho.shape[0]):
        level = (image[j] - GREY) * inside[j]
        difference = (warped[j] - image[j]) * inside[j]
        n += inside[j]
        s += difference
        t += level
        tt += level * level
        ts += level * difference
    n = max(n, ONE)
    gain = light * (ts - t * s / n) / (tt - t * t / n + n)
    offset = light * (s - gain * t) / n
    total = ZERO
    for j in range(rho.shape[0]):
        value = (warped[j] - image[j] - offset - gain * (image[j] - GREY)) * inside[j]
        rho[j] = value
        total += abs(value)
    return total / n


@_kernel
def gather(rho, inside, gx, gy, delta, cell, rows, cells):
    """Write sums over each cell of w g g^T (xx, xy, yy) and w g rho (x, y), w = inside / max(|rho|, delta).

    ``cells`` [5, h / c, w / c]; ``rows`` [5, w] is room for one row of cells before its columns are summed.
    """
    for i in range(cells.shape[1]):
        for k in range(cell):
            r = cell * i + k
            _gather_row(rho[r], inside[r], gx[r], gy[r], delta, k > 0, rows[0], rows[1], rows[2], rows[3], rows[4])
        for plane in range(5):
            if cell == 2:
                _pairs(rows[plane], cells[plane, i])
            else:
                cells[plane, i] = rows[plane]


@_row
def _gather_row(rho, inside, gx, gy, delta, add, xx, xy, yy, x, y):
    keep = ONE if add else ZERO
    for j in range(rho.shape[0]):
        weight = inside[j] / max(abs(rho[j]), delta)
        wx, wy = weight * gx[j], weight * gy[j]
        xx[j] = keep * xx[j] + wx * gx[j]
        xy[j] = keep * xy[j] + wx * gy[j]
        yy[j] = keep * yy[j] + wy * gy[j]
        x[j] = keep * x[j] + wx * rho[j]
        y[j] = keep * y[j] + wy * rho[j]


@_row
def _pairs(row, out):
    for j in range(out.shape[0]):
        out[j] = row[2 * j] + row[2 * j + 1]


@_kernel
def system(cells, u, weight, out):
    """Write the data step as u = M v + c, planes m11, m12, m22, c1, c2: M = (1 + weight A)^-1, c = weight M (A u0 - b)."""
    u1, u2 = u[0], u[1]
    axx, axy, ayy, bx, by = cells[0], cells[1], cells[2], cells[3], cells[4]
    m11, m12, m22, c1, c2 = out[0], out[1], out[2], out[3], out[4]
    for j in range(u1.shape[0]):
        a, b, d = weight * axx[j], weight * axy[j], weight * ayy[j]
        x = a * u1[j] + b * u2[j] - weight * bx[j]
        y = b * u1[j] + d * u2[j] - weight * by[j]
        a += ONE
        d += ONE
        scale = ONE / (a * d - b * b)
        p, q, r = d * scale, -b * scale, a * scale
        m11[j], m12[j], m22[j] = p, q, r
        c1[j] = p * x + q * y
        c2[j] = q * x + r * y


@_kernel
def iterate(u1, u2, bar1, bar2, px1, py1, px2, py2, m11, m12, m22, c1, c2, tau, sigma, shrink, iterations):
    """Run the primal-dual steps in place; the dual update of a row follows as soon as the next row of u is new.

    ``bar`` [h, w + 1] is 2 u_new - u, last column repeated; ``px`` [h, w + 1] and ``py`` [h + 1, w] are p along x and y,
    column 0 and row 0 are the border and stay 0.
    """
    h, w = u1.shape
    for _ in range(iterations):
        for i in range(h):
            _primal(
                u1[i], u2[i], bar1[i], bar2[i], px1[i], py1[i + 1], py1[i], px2[i], py2[i + 1], py2[i],
                m11[i], m12[i], m22[i], c1[i], c2[i], tau,
            )  # fmt: skip
            bar1[i, w], bar2[i, w] = bar1[i, w - 1], bar2[i, w - 1]
            if i > 0:
                _dual(bar1[i - 1], bar1[i], px1[i - 1], py1[i], sigma, shrink)
                _dual(bar2[i - 1], bar2[i], px2[i - 1], py2[i], sigma, shrink)
        _dual(bar1[h - 1], bar1[h - 1], px1[h - 1], py1[h], sigma, shrink)
        _dual(bar2[h - 1], bar2[h - 1], px2[h - 1], py2[h], sigma, shrink)


@_row
def _primal(u1, u2, bar1, bar2, px1, py1, above1, px2, py2, above2, m11, m12, m22, c1, c2, tau):
    for j in range(u1.shape[0]):
        v1 = u1[j] + tau * (px1[j + 1] - px1[j] + py1[j] - above1[j])
        v2 = u2[j] + tau * (px2[j + 1] - px2[j] + py2[j] - above2[j])
        new1 = m11[j] * v1 + m12[j] * v2 + c1[j]
        new2 = m12[j] * v1 + m22[j] * v2 + c2[j]
        bar1[j] = TWO * new1 - u1[j]
        bar2[j] = TWO * new2 - u2[j]
        u1[j] = new1
        u2[j] = new2


@_row
def _dual(bar, below, px, py, sigma, shrink):
    for j in range(py.shape[0]):
        x = shrink * (px[j + 1] + sigma * (bar[j + 1] - bar[j]))
        y = shrink * (py[j] + sigma * (below[j] - bar[j]))
        within = ONE / np.sqrt(max(x * x + y * y, ONE))
        px[j + 1] = x * within
        py[j] = y * within
