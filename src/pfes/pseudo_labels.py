"""Pseudo-labels: a soft intensity for the frames around each point (GIM), and which frames are surely neutral.

Gaussian-based instance-adaptive intensity modelling: Deng, Hayashi, Nagahara, ICLR 2025, and arXiv 2511.16952,
doi 10.1109/TBIOM.2026.3651893; equation numbers are those of the ICLR paper.

Conventions
-----------
T frames of one video, I points, D channels. Frames 0-based, ranges inclusive and clipped to the video, the last frame
counts. Class order macro, micro; a macro and a micro instance may share frames, hence one row of labels per class.
x_j is the hidden feature (X of pfes.heads) and a_j the intensity of frame j, both from a pass without dropout and
without gradient. Epochs count from 0.

Stages
------
1 (hard_epochs): label 1 on p +- 5 (macro), +- 3 (micro).
2 (gaussian_epochs): Gaussian of feature distance around x_p on p +- 4, +- 2.
3 (the rest): Gaussian of feature distance around the pseudo-apex, on a range as long as the intensity says.

Differences
-----------
The release reads x and a from the pass with dropout and clamps the half-width of stage 3 (``half_widths``); the paper
and the default do neither. Of overlapping instances of one class one whole instance is kept, drawn per call.
A video without any point has no labelled expression, so all of its frames are neutral (``empty_is_neutral``); by eq. 6
to the letter it would teach nothing. Frames that are not valid are never labelled.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pfes.errors import InputError

Overlap = Literal["random", "higher", "lower", "later"]
OVERLAPS: tuple[Overlap, ...] = ("random", "higher", "lower", "later")
HARD_HALF = (5, 3)  # stage 1, frames on each side: macro, micro
GAUSSIAN_HALF = (4, 2)  # stage 2


@dataclass(frozen=True)
class GimParameters:
    """Parameters of the pseudo-labels; the defaults are the paper's, for 100 epochs.

    Parameters
    ----------
    hard_epochs, gaussian_epochs : length of stages 1 and 2.
    theta_start, theta_end : intensity threshold of eq. 3; falls linearly from the first epoch of stage 3 on.
    theta_epochs : epochs of training after which theta has reached ``theta_end``.
    k_c : search window of macro and micro, frames: the pseudo-apex lies within k_c / 4 of the point, the range is
        counted within k_c / 2 of the pseudo-apex.
    d : range over counted frames (eq. 4).
    half_widths : least and most half-width of the range for macro and micro, frames; None for the paper's form,
        ((8, 18), (4, 8)) for the release's.
    overlap : of two instances of one class that share frames, which one labels them.
    empty_is_neutral : all frames of a video without points are neutral.
    """

    hard_epochs: int = 1
    gaussian_epochs: int = 4
    theta_start: float = 0.8
    theta_end: float = 0.5
    theta_epochs: int = 30
    k_c: tuple[int, int] = (32, 16)
    d: float = 1.2
    half_widths: tuple[tuple[int, int], tuple[int, int]] | None = None
    overlap: Overlap = "random"
    empty_is_neutral: bool = True

    def __post_init__(self) -> None:
        if self.overlap not in OVERLAPS:
            raise InputError(f"gim: overlap {self.overlap!r} is not known; expected one of {', '.join(OVERLAPS)}")

    def stage(self, epoch: int) -> int:
        """Return the stage 1, 2 or 3 of ``epoch``."""
        return 1 + (epoch >= self.hard_epochs) + (epoch >= self.hard_epochs + self.gaussian_epochs)

    def theta(self, epoch: int) -> float:
        """Return the threshold of eq. 3 in ``epoch``: theta_start up to the first epoch of stage 3, then falling."""
        first = self.hard_epochs + self.gaussian_epochs
        share = (epoch - first) / max(self.theta_epochs - 1 - first, 1)
        return self.theta_start + (self.theta_end - self.theta_start) * min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of one video in one epoch.

    Parameters
    ----------
    soft : [2, T] soft intensity labels in (0, 1] of macro and micro, 0 where unlabelled.
    labelled : [2, T] bool, where ``soft`` holds a label.
    neutral : [T] bool, frames taken as neutral (label 0).
    apex_frames : [I] pseudo-apex of each point; the point itself in stages 1 and 2.
    point_classes : [I] class index of each point.
    stage : 1, 2 or 3.
    """

    soft: Tensor
    labelled: Tensor
    neutral: Tensor
    apex_frames: Tensor
    point_classes: Tensor
    stage: int


