"""The ``journal`` losses of P-FES: each a function that returns one scalar, and their weighted sum.

Deng, Hayashi, Nagahara, arXiv 2511.16952, doi 10.1109/TBIOM.2026.3651893, and its release; the contrastive loss and the
regularisers are those of the ICLR 2025 paper, whose equation numbers are given.

Conventions
-----------
T frames of one video. a [T] intensity in (0, 1), s [T, 2] class scores in (0, 1), F [T, D] features, labels of
pfes.pseudo_labels. Class order macro, micro. A frame is *reliable* where its soft label exceeds .5. A mean over no
frame is 0, never NaN, so an absent class contributes 0.

Differences
-----------
The release's smooth term lacks the absolute value. An all-neutral video has no contrastive loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pfes.pseudo_labels import PseudoLabels, within

RELIABLE = 0.5  # of a soft label
APEX_HALF = (2, 1)  # frames on each side of a pseudo-apex with class target 1: macro, micro
NEAR = 6  # frames around a reliable frame with class target 0
IGNORED = -1.0  # class target of all other frames
FOCUS = 0.25  # class scores below this are neutral enough: their penalty shrinks
IAC_SCALE = 0.5 / 0.07


@dataclass(frozen=True)
class LossParameters:
    """Weights of the loss terms; the defaults are those of CAS(ME)^2, for SAMM-LV norm .3 and contrast 2e-6.

    Parameters
    ----------
    smooth : l1, weight of the mean |a_t+1 - a_t|.
    norm : l2, weight of the mean intensity.
    contrast : coefficient of the instance-adaptive contrastive loss (IAC).
    temperature : tau of IAC.
    reward : weight of the mean intensity over reliable macro and micro frames, subtracted.
    apex_weight : weight of the apex classification of macro and micro.
    apex_alpha : share of the positive frames in it, macro and micro.
    """

    smooth: float = 0.1
    norm: float = 2.5
    contrast: float = 1.4e-5
    temperature: float = 0.5
    reward: tuple[float, float] = (0.4, 0.6)
    apex_weight: tuple[float, float] = (1.0, 1.8)
    apex_alpha: tuple[float, float] = (0.90, 0.93)


def journal_loss(
    features: Tensor,
    intensity: Tensor,
    class_scores: Tensor,
    labels: PseudoLabels,
    params: LossParameters,
    *,
    valid: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the weighted terms of one video and their sum.

    Parameters
    ----------
    features : F [T, D]; intensity : a [T]; class_scores : s [T, 2]; all with gradient.
    valid : [T] bool, frames that count; None for all. Labels lie on valid frames already.

    Returns
    -------
    scalars ``macro``, ``micro``, ``neutral`` (mean squares), ``reward``, ``apex`` (0 before stage 3), ``smooth``,
    ``norm``, ``contrast``, already weighted, and ``total``, their sum.
    """
    valid = torch.ones_like(intensity, dtype=torch.bool) if valid is None else valid
    reliable = labels.soft > RELIABLE
    reward = sum(params.reward[c] * masked_mean(intensity, reliable[c]) for c in (0, 1))
    terms = {
        "macro": intensity_loss(intensity, labels.soft[0], labels.labelled[0]),
        "micro": intensity_loss(intensity, labels.soft[1], labels.labelled[1]),
        "neutral": intensity_loss(intensity, torch.zeros_like(intensity), labels.neutral),
        "reward": -torch.as_tensor(reward),
        "apex": intensity.new_zeros(()),
        "smooth": params.smooth * smooth_loss(intensity, valid),
        "norm": params.norm * norm_loss(intensity, valid),
        "contrast": params.contrast * contrast_loss(features, labels, params.temperature),
    }
    if labels.stage == 3:
        targets = apex_targets(labels, valid)
        parts = [
            params.apex_weight[c] * apex_loss(class_scores[:, c], targets[c], params.apex_alpha[c], valid)
            for c in (0, 1)
        ]
        terms["apex"] = parts[0] + parts[1]
    return {**terms, "total": torch.stack(list(terms.values())).sum()}


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``values`` where ``mask``; 0 where the mask is empty."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)


