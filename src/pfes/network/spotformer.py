"""SpotFormer: one feature vector per frame from its snippet of SW-MRO optical flow.

Deng, Hayashi, Nagahara, "SpotFormer: Multi-scale spatio-temporal transformer for facial expression spotting",
arXiv 2407.20799, doi 10.1109/TAFFC.2026.3677401.

Conventions
-----------
N frames, S = 17 window steps, R = 10 ROIs (left brow 3, right brow 3, mouth 4, the order of pfes.flow.snippets), D = width.
Flow in pixels of the aligned crop. A token tensor is [N, S, R, D]; D is always last and contiguous.

Inside an autocast block only the products of the blocks take its type. The embedding and the convolutions, 4 % of the
products, stay in single precision, and with them the residual sums between them and the features.

Differences
-----------
None in what is computed. Attention over 3 to 17 tokens is written out with batched products on the CPU, where PyTorch's
fused kernel spends most of its time on copies and on a softmax over a tiny last dimension, and is a Triton kernel on a
GPU (pfes.network.attention_triton); results agree to rounding.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pfes.base.records import WINDOW
from pfes.network.parameters import JOINT_PADDING, Padding

REGIONS = (3, 3, 4)  # ROIs of left brow, right brow, mouth, which the facial local graph pooling joins
LIBRARY_MOST = 65_535  # sequences that PyTorch's kernels take at once: a dimension of CUDA's grid
Stage = tuple[nn.BatchNorm1d, Callable[[Tensor, Tensor], Tensor]]  # (norm, rest): x becomes rest(x, norm(x))


class SpotFormer(nn.Module):
    """Multi-scale spatio-temporal transformer over the snippet of a frame; 3,166,208 parameters at width 256.

    Parameters
    ----------
    width : D, size of tokens and of the feature vector (256 in the paper); the feed-forward width too.
    heads : attention heads of width // heads channels each (4 of 64 in the paper).
    padding : of the four convolutions over time; JOINT_PADDING or STANDALONE_PADDING.
    dropout : on the embedding.
    block_dropout : in the 24 places of the blocks, four each: attention weights, attention output, behind the GELU and
        behind the last Linear of the feed-forward. The fully supervised SpotFormer has .1 there, the P-FES release 0.
    """

    def __init__(
        self, width: int = 256, heads: int = 4, padding: Padding = JOINT_PADDING, dropout: float = 0.1,
        block_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if width % heads:
            raise ValueError(f"SpotFormer: width {width} is not a multiple of {heads} heads")
        self.embed = Embedding(width, dropout)
        self.space1, self.time1 = (Block(width, heads, block_dropout) for _ in range(2))
        self.pool1 = nn.BatchNorm1d(width)
        self.down1 = TimeDown(width, padding[0])
        self.space2, self.time2 = (Block(width, heads, block_dropout) for _ in range(2))
        self.pool2 = nn.BatchNorm1d(width)
        self.down2 = TimeDown(width, padding[1])
        self.time3 = Block(width, heads, block_dropout)
        self.down3 = TimeDown(width, padding[2])
        self.time4 = Block(width, heads, block_dropout)
        self.down4 = TimeDown(width, padding[3])

    def forward(self, snippets: Tensor) -> Tensor:
        """Return features [N, D] of ``snippets`` [N, 17, 10, 2]."""
        x = self.embed.map(snippets)  # [N, 17, 10, D]
        for norm, after in self.stages():
            x = after(x, normalise(norm, x))
        return x

    def stages(self) -> list[Stage]:
        """Return the network behind the embedding's Linear as (BatchNorm, rest) pairs, 19 of them, in order.

        A stage turns its input x into rest(x, BatchNorm(x)). Only the BatchNorm looks across frames; shapes on the right
        are what each stage returns, for JOINT_PADDING.
        """
        return [
            (self.embed.norm, self.embed.place),  # [N, 17, 10, D]
            *_stages(self.space1, across),  # [N, 10, 17, D]
            *_stages(self.time1),  # [N, 10, 17, D]
            (self.pool1, lambda x, y: torch.stack([part.amax(1) for part in y.split(REGIONS, 1)], 1)),  # [N, 3, 17, D]
            (self.down1.norm, lambda x, y: across(self.down1.halve(x, y))),  # [N, 9, 3, D]
            *_stages(self.space2, across),  # [N, 3, 9, D]
            *_stages(self.time2),  # [N, 3, 9, D]
            (self.pool2, lambda x, y: y.amax(1)),  # [N, 9, D]
            (self.down2.norm, self.down2.halve),  # [N, 5, D]
            *_stages(self.time3),
            (self.down3.norm, self.down3.halve),  # [N, 3, D]
            *_stages(self.time4),
            (self.down4.norm, lambda x, y: self.down4.halve(x, y).squeeze(1)),  # [N, D]
        ]


def single_precision(tensor: Tensor) -> torch.autocast:
    """Return a context in which products on the tensor's device keep the type of their factors."""
    return torch.autocast(tensor.device.type, enabled=False)


def across(tokens: Tensor) -> Tensor:
    """Swap time and place, [N, A, B, D] to [N, B, A, D], so that the next attention runs over the other."""
    return tokens.transpose(1, 2)


