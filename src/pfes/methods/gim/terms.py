"""The loss of one video in one training step: heads, pseudo-labels and losses of a form of P-FES put together.

Forms: ``conference`` (ICLR 2025), ``journal`` (arXiv 2511.16952) and ``as_released`` (its published code).

Differences
-----------
Frames that an annotator marked as without expression (``Batch.neutral``) get no pseudo-label and are not drawn as neutral; the
mean over them of the intensity loss against 0 joins the form's own intensity term. Without such frames nothing changes.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from pfes.base.errors import InputError
from pfes.methods.base import Batch, TrainingVideo
from pfes.methods.gim.losses.conference import conference_loss
from pfes.methods.gim.losses.journal import journal_loss
from pfes.methods.gim.losses.release import release_labels, release_terms
from pfes.methods.gim.losses.terms import intensity_loss
from pfes.methods.gim.parameters import GimParameters, IntensityLoss, LossParameters
from pfes.methods.gim.pseudo_labels import PseudoLabels, pseudo_labels
from pfes.network.heads import PfesHead

Form = Literal["conference", "journal", "as_released"]
FORMS: tuple[Form, ...] = get_args(Form)


def gim_terms(
    form: Form,
    epoch: int,
    features: Tensor,
    head: PfesHead,
    batch: Batch,
    gim: GimParameters,
    loss: LossParameters,
    *,
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
    features : F [T, D] of SpotFormer, with gradient; for ``as_released`` more rows may follow, those of padding.
    head : in training mode.
    batch : the video's points, and the frames that count.
    generator : of the random overlap rules.

    Returns
    -------
    terms : scalars, see conference_loss, journal_loss and release_loss.
    labels : see PseudoLabels.
    """
    if form not in FORMS:
        raise InputError(f"training: form {form!r} is not known; expected one of {', '.join(FORMS)}")
    with torch.autocast(features.device.type, enabled=False):
        features = features if features.dtype == torch.float64 else features.float()
        frames, classes, valid = batch.point_frames, batch.point_classes, batch.valid
        may = valid if batch.neutral is None else valid & ~batch.neutral
        released = form == "as_released" or gim.label_pass == "as_released"
        hidden, intensity, scores = head(features, released=released)
        if form == "as_released":
            length = len(valid)
            labels = release_labels(epoch, hidden[:length], intensity[:length], frames, classes, may)
            terms = release_terms(
                features, intensity, scores, labels, norm=loss.norm, contrast=loss.contrast, valid=valid
            )  # fmt: skip
            return _with_marked(terms, intensity[:length], batch, "mse"), labels
        seen_hidden, seen_intensity = (hidden, intensity) if released else head.clean(features)[:2]
        labels = pseudo_labels(
            epoch, seen_hidden, seen_intensity, frames, classes, gim, valid=may, generator=generator
        )  # fmt: skip
        form_loss = conference_loss if form == "conference" else journal_loss
        terms = form_loss(features, intensity, scores, labels, loss, valid)
        return _with_marked(terms, intensity, batch, loss.intensity), labels


def _with_marked(terms: dict[str, Tensor], intensity: Tensor, batch: Batch, kind: IntensityLoss) -> dict[str, Tensor]:
    """Add the loss of the frames [T] that are marked as without expression to the term of the intensity, and to the sum."""
    if batch.neutral is None:
        return terms
    still = intensity_loss(intensity, torch.zeros_like(intensity), batch.neutral & batch.valid, kind)
    own = "neutral" if "neutral" in terms else "gim"
    return {**terms, own: terms[own] + still, "total": terms["total"] + still}


@torch.inference_mode()
def labels_of(
    form: Form,
    epoch: int,
    head: PfesHead,
    features: Tensor,
    video: TrainingVideo,
    gim: GimParameters,
    generator: torch.Generator,
) -> PseudoLabels:
    """Return the pseudo-labels that ``epoch`` gives ``video`` of ``features`` [T, D], from a pass without dropout."""
    hidden, intensity, _ = head.clean(features)
    frames, classes, valid = (
        torch.as_tensor(array) for array in (video.point_frames, video.point_classes, video.valid)
    )
    valid = valid if video.neutral is None else valid & ~torch.as_tensor(video.neutral)
    if form == "as_released":
        return release_labels(epoch, hidden, intensity, frames, classes, valid)
    return pseudo_labels(epoch, hidden, intensity, frames, classes, gim, valid=valid, generator=generator)
