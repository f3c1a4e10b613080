"""The compiled solver of ``pfes.flow.tvl1``: all scales, warps and steps of a window in one call, float32, one thread.

Conventions
-----------
Planes are float32 [h, w] of one scale of the pyramid, cell planes [h / cell, w / cell]; the planes of all scales lie one
after the other in one array, finest first. The names are those of the scheme in the docstring of ``pfes.flow.tvl1``.
Numbers come as Settings of numpy float32 and int, so that each kernel is compiled for one set of types and processes may
fill the cache on disk together. Python's lock is not held: threads run side by side.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.core.compiler import Compiler


class Settings(NamedTuple):
    """The scheme's parameters for the compiled code: numbers float32, switches float32 0 or 1, taps float32 [odd]."""

    tau: Any
    sigma: Any
    shrink: Any
    weight: Any  # tau lambda
    delta: Any
    adapt: Any
    light: Any
    local: Any
    trust: Any
    noise: Any
    sharpest: Any
    motion: Any  # motion at which m is 1, px of the finest scale
    power: Any
    least: Any
    most: Any
    dark: Any
    doubt: Any
    plausible: Any
    floors: Any  # [scales], least share of ``plausible``, finest first
    cell: int
    scales: int
    warps: int
    iterations: int
    prefilter: Any
    window: Any
    light_taps: Any
    trust_taps: Any


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


# Inlined, a part exists once: a process that compiles would else also hold parts compiled for themselves and call these, which
# round differently from those in the file of the cache that every later process loads.
_part = njit(**OPTIONS, forceinline=True)
ZERO, QUARTER, HALF, ONE = np.float32(0), np.float32(0.25), np.float32(0.5), np.float32(1)
TWO, THREE, FOUR, FIVE = np.float32(2), np.float32(3), np.float32(4), np.float32(5)
EIGHTH, THREE_EIGHTHS, THREE_QUARTERS = np.float32(0.125), np.float32(0.375), np.float32(0.75)
GREY = np.float32(128)


