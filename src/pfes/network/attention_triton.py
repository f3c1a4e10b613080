"""Attention over a few tokens as one Triton kernel each way, for CUDA tensors: see ``pfes.network.spotformer.attention``.

Libraries' kernels are made for thousands of tokens; SpotFormer has 17 at most, in many thousands of short sequences. A program
computes one head of one sequence, read from and written to the packed tensors without a copy. Weights are computed again for
the gradient, and dropped by the same random numbers. Products of float32 are exact (no TF32).
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, ignore-errors

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST = 64  # tokens that a program holds


class Attention(torch.autograd.Function):
    """qkv [B, L, 3 D], heads, share of the weights that is dropped -> [B, L, D]; L of MOST at most."""

    @staticmethod
    def forward(ctx, qkv: Tensor, heads: int, dropout: float) -> Tensor:
        """Return the attended values, and keep what the gradient needs."""
        qkv = qkv.contiguous()
        seed = torch.randint(2**31 - 1, (1,), device=qkv.device, dtype=torch.int32)
        out = qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)
        ctx.save_for_backward(qkv, seed)
        ctx.heads, ctx.dropout = heads, dropout
        _forward[(len(qkv) * heads,)](qkv, out, seed, dropout, **_sizes(qkv, heads, dropout))
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of qkv."""
        qkv, seed = ctx.saved_tensors
        out = torch.empty_like(qkv)
        sizes = _sizes(qkv, ctx.heads, ctx.dropout)
        _backward[(len(qkv) * ctx.heads,)](qkv, gradient.contiguous(), out, seed, ctx.dropout, **sizes)
        return out, None, None


def _sizes(qkv: Tensor, heads: int, dropout: float) -> dict[str, int | bool]:
    length, width = qkv.shape[1], qkv.shape[2] // 3
    size = width // heads
    return {
        "LENGTH": length, "HEADS": heads, "SIZE": size, "DROP": dropout > 0, "num_warps": 1,
        "ROWS": max(16, triton.next_power_of_2(length)), "COLUMNS": max(16, triton.next_power_of_2(size)),
    }  # fmt: skip


@triton.jit
def _parts(
    qkv, LENGTH: tl.constexpr, HEADS: tl.constexpr, SIZE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Return where this program's queries lie in qkv and its output in [B, L, D], which of the tile is there, and q, k, v."""
    program = tl.program_id(0).to(tl.int64)
    sequence, head = program // HEADS, program % HEADS
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    within = (row < LENGTH) & (column < SIZE)
    packed = (sequence * LENGTH + row) * (3 * HEADS * SIZE) + head * SIZE + column
    plain = (sequence * LENGTH + row) * (HEADS * SIZE) + head * SIZE + column
    q = tl.load(qkv + packed, within, 0.0)
    k = tl.load(qkv + packed + HEADS * SIZE, within, 0.0)
    v = tl.load(qkv + packed + 2 * HEADS * SIZE, within, 0.0)
    return packed, plain, within, q, k, v


@triton.jit
def _weights(q, k, seed, dropout, LENGTH: tl.constexpr, SIZE: tl.constexpr, DROP: tl.constexpr, ROWS: tl.constexpr):
    """Return the softmax over keys, float32 [ROWS, ROWS], and what each weight is multiplied by."""
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * (SIZE**-0.5)
    key = tl.arange(0, ROWS)[None, :]
    scores = tl.where(key < LENGTH, scores, float("-inf"))
    weights = tl.exp(scores - tl.max(scores, 1)[:, None])
    weights = weights / tl.sum(weights, 1)[:, None]
    kept = tl.full((ROWS, ROWS), 1.0, tl.float32)
    if DROP:
        place = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]) * ROWS + key
        kept = tl.where(tl.rand(tl.load(seed), place) >= dropout, 1 / (1 - dropout), 0.0)
    return weights, kept


@triton.jit
def _forward(qkv, out, seed, dropout, LENGTH: tl.constexpr, HEADS: tl.constexpr, SIZE: tl.constexpr, DROP: tl.constexpr,
             ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    _, plain, within, q, k, v = _parts(qkv, LENGTH, HEADS, SIZE, ROWS, COLUMNS)
    weights, kept = _weights(q, k, seed, dropout, LENGTH, SIZE, DROP, ROWS)
    found = tl.dot((weights * kept).to(v.dtype), v, input_precision="ieee")
    tl.store(out + plain, found.to(v.dtype), within)


@triton.jit
def _backward(qkv, gradient, out, seed, dropout, LENGTH: tl.constexpr, HEADS: tl.constexpr, SIZE: tl.constexpr,
              DROP: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    packed, plain, within, q, k, v = _parts(qkv, LENGTH, HEADS, SIZE, ROWS, COLUMNS)
    weights, kept = _weights(q, k, seed, dropout, LENGTH, SIZE, DROP, ROWS)
    g = tl.load(gradient + plain, within, 0.0).to(v.dtype)
    dv = tl.dot(tl.trans((weights * kept).to(v.dtype)), g, input_precision="ieee")
    dweights = tl.dot(g, tl.trans(v), input_precision="ieee") * kept
    dscores = weights * (dweights - tl.sum(weights * dweights, 1)[:, None]) * (SIZE**-0.5)
    dscores = dscores.to(v.dtype)
    dq = tl.dot(dscores, k, input_precision="ieee")
    dk = tl.dot(tl.trans(dscores), q, input_precision="ieee")
    tl.store(out + packed, dq.to(v.dtype), within)
    tl.store(out + packed + HEADS * SIZE, dk.to(v.dtype), within)
    tl.store(out + packed + 2 * HEADS * SIZE, dv.to(v.dtype), within)
