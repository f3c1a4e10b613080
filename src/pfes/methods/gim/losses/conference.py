"""The ``conference`` loss of P-FES: one intensity for both classes, classification of the frames by s-bar = s a.

Deng, Hayashi, Nagahara, ICLR 2025; equation numbers are of this paper. Conventions of pfes.methods.gim.losses.terms.

Where instances of the two classes share frames, two arrays of labels are made, one in which the macro instance has the
shared frames and one in which the micro instance has them; each term that reads labels is the mean of its two values.

What the paper leaves open is a setting: ``norm_over``, ``contrast_over``, ``temperature`` (METHOD 14). A video without
points has no contrastive loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pfes.methods.gim.losses.contrast import contrast_loss
from pfes.methods.gim.losses.terms import (
    RELIABLE,
    IntensityLoss,
    intensity_loss,
    log,
    masked_mean,
    norm_loss,
    smooth_loss,
)
from pfes.methods.gim.parameters import LossParameters
from pfes.methods.gim.pseudo_labels import PseudoLabels
from pfes.methods.losses import summed


@dataclass(frozen=True)
class OneClass:
    """Labels with one class for each frame.

    Parameters
    ----------
    soft : [T] label; taken : [T] bool, labelled or neutral frames; neutral : [T] bool; classes : [T], 0 macro, 1 micro.
    """

    soft: Tensor
    taken: Tensor
    neutral: Tensor
    classes: Tensor


def conference_loss(
    features: Tensor,
    intensity: Tensor,
    class_scores: Tensor,
    labels: PseudoLabels,
    params: LossParameters,
    valid: Tensor,
) -> dict[str, Tensor]:
    """Return the weighted terms of one video and their sum, L_GIM + L_action + l1 L_smooth + l2 L_norm + l3 L_IAC.

    Parameters
    ----------
    features : F [T, D]; intensity : a [T]; class_scores : s [T, 2]; all with gradient.
    valid : [T] bool, frames that count. Labels lie on valid frames already.

    Returns
    -------
    scalars ``gim``, ``action``, ``smooth``, ``norm``, ``contrast``, already weighted, and ``total``, their sum.
    """
    zero = intensity.new_zeros(())
    arrays = [one_class(labels, first) for first in (0, 1)]
    joint = class_scores * intensity[:, None]  # s-bar [T, 2]
    gim = [gim_loss(intensity, array, params.intensity) for array in arrays]
    action = [action_loss(joint, array) for array in arrays]
    contrast = [zero, zero]
    if params.contrast > 0 and len(labels.point_classes) > 0:
        most = 2 * labels.most_labelled
        contrast = [
            contrast_loss(features, groups(array), array.soft, params.temperature, most, params.contrast_over)
            for array in arrays
        ]  # fmt: skip
    terms = {
        "gim": params.intensity_weight * torch.stack(gim).mean() if params.intensity_weight else zero,
        "action": params.action * torch.stack(action).mean() if params.action else zero,
        "smooth": params.smooth * smooth_loss(intensity, valid),
        "norm": params.norm * norm_loss(intensity, valid, params.norm_over),
        "contrast": params.contrast * torch.stack(contrast).mean(),
    }
    return summed(terms)


def one_class(labels: PseudoLabels, first: int) -> OneClass:
    """Return the labels in which frames labelled for both classes belong to class ``first``."""
    own = labels.labelled[first]
    soft = torch.where(own, labels.soft[first], labels.soft[1 - first])
    classes = torch.where(own, first, 1 - first)
    return OneClass(soft, labels.labelled.any(0) | labels.neutral, labels.neutral, classes)


def groups(labels: OneClass) -> Tensor:
    """Return the group [T] of each frame for the contrastive loss: 1 macro, 2 micro, 0 neutral, -1 none."""
    return torch.where(labels.soft > RELIABLE, 1 + labels.classes, torch.where(labels.neutral, 0, -1))


def gim_loss(intensity: Tensor, labels: OneClass, kind: IntensityLoss = "mse") -> Tensor:
    """Return L_GIM, the mean of (a - a^)^2 over labelled and neutral frames together (eq. 9)."""
    return intensity_loss(intensity, labels.soft, labels.taken, kind)


def action_loss(joint: Tensor, labels: OneClass) -> Tensor:
    """Return L_action (eq. 13): -log s-bar of the own class on reliable frames, the mean of -log(1 - s-bar) on neutral ones.

    The other class of an expression frame has no term.

    Parameters
    ----------
    joint : s-bar [T, 2] in (0, 1).
    """
    own = joint.gather(1, labels.classes[:, None])[:, 0]
    neutral = -log(1 - joint).mean(1)
    return masked_mean(-log(own), labels.soft > RELIABLE) + masked_mean(neutral, labels.neutral)