@torch.no_grad()
def pseudo_labels(
    epoch: int,
    hidden: Tensor,
    intensity: Tensor,
    point_frames: Tensor,
    point_classes: Tensor,
    params: GimParameters,
    *,
    valid: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> PseudoLabels:
    """Return the pseudo-labels of one video.

    Parameters
    ----------
    hidden : x [T, D]; intensity : a [T] in [0, 1]; both from a pass without dropout.
    point_frames, point_classes : int64 [I], classes 0 macro and 1 micro.
    valid : [T] bool, frames that may be labelled; None for all.
    generator : CPU generator of the ``random`` overlap rule.
    """
    valid = torch.ones_like(intensity, dtype=torch.bool) if valid is None else valid
    stage, centres = params.stage(epoch), point_frames
    if stage == 1:
        inside = within(centres, _per_class(HARD_HALF, point_classes), valid)
        soft = inside.to(hidden.dtype)
    else:
        if stage == 2:
            half = _per_class(GAUSSIAN_HALF, point_classes)
        else:
            centres = pseudo_apex(intensity, point_frames, point_classes, params, valid)
            half = half_widths(intensity, centres, point_classes, params.theta(epoch), params, valid)
        inside = within(centres, half, valid)
        soft = gaussian(hidden, centres, inside)
    soft, labelled = merge(soft, inside, point_frames, point_classes, params.overlap, generator)
    neutral = neutral_frames(intensity, labelled.any(0), valid)
    if params.empty_is_neutral and len(point_frames) == 0:
        neutral = valid.clone()
    return PseudoLabels(soft, labelled, neutral, centres, point_classes, stage)


def within(centres: Tensor, half: Tensor, valid: Tensor) -> Tensor:
    """Return [I, T] bool: the valid frames j with |j - centre| <= half."""
    frames = torch.arange(len(valid), device=valid.device)
    return ((frames - centres[:, None]).abs() <= half[:, None]) & valid


def pseudo_apex(
    intensity: Tensor, point_frames: Tensor, point_classes: Tensor, params: GimParameters, valid: Tensor
) -> Tensor:
    """Return [I], for each point p the first frame of highest intensity among |j - p| <= k_c / 4 (eq. 1)."""
    near = within(point_frames, _per_class(params.k_c, point_classes) / 4, valid)
    apex = torch.where(near, intensity, -1.0).argmax(1)
    return torch.where(near.any(1), apex, point_frames)


def half_widths(
    intensity: Tensor, apex: Tensor, point_classes: Tensor, theta: float, params: GimParameters, valid: Tensor
) -> Tensor:
    """Return [I], the half-width d L / 2 in frames; L counts a > theta among |j - apex| <= k_c / 2 (eq. 3)."""
    near = within(apex, _per_class(params.k_c, point_classes) / 2, valid)
    half = (near & (intensity > theta)).sum(1) * (params.d / 2)
    half = torch.floor(half + 1e-4)  # whole frames; the margin keeps 1.2 * 5 / 2 at 3
    if params.half_widths is not None:
        least, most = (_per_class(bounds, point_classes) for bounds in zip(*params.half_widths, strict=True))
        half = torch.clamp(half, least, most)
    return half


def gaussian(hidden: Tensor, centres: Tensor, inside: Tensor) -> Tensor:
    """Return [I, T], exp(-|x_j - mu|^2 / (2 sigma^2)) on ``inside`` [I, T], mu = x at the centre (eq. 2, 4, 5).

    sigma^2 is the mean of |x_j - mu|^2 over ``inside``. Where it is 0 all features are equal and the label is 1.
    """
    squared = (
        torch.stack([(hidden - mu).square().sum(1) for mu in hidden[centres]])
        if len(centres)
        else inside.to(hidden.dtype)
    )
    squared = squared * inside
    variance = squared.sum(1) / inside.sum(1).clamp_min(1)
    tiny = torch.finfo(hidden.dtype).tiny
    return torch.exp(-squared / (2 * variance).clamp_min(tiny)[:, None]) * inside


def merge(
    soft: Tensor,
    inside: Tensor,
    point_frames: Tensor,
    point_classes: Tensor,
    overlap: Overlap,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Merge labels per instance [I, T] to labels per class: soft [2, T] and labelled [2, T].

    Where instances of one class overlap, one of them labels the frame: ``random`` an instance drawn for all its frames,
    ``higher`` or ``lower`` by label, ``later`` the later point.
    """
    labelled = torch.stack([(inside & (point_classes == c)[:, None]).any(0) for c in (0, 1)])
    if len(soft) == 0:
        return soft.new_zeros(labelled.shape), labelled
    if overlap == "random":
        priority = torch.rand(len(soft), generator=generator).to(soft)[:, None].expand_as(soft)
    elif overlap == "later":
        priority = point_frames.argsort(stable=True).argsort().to(soft)[:, None].expand_as(soft)
    else:
        priority = soft if overlap == "higher" else -soft
    rows = []
    for c in (0, 1):
        own = inside & (point_classes == c)[:, None]
        winner = torch.where(own, priority, -torch.inf).argmax(0, keepdim=True)  # [1, T]
        rows.append(soft.gather(0, winner)[0] * labelled[c])
    return torch.stack(rows), labelled


def neutral_frames(intensity: Tensor, labelled: Tensor, valid: Tensor) -> Tensor:
    """Return [T] bool: the N_neut = min(N_exp, T - N_exp) unlabelled frames of lowest intensity (eq. 6).

    N_exp counts ``labelled`` [T], T the valid frames; of equal intensities the earlier frame comes first.
    """
    free = valid & ~labelled
    count = torch.minimum(labelled.sum(), free.sum())
    order = torch.where(free, intensity, torch.inf).argsort(stable=True)
    chosen = torch.arange(len(order), device=order.device) < count
    return torch.zeros_like(free).scatter(0, order, chosen)


def _per_class(values: tuple[int, int], point_classes: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=point_classes.device)[point_classes]
