"""Terms that the forms of the P-FES loss share, and their weights.

Deng, Hayashi, Nagahara, ICLR 2025 (equation numbers are of this paper), and arXiv 2511.16952,
doi 10.1109/TBIOM.2026.3651893.

Conventions
-----------
T frames of one video. a [T] intensity in (0, 1), s [T, 2] class scores in (0, 1), labels of pfes.methods.gim.pseudo_labels. Class
order macro, micro. A frame is *reliable* where its soft label exceeds .5. A mean over no frame is 0, never NaN, so an
absent class contributes 0. Nothing here waits for the device: masks, no data-dependent shapes.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pfes.methods.gim.parameters import IntensityLoss, Over
from pfes.methods.gim.pseudo_labels import PseudoLabels, by_class, within

RELIABLE = 0.5  # of a soft label
APEX_HALF = (2, 1)  # frames on each side of a pseudo-apex with class target 1: macro, micro
NEAR = 6  # frames around a reliable frame with class target 0
IGNORED = -1.0  # class target of all other frames
FOCUS = 0.25  # a class score near this is neutral enough: its penalty shrinks
FLOOR = 1e-12  # least argument of a logarithm; a sigmoid in single precision is 0, 1, or far enough from both


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``values`` where ``mask``; 0 where the mask is empty."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)


def log(values: Tensor) -> Tensor:
    """Return the logarithm of ``values`` in [0, 1], finite also at 0."""
    return values.clamp_min(FLOOR).log()


def intensity_loss(intensity: Tensor, soft: Tensor, mask: Tensor, kind: IntensityLoss = "mse") -> Tensor:
    """Return the mean over the frames of ``mask`` of (a - label)^2 (eq. 9), or of their binary cross-entropy."""
    if kind == "mse":
        return masked_mean((intensity - soft).square(), mask)
    return masked_mean(-(soft * log(intensity) + (1 - soft) * log(1 - intensity)), mask)


def smooth_loss(intensity: Tensor, valid: Tensor, *, signed: bool = False) -> Tensor:
    """Return the mean of |a_t+1 - a_t| over neighbouring valid frames (eq. 11); ``signed``, without the absolute value."""
    steps = intensity[1:] - intensity[:-1]
    return masked_mean(steps if signed else steps.abs(), valid[1:] & valid[:-1])


def norm_loss(intensity: Tensor, valid: Tensor, over: Over = "mean") -> Tensor:
    """Return the mean, or the sum, of the intensity over the valid frames (eq. 10)."""
    return masked_mean(intensity, valid) if over == "mean" else torch.where(valid, intensity, 0.0).sum()


def reward_loss(intensity: Tensor, labels: PseudoLabels, weights: tuple[float, float]) -> Tensor:
    """Return minus the weighted mean intensities over reliable macro and micro frames."""
    macro, micro = (masked_mean(intensity, row) for row in labels.soft > RELIABLE)
    return -(weights[0] * macro + weights[1] * micro)


def apex_targets(labels: PseudoLabels, valid: Tensor) -> Tensor:
    """Return [2, T] targets of the class scores: 1, 0, or IGNORED.

    0 on neutral frames and within NEAR frames of a reliable frame of either class, then 1 within APEX_HALF of a
    pseudo-apex of the class.
    """
    reliable = (labels.soft > RELIABLE).any(0).to(labels.soft.dtype)
    near = functional.max_pool1d(reliable[None], 2 * NEAR + 1, stride=1, padding=NEAR)[0] > 0
    zero = torch.where((near | labels.neutral) & valid, 0.0, IGNORED)
    apex = within(labels.apex_frames, by_class(APEX_HALF, labels.point_classes), valid)
    own = torch.stack([(apex & (labels.point_classes == c)[:, None]).any(0) for c in (0, 1)])
    return torch.where(own, 1.0, zero)


def apex_loss(scores: Tensor, targets: Tensor, alpha: float, valid: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return P_c of one class.

    P_c = -sum{alpha |1 - s| log s on targets 1; (1 - alpha) |.25 - s| log(1 - s) on targets 0} / T, T the valid frames.

    Parameters
    ----------
    scores : s [T] in (0, 1); targets : [T], 1, 0 or IGNORED; epsilon : added inside the logarithms.
    """
    positive = alpha * (1 - scores) * log(scores + epsilon) * (targets == 1)
    negative = (1 - alpha) * (FOCUS - scores).abs() * log(1 - scores + epsilon) * (targets == 0)
    return -(positive + negative).sum() / valid.sum().clamp_min(1)