@_kernel
def solve(frames, settings, out):
    """Write the flow [K - 1, H, W, 2] from frame 0 to each later one of ``frames`` [K, h, w], padded for the pyramid."""
    h, w = frames.shape[1:]
    cell, scales = settings.cell, settings.scales
    pixels = cells = 0
    for k in range(scales):
        pixels += (h >> k) * (w >> k)
        cells += ((h >> k) // cell) * ((w >> k) // cell)
    image, gx, gy, moving = _planes(pixels), _planes(pixels), _planes(pixels), _planes(pixels)
    mean, slope, u = _planes(cells), _planes(cells), _planes(2 * cells)
    _pyramid(frames[0], settings, image)
    _prepare(image, h, w, settings, gx, gy, mean, slope)
    fine = np.empty((2, h, w), np.float32)
    for f in range(out.shape[0]):
        _pyramid(frames[f + 1], settings, moving)
        a, c = pixels, cells
        for k in range(scales - 1, -1, -1):
            rows, columns = h >> k, w >> k
            m, n = rows // cell, columns // cell
            b, d = a, c
            a, c = a - rows * columns, c - m * n
            now = u[2 * c : 2 * d].reshape(2, m, n)
            size, plausible = ONE, settings.plausible
            if k == scales - 1:
                for i in range(m):
                    for j in range(n):
                        now[0, i, j] = now[1, i, j] = ZERO
            else:
                coarser = u[2 * d : 2 * d + 2 * (m // 2) * (n // 2)].reshape(2, m // 2, n // 2)
                for i in range(2):
                    _enlarge(coarser[i], TWO, now[i])
                spread = np.float32(np.sqrt(_variance(now[0]) + _variance(now[1])))
                size = (spread * np.float32(1 << k) / settings.motion) ** settings.power
                size = min(max(size, settings.least), settings.most)
                plausible = min(max(spread, settings.floors[k] * plausible), plausible)
            _solve_scale(
                moving[a:b].reshape(rows, columns), image[a:b].reshape(rows, columns), gx[a:b].reshape(rows, columns),
                gy[a:b].reshape(rows, columns), mean[c:d].reshape(m, n), slope[c:d].reshape(m, n),
                now, size, plausible, settings,
            )  # fmt: skip
        _on_pixels(u[: 2 * (h // cell) * (w // cell)].reshape(2, h // cell, w // cell), fine)
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[f, i, j, 0], out[f, i, j, 1] = fine[0, i, j], fine[1, i, j]


@_part
def _planes(size):
    return np.empty(size, np.float32)


@_part
def _pyramid(frame, settings, out):
    """Write the smoothed ``frame`` at all scales into ``out``: filter (1, 3, 3, 1) / 8, every second sample."""
    h, w = frame.shape
    level = out[: h * w].reshape(h, w)
    _copy(frame, level)
    _blur(level, settings.prefilter)
    a = 0
    for k in range(1, settings.scales):
        rows, columns = h >> k, w >> k
        b = a + 4 * rows * columns
        _halve(out[a:b].reshape(2 * rows, 2 * columns), out[b : b + rows * columns].reshape(rows, columns))
        a = b


@_part
def _halve(image, out):
    h, w = image.shape
    line = np.empty(w + 3, np.float32)
    for i in range(out.shape[0]):
        _halve_down(image[max(2 * i - 1, 0)], image[2 * i], image[2 * i + 1], image[min(2 * i + 2, h - 1)], line)
        line[0], line[w + 1] = line[1], line[w]
        for j in range(out.shape[1]):
            outer, inner = line[2 * j] + line[2 * j + 3], line[2 * j + 1] + line[2 * j + 2]
            out[i, j] = EIGHTH * outer + THREE_EIGHTHS * inner


@_part
def _halve_down(above, first, second, below, line):
    for j in range(first.shape[0]):
        line[j + 1] = EIGHTH * (above[j] + below[j]) + THREE_EIGHTHS * (first[j] + second[j])


@_part
def _prepare(image, h, w, settings, gx, gy, mean, slope):
    """Write at all scales what the flows share: g of the reference, its local mean, and the local mean of |g|^2."""
    cell = settings.cell
    a = c = 0
    for k in range(settings.scales):
        rows, columns = h >> k, w >> k
        m, n = rows // cell, columns // cell
        b, d = a + rows * columns, c + m * n
        level, x, y = image[a:b].reshape(rows, columns), gx[a:b].reshape(rows, columns), gy[a:b].reshape(rows, columns)
        local, square = mean[c:d].reshape(m, n), slope[c:d].reshape(m, n)
        _gradient(level, x, y)
        _cell_means(level, local)
        _blur(local, settings.light_taps)
        if settings.local > ZERO:
            cell_x, cell_y = np.empty((m, n), np.float32), np.empty((m, n), np.float32)
            _gradient(local, cell_x, cell_y)
            for i in range(rows):
                for j in range(columns):
                    p, q = i // cell, j // cell
                    share = (level[i, j] + settings.dark) / ((local[p, q] + settings.dark) * np.float32(cell))
                    x[i, j] -= share * cell_x[p, q]
                    y[i, j] -= share * cell_y[p, q]
        squares = np.empty((rows, columns), np.float32)
        for i in range(rows):
            for j in range(columns):
                squares[i, j] = x[i, j] * x[i, j] + y[i, j] * y[i, j]
        _cell_means(squares, square)
        _blur(square, settings.trust_taps)
        a, c = b, d


@_part
def _gradient(image, gx, gy):
    """Write central differences, the edge repeated."""
    h, w = image.shape
    for i in range(h):
        for j in range(w):
            gx[i, j] = HALF * (image[i, min(j + 1, w - 1)] - image[i, max(j - 1, 0)])
            gy[i, j] = HALF * (image[min(i + 1, h - 1), j] - image[max(i - 1, 0), j])


@_part
def _cell_means(image, out):
    if image.shape[0] == out.shape[0]:
        _copy(image, out)
        return
    for i in range(out.shape[0]):
        _mean_of_four(image[2 * i], image[2 * i + 1], out[i])


@_part
def _mean_of_four(above, below, out):
    for j in range(out.shape[0]):
        out[j] = QUARTER * ((above[2 * j] + above[2 * j + 1]) + (below[2 * j] + below[2 * j + 1]))


@_part
def _blur(plane, taps):
    """Filter in place with ``taps`` along both axes, the edge repeated; one tap leaves it alone."""
    n = taps.shape[0]
    if n == 1:
        return
    h, w = plane.shape
    reach = n // 2
    source, line = np.empty((h, w), np.float32), np.empty(w + 2 * reach, np.float32)
    _copy(plane, source)
    for i in range(h):
        for j in range(w):
            line[reach + j] = taps[reach] * source[i, j]
        for t in range(1, reach + 1):
            _add_both(source[max(i - t, 0)], source[min(i + t, h - 1)], taps[reach + t], line, reach)
        for j in range(reach):
            line[j], line[reach + w + j] = line[reach], line[reach + w - 1]
        for j in range(w):
            plane[i, j] = taps[reach] * line[reach + j]
        for t in range(1, reach + 1):
            _add_sides(line, reach - t, reach + t, taps[reach + t], plane[i])


@_part
def _copy(plane, out):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = plane[i, j]


@_part
def _add_both(above, below, factor, out, start):
    for j in range(above.shape[0]):
        out[start + j] += factor * (above[j] + below[j])


@_part
def _add_sides(line, left, right, factor, out):
    for j in range(out.shape[0]):
        out[j] += factor * (line[left + j] + line[right + j])


@_part
def _enlarge(plane, factor, out):
    """Write ``plane`` [h, w], times ``factor``, interpolated linearly to [2 h, 2 w]; centres stay aligned."""
    h, w = plane.shape
    line = np.empty(w + 2, np.float32)
    for i in range(2 * h):
        near, far = i // 2, min(max(i // 2 + (2 * (i % 2) - 1), 0), h - 1)
        for j in range(w):
            line[j + 1] = factor * (THREE_QUARTERS * plane[near, j] + QUARTER * plane[far, j])
        line[0], line[w + 1] = line[1], line[w]
        for j in range(w):
            out[i, 2 * j] = THREE_QUARTERS * line[j + 1] + QUARTER * line[j]
            out[i, 2 * j + 1] = THREE_QUARTERS * line[j + 1] + QUARTER * line[j + 2]


@_part
def _on_pixels(u, out):
    """Write u on the pixels of its scale."""
    for i in range(2):
        if u.shape[1] == out.shape[1]:
            _copy(u[i], out[i])
        else:
            _enlarge(u[i], ONE, out[i])


@_part
def _variance(plane):
    total = 0.0
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            total += plane[i, j]
    mean = total / plane.size
    square = 0.0
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            square += (plane[i, j] - mean) ** 2
    return square / plane.size


@_part
def _solve_scale(moving, image, gx, gy, mean, slope, u, size, plausible, settings):
    """Improve ``u`` [2, h / cell, w / cell] by all warps of one scale; ``size`` is m, ``plausible`` v of the scheme."""
    h, w = image.shape
    m, n = u.shape[1:]
    padded = np.empty((h + 3, w + 3), np.float32)
    for i in range(h + 3):
        for j in range(w + 3):
            padded[i, j] = moving[min(max(i - 1, 0), h - 1), min(max(j - 1, 0), w - 1)]
    pixels = np.empty((2, h, w), np.float32)
    warped, inside, rho = np.empty((h, w), np.float32), np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    light, trust, lines = np.empty((m, n), np.float32), np.empty((m, n), np.float32), np.zeros((5, w), np.float32)
    cells, system = np.empty((5, m, n), np.float32), np.empty((5, m, n), np.float32)
    bar, px = np.empty((2, m, n + 1), np.float32), np.zeros((2, m, n + 1), np.float32)
    py = np.zeros((2, m + 1, n), np.float32)
    for _ in range(settings.warps):
        _on_pixels(u, pixels)
        warp(padded, pixels[0], pixels[1], warped, inside)
        noise = residual(warped.reshape(-1), image.reshape(-1), inside.reshape(-1), settings.light, rho.reshape(-1))
        if settings.local > ZERO:
            noise = local_light(rho, image, inside, mean, settings, light)
        _cell_means(rho, trust)
        coarse = coarseness(trust, noise, settings.cell)
        noise, weight = max(noise, settings.noise), settings.weight
        if settings.adapt > ZERO:
            weight *= size / (noise * coarse)
        else:
            noise = ONE
        gather(rho, inside, gx, gy, max(settings.delta * noise, settings.sharpest), settings.cell, lines, cells)
        if settings.trust > ZERO:
            distrust(rho, slope, noise, plausible, settings, trust)
            for i in range(5):
                _times(cells[i].reshape(-1), trust.reshape(-1))
        for i in range(5):
            _blur(cells[i], settings.window)
        _system(cells.reshape(5, -1), u.reshape(2, -1), weight, system.reshape(5, -1))
        iterate(
            u[0], u[1], bar[0], bar[1], px[0], py[0], px[1], py[1],
            system[0], system[1], system[2], system[3], system[4],
            settings.tau, settings.sigma, settings.shrink, settings.iterations,
        )  # fmt: skip


@_part
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


@_part
def _cubic(t):
    """Return the weights of the four taps at -1, 0, 1, 2 for a position t in [0, 1)."""
    return (
        HALF * t * (t * (TWO - t) - ONE),
        HALF * (t * t * (THREE * t - FIVE) + TWO),
        HALF * t * (t * (FOUR - THREE * t) + ONE),
        HALF * t * t * (t - ONE),
    )


@_part
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


@_part
def local_light(rho, image, inside, mean, settings, light):
    """Take the local change of light out of ``rho``; return its mean size. ``light`` is room for a cell plane."""
    _cell_means(rho, light)
    _blur(light, settings.light_taps)
    for i in range(light.shape[0]):
        for j in range(light.shape[1]):
            light[i, j] /= mean[i, j] + settings.dark
    cell = settings.cell
    n = total = ZERO
    for i in range(rho.shape[0]):
        for j in range(rho.shape[1]):
            value = (rho[i, j] - light[i // cell, j // cell] * (image[i, j] + settings.dark)) * inside[i, j]
            rho[i, j] = value
            total += abs(value)
            n += inside[i, j]
    return total / max(n, ONE)


@_part
def coarseness(means, noise, cell):
    """Return how much larger the means of rho over 2 x 2 cells are than white noise of that size makes them, 1 at least.

    ``means`` [m, n] of rho over cells, ``noise`` the mean of |rho|.
    """
    m, n = means.shape
    total = ZERO
    for i in range(m - 1):
        total += _coarse_row(means[i], means[i + 1])
    white = max(noise, np.float32(1e-6)) * np.float32((m - 1) * (n - 1)) / np.float32(2 * cell)
    return max(total / white, ONE)


@_part
def _coarse_row(above, below):
    total = ZERO
    for j in range(above.shape[0] - 1):
        total += abs(above[j] + above[j + 1] + below[j] + below[j + 1])
    return QUARTER * total


@_part
def distrust(rho, slope, noise, plausible, settings, trust):
    """Write the trust in each cell: 1, less where ``rho`` is more than noise and plausible motion make it."""
    squares = np.empty(rho.shape, np.float32)
    for i in range(rho.shape[0]):
        for j in range(rho.shape[1]):
            squares[i, j] = rho[i, j] * rho[i, j]
    _cell_means(squares, trust)
    _blur(trust, settings.trust_taps)
    usual = settings.doubt * noise * noise
    for i in range(trust.shape[0]):
        for j in range(trust.shape[1]):
            excess = max(trust[i, j] - plausible * plausible * slope[i, j], ZERO)
            trust[i, j] = np.sqrt(usual / (usual + excess))


@_part
def _times(plane, factor):
    for j in range(plane.shape[0]):
        plane[j] *= factor[j]


@_part
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
                for j in range(cells.shape[2]):
                    cells[plane, i, j] = rows[plane, j]


@_part
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


@_part
def _pairs(row, out):
    for j in range(out.shape[0]):
        out[j] = row[2 * j] + row[2 * j + 1]


@_part
def _system(cells, u, weight, out):
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


@_part
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


@_part
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


@_part
def _dual(bar, below, px, py, sigma, shrink):
    for j in range(py.shape[0]):
        x = shrink * (px[j + 1] + sigma * (bar[j + 1] - bar[j]))
        y = shrink * (py[j] + sigma * (below[j] - bar[j]))
        within = ONE / np.sqrt(max(x * x + y * y, ONE))
        px[j + 1] = x * within
        py[j] = y * within
