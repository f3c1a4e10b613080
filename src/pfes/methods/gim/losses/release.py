"""``as_released``: pseudo-labels and losses of the published code, constant by constant.

Release of Deng, Hayashi, Nagahara, arXiv 2511.16952, doi 10.1109/TBIOM.2026.3651893; METHOD 7.4 lists what differs from
the papers.

Conventions
-----------
T frames of one video, I points, D channels; epochs count from 0; a batch is one video. Class order macro, micro. The
last frame is never labelled: every labelled range, and the search for the pseudo-apex, ends before it.

Choices where the specification leaves room; each as the published code has it
-------------------------------------------------------------------------------
- Class targets (1 around a pseudo-apex, 0 near a reliable frame) may fall on the last frame.
- A frame with labels above .5 of both classes is macro in the contrastive loss, and its intensity is the higher label.
- The row maximum is taken over all frames of the loss, the anchor too. An anchor alone in its class counts 0 in the mean.

- The number of positives has 1e-6 added there, a difference of 1e-6 of the contrastive loss.

Differences
-----------
- Videos are padded to the longest one, as there, only with ``training.pad_to_longest``.
- A mean over no frame is 0, where the published code has NaN (reward without reliable frames of a class).
"""

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfes.base.errors import InputError
from pfes.methods.gim.losses.contrast import Pairs, groups, mean_over_anchors
from pfes.methods.gim.losses.journal import IAC_SCALE, apex_classification
from pfes.methods.gim.losses.terms import intensity_loss, norm_loss, reward_loss, smooth_loss
from pfes.methods.gim.parameters import LossParameters
from pfes.methods.gim.pseudo_labels import PseudoLabels, by_class, gaussian, merge, neutral_frames, pseudo_apex, within
from pfes.methods.losses import summed

Dataset = Literal["casme2", "samm_lv", "casme3"]
NORM = {"casme2": 2.5, "samm_lv": 0.3, "casme3": 2.5}
CONTRAST = {"casme2": 1.4e-5, "samm_lv": 2e-6, "casme3": 1.4e-5}
LOSS = LossParameters(smooth=0.1, temperature=0.5, reward=(0.4, 0.6), apex_weight=(1.0, 1.8), apex_alpha=(0.90, 0.93))
FIRST_ADAPTIVE, LAST_FALL = 5, 29  # epochs: stage 3 begins, theta has reached .5
K_C = (32, 16)
LEAST, MOST = (16, 8), (36, 16)  # bounds of the range, frames
LONGEST = max(MOST) // 2
EPSILON = 1e-6
LOG_EPSILON = 1e-5  # in the logarithms of the apex loss