def _stages(block: "Block", then: Callable[[Tensor], Tensor] = lambda tokens: tokens) -> list[Stage]:
    return [(block.norm1, block.attend), (block.norm2, lambda x, y: then(block.feed_forward(x, y)))]


class Embedding(nn.Module):
    """Linear and BatchNorm of each flow vector, plus the position in the window and the region of the face."""

    region: Tensor

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)
        self.time_position = nn.Parameter(torch.randn(WINDOW + 1, width))  # 18, of which the release uses 17
        self.region_position = nn.Parameter(torch.randn(len(REGIONS), width))
        self.dropout = dropout
        self.register_buffer("region", torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 2]), persistent=False)

    def map(self, snippets: Tensor) -> Tensor:
        """Return the linear map of the flow, [N, 17, 10, D]."""
        with single_precision(snippets):
            tokens: Tensor = self.linear(snippets)
            return tokens

    def place(self, tokens: Tensor, normalised: Tensor) -> Tensor:
        """Return tokens [N, 17, 10, D] with their positions, from the normalised linear map of the flow."""
        position = self.time_position[:WINDOW, None] + self.region_position[self.region]  # [17, 10, D]
        return functional.dropout(normalised + position, self.dropout, self.training)


class Block(nn.Module):
    """Residual attention over the last but one dimension, then a residual feed-forward, each after a BatchNorm."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.mlp1, self.mlp2 = nn.Linear(width, width), nn.Linear(width, width)

    def attend(self, tokens: Tensor, normalised: Tensor) -> Tensor:
        """Return tokens of the same shape [..., L, D]; attention runs over L."""
        sequences = normalised.reshape(-1, *tokens.shape[-2:])  # [B, L, D]
        share = self.dropout if self.training else 0.0
        return tokens + self._drop(self.out(attention(self.qkv(sequences), self.heads, share))).view(tokens.shape)

    def feed_forward(self, tokens: Tensor, normalised: Tensor) -> Tensor:
        """Return tokens of the same shape [..., D]."""
        return tokens + self._drop(self.mlp2(self._drop(functional.gelu(self.mlp1(normalised)))))

    def _drop(self, tokens: Tensor) -> Tensor:
        return functional.dropout(tokens, self.dropout) if self.training and self.dropout else tokens


class TimeDown(nn.Module):
    """BatchNorm, then a convolution over time of kernel 3 and stride 2 without bias."""

    def __init__(self, width: int, padding: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.conv = nn.Conv1d(width, width, 3, stride=2, padding=padding, bias=False)
        self.padding = padding

    def halve(self, tokens: Tensor, normalised: Tensor) -> Tensor:
        """Return tokens [..., S', D] of ``normalised`` [..., S, D], S' = (S + 2 padding - 3) // 2 + 1."""
        x = functional.pad(normalised, (0, 0, self.padding, self.padding))
        taps = torch.cat([x[..., k : x.shape[-2] - 2 + k : 2, :] for k in range(3)], -1)  # [..., S', 3 D]
        weight = self.conv.weight.transpose(1, 2).flatten(1)  # one product, no copy to [..., D, S]
        with single_precision(taps):
            return functional.linear(taps, weight)


def normalise(norm: nn.BatchNorm1d, tokens: Tensor) -> Tensor:
    """Apply a BatchNorm over the channels of ``tokens`` [..., D], statistics over all leading positions."""
    normalised: Tensor = norm(tokens.reshape(-1, tokens.shape[-1]))
    return normalised.view(tokens.shape)


def attention(qkv: Tensor, heads: int, dropout: float = 0.0) -> Tensor:
    """Return softmax(q k^T / sqrt(d)) v of every head, side by side.

    Parameters
    ----------
    qkv : [B, L, 3 D], queries, keys and values, each of ``heads`` times d channels.
    dropout : share of the weights that are dropped.

    Returns
    -------
    [B, L, D]
    """
    size = qkv.shape[-1] // (3 * heads)
    if qkv.is_cuda:
        triton = _triton()
        if triton is not None and qkv.shape[1] <= triton.MOST:
            found: Tensor = triton.Attention.apply(qkv, heads, dropout)
            return found
        return torch.cat([_library(part, heads, size, dropout) for part in qkv.split(LIBRARY_MOST)])
    parts = qkv.split(size, -1)  # 3 heads views [B, L, d]: no copy
    return torch.cat([_head(*parts[head::heads], dropout=dropout) for head in range(heads)], -1)


@cache
def _triton() -> Any:
    """Return the module of Triton kernels, None where Triton is not installed."""
    try:
        from pfes.network import attention_triton
    except ImportError:
        return None
    return attention_triton


def _library(qkv: Tensor, heads: int, size: int, dropout: float) -> Tensor:
    q, k, v = qkv.unflatten(-1, (3, heads, size)).permute(2, 0, 3, 1, 4)  # each [B, heads, L, d]
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(-2)


def _head(q: Tensor, k: Tensor, v: Tensor, *, dropout: float) -> Tensor:
    # keys by queries, so that the softmax is not over the last dimension: four times faster for tiny L
    weights = torch.bmm(k, (q * q.shape[-1] ** -0.5).transpose(1, 2)).softmax(1)  # [B, L keys, L queries]
    if dropout:
        weights = functional.dropout(weights, dropout)
    return torch.bmm(weights.transpose(1, 2), v)
