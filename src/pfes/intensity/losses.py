"""Losses of [W25]: mean square error to the pseudo-intensity, smoothness, and apex ranking.

Conventions
-----------
Predictions and targets are [B, T] in [0, 1]; ``apex`` [B] is the step of the apex, -1 for a clip without one.

Differences
-----------
[W25] is silent on the exact form of the last two: smoothness is the mean square of neighbouring differences; ranking is
a hinge on every other step of the clip, max(0, margin (1 - target) - (a_apex - a_t)): the wanted lead grows with the
distance in intensity, so that a perfect prediction costs nothing as long as margin <= 1.
"""

import torch
from torch import Tensor

from pfes.intensity.parameters import IntensityLossParameters
from pfes.methods.losses import summed


def square_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean of (a - target)^2 over all steps."""
    return (predicted - target).square().mean()


def smooth_loss(predicted: Tensor) -> Tensor:
    """Return the mean of (a_t+1 - a_t)^2; 0 for clips of one step."""
    return predicted.diff(dim=1).square().mean() if predicted.shape[1] > 1 else predicted.new_zeros(())


def ranking_loss(predicted: Tensor, target: Tensor, apex: Tensor, margin: float) -> Tensor:
    """Return the mean hinge over all steps but the apex, of the clips that have one; 0 if none has."""
    has_apex = apex >= 0
    top = predicted.gather(1, apex.clamp_min(0)[:, None])
    hinge = (margin * (1 - target) - (top - predicted)).clamp_min(0)
    other = torch.arange(predicted.shape[1], device=predicted.device) != apex[:, None]
    counted = other & has_apex[:, None]
    return (hinge * counted).sum() / counted.sum().clamp_min(1)


def intensity_loss(
    predicted: Tensor, target: Tensor, apex: Tensor, params: IntensityLossParameters
) -> dict[str, Tensor]:
    """Return the weighted terms ``square``, ``smooth``, ``ranking`` and their sum ``total``."""
    terms = {
        "square": square_loss(predicted, target),
        "smooth": params.smooth * smooth_loss(predicted),
        "ranking": params.ranking * ranking_loss(predicted, target, apex, params.margin),
    }
    return summed(terms)
