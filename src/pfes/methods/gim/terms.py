"""The loss of one video in one training step: heads, pseudo-labels and losses of a form of P-FES put together.

Forms: ``conference`` (ICLR 2025), ``journal`` (arXiv 2511.16952) and ``as_released`` (its published code).
"""

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfes.base.errors import InputError
from pfes.methods.gim.losses.conference import conference_loss
from pfes.methods.gim.losses.journal import journal_loss
from pfes.methods.gim.losses.release import release_labels, release_terms
from pfes.methods.gim.losses.release import theta as release_theta
from pfes.methods.gim.losses.terms import LossParameters
from pfes.methods.gim.pseudo_labels import GimParameters, PseudoLabels, pseudo_labels
from pfes.network.heads import PfesHead

Form = Literal["conference", "journal", "as_released"]
FORMS: tuple[Form, ...] = get_args(Form)


def gim_terms(
    form: Form,
    epoch: int,
    features: Tensor,
    head: PfesHead,
    point_frames: Tensor | NDArray[np.int64],
    point_classes: Tensor | NDArray[np.int64],
    gim: GimParameters,
    loss: LossParameters,
    *,
    valid: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[dict[str, Tensor], PseudoLabels]:
    """Return the weighted loss terms of one video with their sum ``total``, and the pseudo-labels they were made with.

    Heads, labels and losses are computed in single precision (double where ``features`` are double), also inside an
    autocast block. Nothing waits for the device.

    Parameters
    ----------
    form : of P-FES; ``as_released`` has its own constants and reads nothing of ``gim``, and of ``loss`` only ``norm``
        and ``contrast``.
    epoch : from 0.
    features : F [T, D] of SpotFormer, with gradient.
    head : in training mode.
    point_frames, point_classes : int64 [I], classes 0 macro and 1 micro; I may be 0.
    valid : [T] bool, frames that count; None for all.
    generator : of the ``random`` overlap rule.

    Returns
    -------
    terms : scalars, see conference_loss, journal_loss and release_loss.
    labels : see PseudoLabels.
    """
    if form not in FORMS:
        raise InputError(f"training: form {form!r} is not known; expected one of {', '.join(FORMS)}")
    device = features.device
    with torch.autocast(device.type, enabled=False):
        features = features if features.dtype == torch.float64 else features.float()
        frames, classes = (
            torch.as_tensor(points).to(device, torch.int64, non_blocking=True)
            for points in (point_frames, point_classes)
        )
        valid = torch.ones(len(features), dtype=torch.bool, device=device) if valid is None else valid
        released = form == "as_released" or gim.label_pass == "as_released"
        hidden, intensity, scores = head(features, released=released)
        if form == "as_released":
            labels = release_labels(epoch, hidden, intensity, frames, classes, valid)
            terms = release_terms(
                features, intensity, scores, labels, norm=loss.norm, contrast=loss.contrast, valid=valid
            )  # fmt: skip
            return terms, labels
        seen_hidden, seen_intensity = (hidden, intensity) if released else head.clean(features)[:2]
        labels = pseudo_labels(
            epoch, seen_hidden, seen_intensity, frames, classes, gim, valid=valid, generator=generator
        )  # fmt: skip
        form_loss = conference_loss if form == "conference" else journal_loss
        return form_loss(features, intensity, scores, labels, loss, valid), labels


def threshold(form: Form, epoch: int, gim: GimParameters) -> float:
    """Return theta, the intensity above which a frame counts for the range of its instance (eq. 3), in ``epoch``."""
    return release_theta(epoch) if form == "as_released" else gim.theta(epoch)
