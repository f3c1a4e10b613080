"""The losses of LAC on the optimal sequence: contrast of scores and of features (METHOD 10.1).

Conventions
-----------
``sequence`` bool [T, 2] says which frames are expression of each class; a class without any is not in the video. Its maximal
runs of equal labels are its segments, inclusive [onset, offset].

Differences
-----------
The feature contrast is the mean over classes; the published code keeps the value of the last class.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pfes.methods.ptal.losses import mean, oic

TEMPERATURE = 0.1
PARTS = 3  # of a segment, one frame of each


def score_contrast(p: Tensor, sequence: Tensor) -> Tensor:
    """Return (A + B)^2 of fused scores p [T, 3]; 0 where ``sequence`` has no class.

    A is the mean of 1 less the outer-inner contrast of p_c over action segments of all classes in the video, B the same over
    their background segments on 1 - p_c.
    """
    gaps: dict[bool, list[Tensor]] = {True: [], False: []}
    for kind, segments, action in class_segments(sequence):
        for what in (True, False):
            curve = p[:, kind] if what else 1 - p[:, kind]
            gaps[what].append(1 - oic(curve, segments[action == what]))
    if not gaps[True]:
        return p.sum() * 0
    return (mean(torch.cat(gaps[True])) + mean(torch.cat(gaps[False]))).square()


def feature_contrast(hidden: Tensor, sequence: Tensor, generator: torch.Generator) -> Tensor:
    """Return the mean over classes with two or more action segments of their contrast, from X [T, D]; 0 without any.

    Each segment gives the normalised mean g of one random frame from each of its three equal parts. Over action segments j,
    the mean of -log of the share of the action segments i among all i, in sum of exp(g_i g_j / .1), i other than j.
    """
    terms = []
    for _, segments, action in class_segments(sequence):
        if action.sum() >= 2:
            share = (torch.arange(PARTS) + torch.rand(len(segments), PARTS, generator=generator)) / PARTS
            length = (segments[:, 1] - segments[:, 0] + 1)[:, None]
            frames = segments[:, :1] + (share.to(hidden.device) * length).long().clamp_max(length - 1)
            g = functional.normalize(hidden[frames].mean(1), dim=1)  # [segments, D]
            similarity = g @ g[action].T / TEMPERATURE  # [all, action]
            itself = torch.eye(len(g), dtype=torch.bool, device=g.device)[:, action]
            similarity = similarity.masked_fill(itself, -torch.inf)
            terms.append((similarity.logsumexp(0) - similarity[action].logsumexp(0)).mean())
    return torch.stack(terms).mean() if terms else hidden.sum() * 0


def class_segments(sequence: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Return for each class in the video its number, its segments [N, 2] and which of them are action [N]."""
    found = []
    for kind in range(sequence.shape[1]):
        labels = sequence[:, kind]
        if labels.any():
            begins = functional.pad((labels[1:] != labels[:-1]).nonzero()[:, 0] + 1, (1, 0))
            ends = torch.cat([begins[1:], begins.new_tensor([len(labels)])]) - 1
            found.append((kind, torch.stack([begins, ends], 1), labels[begins]))
    return found
