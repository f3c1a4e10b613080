"""The loops of ``pfes.flow.tvl1_cuda`` as Triton kernels: filters, sampling, sums over cells, and the primal-dual steps.

Conventions
-----------
As in ``pfes.flow.tvl1_cuda``; B = N K flows. A program computes BLOCK cells (or pixels) of one flow. A primal-dual step is one
launch: each cell computes the new u of itself, of the next cell to the right and of the one below, and from these its
own new p, so that nothing but the state passes through memory (68 bytes a cell); source and target alternate.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, ignore-errors

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from pfes.flow.tvl1 import TVL1

BLOCK = 512


def smooth(planes: Tensor, taps: NDArray[np.float32], stride: int = 1) -> Tensor:
    """See ``pfes.flow.tvl1_cuda.smooth``."""
    planes = planes.contiguous()
    kernel = torch.from_numpy(taps).to(planes.device)
    for axis in (-1, -2):
        shape = list(planes.shape)
        shape[axis] //= stride
        target = planes.new_empty(shape)
        _smooth[(triton.cdiv(shape[-2] * shape[-1], BLOCK), planes.flatten(0, -3).shape[0])](
            planes, target, kernel, *planes.shape[-2:], *shape[-2:], stride,
            ACROSS=axis == -1, TAPS=len(taps), BLOCK=BLOCK,
        )  # fmt: skip
        planes = target
    return planes


def resize(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """See ``pfes.flow.tvl1_cuda.resize``."""
    planes = planes.contiguous()
    target = planes.new_empty((*planes.shape[:-2], *size))
    grid = (triton.cdiv(size[0] * size[1], BLOCK), planes.flatten(0, -3).shape[0])
    _resize[grid](planes, target, *planes.shape[-2:], *size, BLOCK=BLOCK)
    return target


def gather(rho: Tensor, inside: Tensor, gx: Tensor, gy: Tensor, delta: Tensor, cell: int) -> Tensor:
    """See ``pfes.flow.tvl1_cuda.gather``."""
    rho, inside, gx, gy, delta = (tensor.contiguous() for tensor in (rho, inside, gx, gy, delta))
    n, k = rho.shape[:2]
    h, w = (side // cell for side in rho.shape[-2:])
    cells = rho.new_empty((n, k, 5, h, w))
    _gather[(triton.cdiv(h * w, BLOCK), n * k)](rho, inside, gx, gy, delta, cells, k, h, w, CELL=cell, BLOCK=BLOCK)
    return cells


def warp(padded: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """See ``pfes.flow.tvl1_cuda.warp``."""
    h, w = u.shape[-2:]
    padded, u = padded.contiguous(), u.contiguous()
    warped = torch.empty((*u.shape[:2], h, w), dtype=torch.float32, device=u.device)
    inside = torch.empty_like(warped)
    flows = u.shape[0] * u.shape[1]
    _warp[(triton.cdiv(h * w, BLOCK), flows)](padded, u, warped, inside, h, w, BLOCK=BLOCK)
    return warped, inside


def iterate(u: Tensor, px: Tensor, py: Tensor, system: Tensor, params: TVL1) -> tuple[Tensor, Tensor, Tensor]:
    """See ``pfes.flow.tvl1_cuda.iterate``."""
    h, w = u.shape[-2:]
    flows = u.shape[0] * u.shape[1]
    source = torch.stack([u, px, py], 2).contiguous()  # [N, K, 3, 2, h, w]
    target = torch.empty_like(source)
    system = system.contiguous()
    sigma = 1 / (8 * params.tau)
    grid = (triton.cdiv(h * w, BLOCK), flows)
    for _ in range(params.iterations):
        _step[grid](source, target, system, params.tau, sigma, 1 / (1 + sigma * params.epsilon), h, w, BLOCK=BLOCK)
        source, target = target, source
    return source[:, :, 0], source[:, :, 1].contiguous(), source[:, :, 2].contiguous()


@triton.jit
def _smooth(
    source, target, taps, h, w, height, width, stride, ACROSS: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr
):
    """One axis of a filter: planes [h, w] to planes [height, width]."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    plane = tl.program_id(1).to(tl.int64)
    mask = index < height * width
    row, column = index // width, index % width
    source += plane * h * w
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.static_range(TAPS):
        if ACROSS:
            at = row * w + tl.minimum(tl.maximum(column * stride + (k - (TAPS - 1) // 2), 0), w - 1)
        else:
            at = tl.minimum(tl.maximum(row * stride + (k - (TAPS - 1) // 2), 0), h - 1) * w + column
        total += tl.load(taps + k) * tl.load(source + at, mask, 0.0)
    tl.store(target + plane * height * width + index, total, mask)


@triton.jit
def _between(index, size, target_size):
    """Return the two samples of an axis beside the centre of ``index``, and the share of the second."""
    at = tl.maximum((index.to(tl.float32) + 0.5) * (size.to(tl.float32) / target_size.to(tl.float32)) - 0.5, 0.0)
    first = at.to(tl.int32)
    return first, tl.minimum(first + 1, size - 1), at - first.to(tl.float32)


@triton.jit
def _resize(source, target, h, w, height, width, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    plane = tl.program_id(1).to(tl.int64)
    mask = index < height * width
    y0, y1, down = _between(index // width, h, height)
    x0, x1, across = _between(index % width, w, width)
    source += plane * h * w
    upper = (1 - across) * tl.load(source + y0 * w + x0, mask, 0.0) + across * tl.load(source + y0 * w + x1, mask, 0.0)
    lower = (1 - across) * tl.load(source + y1 * w + x0, mask, 0.0) + across * tl.load(source + y1 * w + x1, mask, 0.0)
    tl.store(target + plane * height * width + index, (1 - down) * upper + down * lower, mask)


@triton.jit
def _gather(rho, inside, gx, gy, delta, cells, flows, h, w, CELL: tl.constexpr, BLOCK: tl.constexpr):
    """The five sums of a cell; h, w in cells, ``flows`` of a window share gx and gy."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    flow = tl.program_id(1).to(tl.int64)
    size = h * w
    mask = index < size
    least = tl.load(delta + flow)
    own, shared = flow * size * CELL * CELL, flow // flows * size * CELL * CELL
    xx, xy, yy = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    x, y = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for pixel in tl.static_range(CELL * CELL):
        at = (index // w * CELL + pixel // CELL) * (w * CELL) + index % w * CELL + pixel % CELL
        r = tl.load(rho + own + at, mask, 0.0)
        g, d = tl.load(gx + shared + at, mask, 0.0), tl.load(gy + shared + at, mask, 0.0)
        weight = tl.load(inside + own + at, mask, 0.0) / tl.maximum(tl.abs(r), least)
        wg, wd = weight * g, weight * d
        xx += wg * g
        xy += wg * d
        yy += wd * d
        x += wg * r
        y += wd * r
    cells += flow * 5 * size + index
    tl.store(cells, xx, mask)
    tl.store(cells + size, xy, mask)
    tl.store(cells + 2 * size, yy, mask)
    tl.store(cells + 3 * size, x, mask)
    tl.store(cells + 4 * size, y, mask)


@triton.jit
def _cubic(t):
    return (
        0.5 * t * (t * (2 - t) - 1),
        0.5 * (t * t * (3 * t - 5) + 2),
        0.5 * t * (t * (4 - 3 * t) + 1),
        0.5 * t * t * (t - 1),
    )


@triton.jit
def _taps(at, a0, a1, a2, a3, mask):
    return (
        a0 * tl.load(at, mask, 0.0)
        + a1 * tl.load(at + 1, mask, 0.0)
        + a2 * tl.load(at + 2, mask, 0.0)
        + a3 * tl.load(at + 3, mask, 0.0)
    )


@triton.jit
def _warp(padded, u, warped, inside, h, w, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    flow = tl.program_id(1).to(tl.int64)
    mask = index < h * w
    row, column = index // w, index % w
    u += flow * 2 * h * w
    x = column.to(tl.float32) + tl.load(u + index, mask, 0.0)
    y = row.to(tl.float32) + tl.load(u + h * w + index, mask, 0.0)
    cx = tl.minimum(tl.maximum(x, 0.0), (w - 1).to(tl.float32))
    cy = tl.minimum(tl.maximum(y, 0.0), (h - 1).to(tl.float32))
    ix, iy = cx.to(tl.int32), cy.to(tl.int32)
    a0, a1, a2, a3 = _cubic(cx - ix.to(tl.float32))
    b0, b1, b2, b3 = _cubic(cy - iy.to(tl.float32))
    at = padded + flow * (h + 3) * (w + 3) + iy * (w + 3) + ix
    value = b0 * _taps(at, a0, a1, a2, a3, mask)
    value += b1 * _taps(at + (w + 3), a0, a1, a2, a3, mask)
    value += b2 * _taps(at + 2 * (w + 3), a0, a1, a2, a3, mask)
    value += b3 * _taps(at + 3 * (w + 3), a0, a1, a2, a3, mask)
    out = flow * h * w + index
    tl.store(warped + out, value, mask)
    tl.store(inside + out, ((cx == x) & (cy == y)).to(tl.float32), mask)


@triton.jit
def _velocity(u, px, py, index, row, column, w, tau, mask):
    """Return u + tau div p of one component at the cells ``index``; px and py are 0 before the first column and row."""
    divergence = tl.load(px + index, mask, 0.0) - tl.load(px + index - 1, mask & (column > 0), 0.0)
    divergence += tl.load(py + index, mask, 0.0) - tl.load(py + index - w, mask & (row > 0), 0.0)
    old = tl.load(u + index, mask, 0.0)
    return old, old + tau * divergence


@triton.jit
def _primal(state, system, index, row, column, size, w, tau, mask):
    """Return new u and 2 u_new - u of both components at the cells ``index``."""
    old1, v1 = _velocity(state, state + 2 * size, state + 4 * size, index, row, column, w, tau, mask)
    old2, v2 = _velocity(state + size, state + 3 * size, state + 5 * size, index, row, column, w, tau, mask)
    m12 = tl.load(system + size + index, mask, 0.0)
    new1 = tl.load(system + index, mask, 0.0) * v1 + m12 * v2 + tl.load(system + 3 * size + index, mask, 0.0)
    new2 = m12 * v1 + tl.load(system + 2 * size + index, mask, 0.0) * v2 + tl.load(system + 4 * size + index, mask, 0.0)
    return new1, new2, 2 * new1 - old1, 2 * new2 - old2


@triton.jit
def _dual(source, target, plane, size, index, across, down, sigma, shrink, mask):
    x = shrink * (tl.load(source + (2 + plane) * size + index, mask, 0.0) + sigma * across)
    y = shrink * (tl.load(source + (4 + plane) * size + index, mask, 0.0) + sigma * down)
    within = 1 / tl.sqrt(tl.maximum(x * x + y * y, 1.0))
    tl.store(target + (2 + plane) * size + index, x * within, mask)
    tl.store(target + (4 + plane) * size + index, y * within, mask)


@triton.jit
def _step(source, target, system, tau, sigma, shrink, h, w, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    flow = tl.program_id(1).to(tl.int64)
    size = h * w
    source += flow * 6 * size
    target += flow * 6 * size
    system += flow * 5 * size
    mask = index < size
    row, column = index // w, index % w
    right, below = mask & (column < w - 1), mask & (row < h - 1)
    new1, new2, bar1, bar2 = _primal(source, system, index, row, column, size, w, tau, mask)
    _, _, right1, right2 = _primal(source, system, index + 1, row, column + 1, size, w, tau, right)
    _, _, below1, below2 = _primal(source, system, index + w, row + 1, column, size, w, tau, below)
    tl.store(target + index, new1, mask)
    tl.store(target + size + index, new2, mask)
    across1, down1 = tl.where(right, right1 - bar1, 0.0), tl.where(below, below1 - bar1, 0.0)
    across2, down2 = tl.where(right, right2 - bar2, 0.0), tl.where(below, below2 - bar2, 0.0)
    _dual(source, target, 0, size, index, across1, down1, sigma, shrink, mask)
    _dual(source, target, 1, size, index, across2, down2, sigma, shrink, mask)
