"""The intensity-aware contrastive loss (IAC): frames of one class together, by how alike their intensities are.

Deng, Hayashi, Nagahara, ICLR 2025, eq. 7 and 8, on unnormalised features.

Conventions
-----------
T frames of one video, F [T, D]. Each frame has a group: 0 neutral, 1 reliable macro, 2 reliable micro, -1 not taken; and
a strength a^ in [0, 1], 0 where neutral. Pair weight w_ij = 1 - |a^_i - a^_j| within a group, |a^_i - a^_j| between groups.
At most K frames are taken, K known beforehand, so that the pairs are [K, K] and nothing waits for the device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pfes.losses.terms import RELIABLE, masked_mean
from pfes.pseudo_labels import PseudoLabels

NOTHING = -1e30  # logit of a pair that does not count: its exponential is 0, its gradient too


@dataclass(frozen=True)
class Pairs:
    """Pairs of K places, of which some hold a taken frame.

    Parameters
    ----------
    logits : [K, K] F_i F_j / tau.
    weight : [K, K] w_ij.
    taken : [K] bool, places that hold a frame.
    other : [K, K] bool, both places hold a frame, and not the same one.
    positive : [K, K] bool, of these the pairs of one group.
    """

    logits: Tensor
    weight: Tensor
    taken: Tensor
    other: Tensor
    positive: Tensor


def make_pairs(features: Tensor, group: Tensor, strength: Tensor, temperature: float, most: int) -> Pairs:
    """Return the pairs of the frames with ``group`` >= 0, of which there are at most ``most``."""
    first = (group < 0).to(torch.uint8).argsort(stable=True)[:most]  # [K], taken frames first
    x, group, strength = features[first], group[first], strength[first]
    taken = group >= 0
    same = group[:, None] == group
    difference = (strength[:, None] - strength).abs()
    other = taken[:, None] & taken & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    weight = torch.where(same, 1 - difference, difference)
    return Pairs(x @ x.T / temperature, weight, taken, other, same & other)


def contrast_loss(features: Tensor, group: Tensor, strength: Tensor, temperature: float, most: int) -> Tensor:
    """Return L_IAC, the mean over anchors i of the mean over frames j of the same group of
    -(log w_ij + l_ij - log sum over k other than i of w_ik exp l_ik), l_ij = F_i F_j / tau.

    An anchor alone in its group counts 0.

    Parameters
    ----------
    features : F [T, D]; group, strength : [T]; most : bound on the number of frames with group >= 0.
    """
    pairs = make_pairs(features, group, strength, temperature, most)
    counts = pairs.other & (pairs.weight > 0)
    weighted = torch.where(counts, pairs.logits + torch.where(counts, pairs.weight, 1.0).log(), NOTHING)
    log_probability = weighted - weighted.logsumexp(1, keepdim=True)
    return -mean_over_anchors(log_probability, pairs)


def mean_over_anchors(log_probability: Tensor, pairs: Pairs) -> Tensor:
    """Return the mean over taken frames of the mean of ``log_probability`` [K, K] over the positive pairs of each."""
    summed = torch.where(pairs.positive, log_probability, 0.0).sum(1)
    return masked_mean(summed / pairs.positive.sum(1).clamp_min(1), pairs.taken)


def groups(labels: PseudoLabels) -> tuple[Tensor, Tensor]:
    """Return group and strength [T] of the labelled and neutral frames of both classes.

    A frame that is reliable for both is macro, and has the higher label.
    """
    macro, micro = labels.soft > RELIABLE
    group = torch.where(macro, 1, torch.where(micro, 2, torch.where(labels.neutral, 0, -1)))
    return group, torch.where(macro | micro, labels.soft.amax(0), 0.0)