def intensity_loss(intensity: Tensor, soft: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of (a - label)^2 over the frames of ``mask`` (eq. 9, one class or the neutral frames)."""
    return masked_mean((intensity - soft).square(), mask)


def smooth_loss(intensity: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of |a_t+1 - a_t| over neighbouring valid frames (eq. 11)."""
    return masked_mean(intensity.diff().abs(), valid[1:] & valid[:-1])


def norm_loss(intensity: Tensor, valid: Tensor) -> Tensor:
    """Return the mean intensity over the valid frames (eq. 10)."""
    return masked_mean(intensity, valid)


def apex_targets(labels: PseudoLabels, valid: Tensor) -> Tensor:
    """Return [2, T] targets of the class scores: 1, 0, or IGNORED.

    0 on neutral frames and within NEAR frames of a reliable frame of either class, then 1 within APEX_HALF of a
    pseudo-apex of the class.
    """
    reliable = (labels.soft > RELIABLE).any(0).to(labels.soft.dtype)
    near = torch.nn.functional.max_pool1d(reliable[None], 2 * NEAR + 1, stride=1, padding=NEAR)[0] > 0
    rows = []
    half = torch.tensor(APEX_HALF, dtype=torch.float32, device=valid.device)[labels.point_classes]
    apex = within(labels.apex_frames, half, valid)
    for c in (0, 1):
        target = torch.where((near | labels.neutral) & valid, 0.0, IGNORED)
        rows.append(target.masked_fill((apex & (labels.point_classes == c)[:, None]).any(0), 1.0))
    return torch.stack(rows)


def apex_loss(scores: Tensor, targets: Tensor, alpha: float, valid: Tensor) -> Tensor:
    """Return P_c of one class.

    P_c = -sum{alpha |1 - s| log s on targets 1; (1 - alpha) |.25 - s| log(1 - s) on targets 0} / T, T the valid frames.

    Parameters
    ----------
    scores : s [T] in (0, 1); targets : [T], 1, 0 or IGNORED.
    """
    s = scores.clamp(1e-6, 1 - 1e-6)
    positive = alpha * (1 - s) * s.log() * (targets == 1)
    negative = (1 - alpha) * (FOCUS - s).abs() * torch.log1p(-s) * (targets == 0)
    return -(positive + negative).sum() / valid.sum().clamp_min(1)


def contrast_loss(features: Tensor, labels: PseudoLabels, temperature: float) -> Tensor:
    """Return the instance-adaptive contrastive loss L_IAC (eq. 7, 8) on unnormalised features [T, D].

    Frames: reliable macro, reliable micro (macro where both), neutral with intensity 0. With pair weight
    w_ij = 1 - |a^_i - a^_j| within a class and |a^_i - a^_j| between classes, and logits l_ij = F_i F_j / tau, it is the
    mean over anchors i of the mean over frames j of the same class of
    -(log w_ij + l_ij - log sum over k other than i of w_ik exp l_ik), times .5 / .07.
    """
    if len(labels.point_classes) == 0:
        return features.new_zeros(())
    reliable = labels.soft > RELIABLE
    group = torch.where(reliable[0], 1, torch.where(reliable[1], 2, torch.where(labels.neutral, 0, -1)))
    strength = torch.where(reliable[0], labels.soft[0], torch.where(reliable[1], labels.soft[1], 0.0))
    chosen = group >= 0
    x, group, strength = features[chosen], group[chosen], strength[chosen]
    same = group[:, None] == group
    difference = (strength[:, None] - strength).abs()
    other = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    log_weight = torch.where(same, 1 - difference, difference).log()
    weighted = (x @ x.T / temperature + log_weight).masked_fill(~other, -torch.inf)
    positive = same & other
    log_probability = (weighted - weighted.logsumexp(1, keepdim=True)).masked_fill(~positive, 0.0)
    partners = positive.sum(1)
    return -IAC_SCALE * masked_mean(log_probability.sum(1) / partners.clamp_min(1), partners > 0)