def release_loss(
    epoch: int,
    features: Tensor,
    hidden: Tensor,
    intensity: Tensor,
    apex: Tensor,
    point_frames: Tensor | NDArray[np.int64],
    point_classes: Tensor | NDArray[np.int64],
    dataset: Dataset = "casme2",
    *,
    valid: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the loss of one video in one epoch, as the published code computes it.

    Parameters
    ----------
    epoch : from 0.
    features : F [T, D] of SpotFormer; hidden : X [T, D] of the intensity branch; intensity : a [T] in (0, 1);
        apex : class scores s [T, 2] in (0, 1), macro and micro; all of the training pass. Labels are made from
        ``hidden`` and ``intensity`` without gradient; the loss has gradient for features, intensity and apex.
    point_frames, point_classes : [I] integers, frames and classes (0 macro, 1 micro); I may be 0.
    dataset : decides the coefficients of norm and contrast.
    valid : [T] bool, frames that count; None for all, as in the published code.

    Returns
    -------
    scalars ``macro``, ``micro``, ``neutral`` (mean squares of intensity against label), ``reward``, ``apex`` (0 before
    epoch 5), ``smooth``, ``norm``, ``contrast``, already weighted, and ``total``, their sum.
    """
    if dataset not in get_args(Dataset):
        raise InputError(
            f"release_loss: dataset {dataset!r} is not known; expected one of {', '.join(get_args(Dataset))}"
        )
    valid = torch.ones_like(intensity, dtype=torch.bool) if valid is None else valid
    frames, classes = (torch.as_tensor(points).to(intensity.device).long() for points in (point_frames, point_classes))
    labels = release_labels(epoch, hidden, intensity, frames, classes, valid)
    return release_terms(
        features, intensity, apex, labels, norm=NORM[dataset], contrast=CONTRAST[dataset], valid=valid
    )  # fmt: skip


def theta(epoch: int) -> float:
    """Return the threshold of intensity for the range of stage 3."""
    return 0.8 - (epoch - FIRST_ADAPTIVE) / 80 if epoch < LAST_FALL else 0.5


@torch.no_grad()
def release_labels(
    epoch: int, hidden: Tensor, intensity: Tensor, point_frames: Tensor, point_classes: Tensor, valid: Tensor
) -> PseudoLabels:
    """Return the pseudo-labels of one video, from the hidden features and the intensity of the training pass."""
    frames = torch.arange(len(valid), device=valid.device)
    may = valid & (frames < len(valid) - 1)
    apex = point_frames
    if epoch < 1:
        half = by_class((5, 3), point_classes)
        inside = within(apex, half, may) & (frames < (apex + half)[:, None])  # p - 5 .. p + 4
        soft = inside.to(hidden.dtype)
    else:
        if epoch < FIRST_ADAPTIVE:
            half = by_class((2, 1) if epoch < 3 else (4, 2), point_classes)
        else:
            apex = pseudo_apex(intensity, point_frames, point_classes, K_C, may)
            half = adaptive_half(intensity, apex, point_classes, theta(epoch), may)
        inside = within(apex, half, may)
        soft = gaussian(hidden, hidden[apex], apex, inside, LONGEST, epsilon=EPSILON)
    soft, labelled = merge(soft, inside, point_frames, point_classes, "later")
    neutral = neutral_frames(intensity, labelled.any(0), valid, least=1)
    stage = 1 + (epoch >= 1) + (epoch >= FIRST_ADAPTIVE)
    most = min(len(point_frames) * (2 * LONGEST + 1), len(valid))
    return PseudoLabels(soft, labelled, neutral, apex, half, point_classes, stage, most)


def adaptive_half(intensity: Tensor, apex: Tensor, point_classes: Tensor, threshold: float, may: Tensor) -> Tensor:
    """Return int64 [I], half of 1.2 n within its bounds; n counts a > theta up to k_c / 2 from the apex, gaps too."""
    near = within(apex, by_class(K_C, point_classes) // 2, may)
    length = torch.round((near & (intensity > threshold)).sum(1) * 1.2).long()
    return torch.clamp(length, by_class(LEAST, point_classes), by_class(MOST, point_classes)) // 2


def release_terms(
    features: Tensor,
    intensity: Tensor,
    class_scores: Tensor,
    labels: PseudoLabels,
    *,
    norm: float,
    contrast: float,
    valid: Tensor,
) -> dict[str, Tensor]:
    """Return the weighted terms of one video and their sum; keys as in ``release_loss``.

    ``features``, ``intensity`` and ``class_scores`` may be longer than ``valid`` [T]: what follows is padding, over which
    nothing is summed but ``norm``.
    """
    zero, third, length = intensity.new_zeros(()), labels.stage == 3, len(valid)
    everything, intensity = intensity, intensity[:length]
    counted = torch.cat([valid, valid.new_ones(len(everything) - length)])
    return summed(
        {
            "macro": intensity_loss(intensity, labels.soft[0], labels.labelled[0]),
            "micro": intensity_loss(intensity, labels.soft[1], labels.labelled[1]),
            "neutral": intensity_loss(intensity, intensity.new_zeros(len(intensity)), labels.neutral),
            "reward": reward_loss(intensity, labels, LOSS.reward),
            "apex": apex_classification(class_scores[:length], labels, LOSS, valid, LOG_EPSILON) if third else zero,
            "smooth": LOSS.smooth * smooth_loss(intensity, valid, signed=True),
            "norm": norm * norm_loss(everything, counted),
            "contrast": contrast * release_contrast(features[:length], labels),
        }
    )


def release_contrast(features: Tensor, labels: PseudoLabels) -> Tensor:
    """Return .5 / .07 times the mean over anchors of minus the mean log-probability of their positives.

    log-probability = log(w + 1e-6) + logit - log(sum over others of w exp(logit) + 1e-6), the logits F F^T / .5 minus
    the maximum of their row.
    """
    most = 2 * labels.most_labelled + 1
    return -IAC_SCALE * mean_over_anchors(features, *groups(labels), LOSS.temperature, most, log_probability)


def log_probability(pairs: Pairs) -> Tensor:
    """Return the log-probability [A, K] of ``release_contrast``."""
    logits = pairs.logits - row_maximum(pairs)
    others = torch.where(pairs.other, pairs.weight * torch.where(pairs.other, logits, 0.0).exp(), 0.0)
    return (pairs.weight + EPSILON).log() + logits - (others.sum(1, keepdim=True) + EPSILON).log()


def row_maximum(pairs: Pairs) -> Tensor:
    """Return [A, 1], the greatest logit of each row over the places that hold a frame, without gradient."""
    return torch.where(pairs.taken, pairs.logits, -torch.inf).amax(1, keepdim=True).detach()
