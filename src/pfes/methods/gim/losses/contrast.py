"""The intensity-aware contrastive loss (IAC): frames of one class together, by how alike their intensities are.

Deng, Hayashi, Nagahara, ICLR 2025, eq. 7 and 8, on unnormalised features.

Conventions
-----------
T frames of one video, F [T, D]. Each frame has a group: 0 neutral, 1 reliable macro, 2 reliable micro, -1 not taken; and
a strength a^ in [0, 1], 0 where neutral. Pair weight w_ij = 1 - |a^_i - a^_j| within a group, |a^_i - a^_j| between groups.
At most K frames are taken, K known beforehand, so that nothing waits for the device. The pairs of A anchors are [A, K];
more than BLOCK anchors pass in blocks whose pairs are made again in the backward pass: memory grows with the number of
frames, not with its square.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pfes.methods.gim.losses.terms import RELIABLE, masked_mean
from pfes.methods.gim.parameters import Over
from pfes.methods.gim.pseudo_labels import PseudoLabels

NOTHING = -1e30  # logit of a pair that does not count: its exponential is 0, its gradient too
BLOCK = 1024  # anchors


@dataclass(frozen=True)
class Pairs:
    """Pairs of A anchors with K places, of which some hold a taken frame.

    Parameters
    ----------
    logits : [A, K] F_i F_j / tau.
    weight : [A, K] w_ij.
    taken : [K] bool, places that hold a frame.
    other : [A, K] bool, both places hold a frame, and not the same one.
    positive : [A, K] bool, of these the pairs of one group.
    """

    logits: Tensor
    weight: Tensor
    taken: Tensor
    other: Tensor
    positive: Tensor


def make_pairs(features: Tensor, group: Tensor, strength: Tensor, temperature: float, anchors: slice) -> Pairs:
    """Return the pairs of the ``anchors`` among K places with all of them: features [K, D]; group, strength [K]."""
    taken, places = group >= 0, torch.arange(len(group), device=group.device)
    same = group[anchors, None] == group
    difference = (strength[anchors, None] - strength).abs()
    other = taken[anchors, None] & taken & (places[anchors, None] != places)
    weight = torch.where(same, 1 - difference, difference)
    return Pairs(features[anchors] @ features.T / temperature, weight, taken, other, same & other)


def contrast_loss(
    features: Tensor, group: Tensor, strength: Tensor, temperature: float, most: int, over: Over = "mean"
) -> Tensor:
    """Return L_IAC, the mean or sum over anchors i of the mean over frames j of the same group of
    -(log w_ij + l_ij - log sum over k other than i of w_ik exp l_ik), l_ij = F_i F_j / tau.

    An anchor alone in its group counts 0.

    Parameters
    ----------
    features : F [T, D]; group, strength : [T]; most : bound on the number of frames with group >= 0.
    """
    mean = -mean_over_anchors(features, group, strength, temperature, most, _log_probability)
    return mean if over == "mean" else mean * (group >= 0).sum()


def _log_probability(pairs: Pairs) -> Tensor:
    counts = pairs.other & (pairs.weight > 0)
    weighted = torch.where(counts, pairs.logits + torch.where(counts, pairs.weight, 1.0).log(), NOTHING)
    return weighted - weighted.logsumexp(1, keepdim=True)


def mean_over_anchors(
    features: Tensor, group: Tensor, strength: Tensor, temperature: float, most: int,
    log_probability: Callable[[Pairs], Tensor],
) -> Tensor:  # fmt: skip
    """Return the mean over taken frames of the mean of ``log_probability`` [A, K] over the positive pairs of each.

    Parameters as of ``contrast_loss``; ``log_probability`` may look at no other row than that of the anchor.
    """
    first = (group < 0).to(torch.uint8).argsort(stable=True)[:most]  # [K], taken frames first
    x, group, strength = features[first], group[first], strength[first]

    def means(start: int) -> Tensor:
        pairs = make_pairs(x, group, strength, temperature, slice(start, start + BLOCK))
        summed = torch.where(pairs.positive, log_probability(pairs), 0.0).sum(1)
        return summed / pairs.positive.sum(1).clamp_min(1)

    if len(x) <= BLOCK:
        return masked_mean(means(0), group >= 0)
    blocks = [
        checkpoint(means, start, use_reentrant=False, preserve_rng_state=False) for start in range(0, len(x), BLOCK)
    ]
    return masked_mean(torch.cat(blocks), group >= 0)


def groups(labels: PseudoLabels) -> tuple[Tensor, Tensor]:
    """Return group and strength [T] of the labelled and neutral frames of both classes.

    A frame that is reliable for both is macro, and has the higher label.
    """
    macro, micro = labels.soft > RELIABLE
    group = torch.where(macro, 1, torch.where(micro, 2, torch.where(labels.neutral, 0, -1)))
    return group, torch.where(macro | micro, labels.soft.amax(0), 0.0)
