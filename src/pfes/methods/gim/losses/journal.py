"""The ``journal`` loss of P-FES: intensity per class, apex classification, reward, regularisers, contrast.

Deng, Hayashi, Nagahara, arXiv 2511.16952, doi 10.1109/TBIOM.2026.3651893, and its release. Conventions of
pfes.methods.gim.losses.terms.

Differences
-----------
The release's smooth term lacks the absolute value, and its contrastive loss adds 1e-6 inside the logarithms
(pfes.methods.gim.losses.release). A video without points has no contrastive loss.
"""

from torch import Tensor

from pfes.methods.gim.losses.contrast import contrast_loss, groups
from pfes.methods.gim.losses.terms import (
    apex_loss,
    apex_targets,
    intensity_loss,
    norm_loss,
    reward_loss,
    smooth_loss,
)
from pfes.methods.gim.parameters import LossParameters
from pfes.methods.gim.pseudo_labels import PseudoLabels
from pfes.methods.losses import summed

IAC_SCALE = 0.5 / 0.07  # temperature over base temperature


def journal_loss(
    features: Tensor,
    intensity: Tensor,
    class_scores: Tensor,
    labels: PseudoLabels,
    params: LossParameters,
    valid: Tensor,
) -> dict[str, Tensor]:
    """Return the weighted terms of one video and their sum.

    Parameters
    ----------
    features : F [T, D]; intensity : a [T]; class_scores : s [T, 2]; all with gradient.
    valid : [T] bool, frames that count. Labels lie on valid frames already.

    Returns
    -------
    scalars ``macro``, ``micro``, ``neutral`` (intensity against labels), ``reward``, ``apex`` (0 before stage 3),
    ``smooth``, ``norm``, ``contrast``, already weighted, and ``total``, their sum.
    """
    zero = intensity.new_zeros(())

    def against(soft: Tensor, mask: Tensor) -> Tensor:
        weight = params.intensity_weight
        return weight * intensity_loss(intensity, soft, mask, params.intensity) if weight else zero

    contrasted = params.contrast > 0 and len(labels.point_classes) > 0
    terms = {
        "macro": against(labels.soft[0], labels.labelled[0]),
        "micro": against(labels.soft[1], labels.labelled[1]),
        "neutral": against(intensity.new_zeros(len(intensity)), labels.neutral),
        "reward": reward_loss(intensity, labels, params.reward),
        "apex": apex_classification(class_scores, labels, params, valid) if labels.stage == 3 else zero,
        "smooth": params.smooth * smooth_loss(intensity, valid),
        "norm": params.norm * norm_loss(intensity, valid, params.norm_over),
        "contrast": params.contrast * scaled_contrast(features, labels, params) if contrasted else zero,
    }
    return summed(terms)


def apex_classification(
    class_scores: Tensor, labels: PseudoLabels, params: LossParameters, valid: Tensor, epsilon: float = 0.0
) -> Tensor:
    """Return L_apex = P_macro + 1.8 P_micro, with the weights and alphas of ``params``."""
    targets = apex_targets(labels, valid)
    macro, micro = (apex_loss(class_scores[:, c], targets[c], params.apex_alpha[c], valid, epsilon) for c in (0, 1))
    return params.apex_weight[0] * macro + params.apex_weight[1] * micro


def scaled_contrast(features: Tensor, labels: PseudoLabels, params: LossParameters) -> Tensor:
    """Return .5 / .07 L_IAC over reliable and neutral frames; there are at most as many neutral ones as labelled ones."""
    most = 2 * labels.most_labelled
    return IAC_SCALE * contrast_loss(features, *groups(labels), params.temperature, most, params.contrast_over)
