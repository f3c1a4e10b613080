"""Stage 1 of HR-Pro: a prototype per class, which the frames of a video are compared with (METHOD 10.2).

Source: arXiv 2308.12608, its code @1abb331.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pfes.methods.lac.network import scores
from pfes.methods.ptal.losses import mean
from pfes.network.heads import Head

HEADS, FORWARD, DROPOUT, ATTENTION_DROPOUT = 8, 128, 0.3, 0.1
TEMPERATURE = 0.1
QUERIES = 512  # tokens whose attention is computed at a time
KEPT = 0.999  # of a prototype after each video


class ReliableHead(Head):
    """Two blocks over the frames and the prototypes, Conv1d, ReLU; Dropout, Linear to macro, micro and background.

    Parameters
    ----------
    width : D; with less than 8 channels to each of 8 heads there are as many heads as divide both.
    dropout : before the last layer; .7 published.
    """

    prototypes: Tensor

    def __init__(self, width: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.zeros(2, width))
        self.blocks = nn.ModuleList([Block(width) for _ in range(2)])
        self.embed = nn.Conv1d(width, width, 3, padding=1)
        self.classes = nn.Linear(width, 3, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the embedding E [T, D], the intensity 1 - s_b [T] and class scores [T, 2] of ``features`` [T, D]."""
        tokens = torch.cat([features, self.prototypes.to(features.dtype)])
        for block in self.blocks:
            tokens = block(tokens)
        frames = tokens[: len(features)]
        embedded = self.embed(frames.T[None])[0].T.relu() if len(features) else frames
        return embedded, *scores(self.classes(self.dropout(embedded)))


class Block(nn.Module):
    """Attention of all tokens [N, D] over each other, then a feed-forward, each added and normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.attention = nn.MultiheadAttention(width, math.gcd(HEADS, width), dropout=ATTENTION_DROPOUT)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, FORWARD), nn.Linear(FORWARD, width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape; the values are the tokens themselves."""
        tokens = self.norm1(tokens + self.dropout(self._attend(self.query(tokens), self.key(tokens), tokens)))
        forward = self.outer(self.dropout(self.inner(tokens).relu()))
        normalised: Tensor = self.norm2(tokens + self.dropout(forward))
        return normalised

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return what ``attention`` does, each [N, D], a block of queries at a time: memory is linear in N.

        The weights of a block are computed again for its gradient, except where one block holds all.
        """
        own = self.attention
        parts = zip((query, key, value), own.in_proj_weight.chunk(3), own.in_proj_bias.chunk(3), strict=True)
        q, k, v = (
            functional.linear(x, weight, bias).unflatten(1, (own.num_heads, -1)).transpose(0, 1).contiguous()
            for x, weight, bias in parts
        )  # [heads, N, d]

        def block(queries: Tensor) -> Tensor:
            if not self.training:  # PyTorch's own needs no memory for the weights, but on the CPU with dropout
                return functional.scaled_dot_product_attention(queries[None], k[None], v[None])[0]
            weights = (queries @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(-1)
            return functional.dropout(weights, own.dropout, self.training) @ v

        blocks = q.split(QUERIES, 1)
        found = [block(blocks[0])] if len(blocks) == 1 else [checkpoint(block, x, use_reentrant=False) for x in blocks]
        projected: Tensor = own.out_proj(torch.cat(found, 1).transpose(0, 1).flatten(1))
        return projected


def prototype_contrast(embedded: Tensor, prototypes: Tensor, action: Tensor, background: Tensor) -> Tensor:
    """Return the mean over the classes c in the video of -.5 log(a_c / sum_k a_k) - .5 log(a_c / (a_c + b_c)).

    Parameters
    ----------
    embedded : E [T, D]; prototypes : m [2, D].
    action, background : seeds, bool [T, 2] and [T]. A class without one is not in the video; 0 where there is none.

    a_k is the mean of exp(cos(E_t, m_k) / .1) over the action seeds of c, b_k that over background seeds, 0 without any.
    """
    near = (functional.normalize(embedded, dim=1) @ functional.normalize(prototypes, dim=1).T / TEMPERATURE).exp()
    terms = []
    for kind in range(2):
        if action[:, kind].any():
            a = near[action[:, kind]].mean(0)
            b = mean(near[background, kind])
            terms.append(-0.5 * (a[kind] / a.sum()).log() - 0.5 * (a[kind] / (a[kind] + b)).log())
    return torch.stack(terms).mean() if terms else embedded.sum() * 0


@torch.no_grad()
def moved_prototypes(prototypes: Tensor, embedded: Tensor, action: Tensor) -> Tensor:
    """Return m [2, D] after a video: .999 m_c + .001 times the mean of E [T, D] over the action seeds [T, 2] of c."""
    moved = prototypes.clone()
    for kind in range(2):
        if action[:, kind].any():
            moved[kind] = KEPT * prototypes[kind] + (1 - KEPT) * embedded[action[:, kind]].mean(0)
    return moved


def first_prototypes(embedded: Tensor, classes: Tensor) -> Tensor:
    """Return m [2, D], the mean of the embedded points [I, D] of each class [I]; 0 for a class without a point."""
    return torch.stack([embedded[classes == kind].sum(0) / max(int((classes == kind).sum()), 1) for kind in range(2)])
