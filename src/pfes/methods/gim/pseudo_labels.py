"""Pseudo-labels: a soft intensity for the frames around each point (GIM), and which frames are surely neutral.

Gaussian-based instance-adaptive intensity modelling: Deng, Hayashi, Nagahara, ICLR 2025, and arXiv 2511.16952,
doi 10.1109/TBIOM.2026.3651893; equation numbers are those of the ICLR paper.

Conventions
-----------
T frames of one video, I points, D channels. Frames 0-based, ranges inclusive and clipped to the video, the last frame
counts. Class order macro, micro; a macro and a micro instance may share frames, hence one row of labels per class.
x_j is the hidden feature (X of pfes.network.heads) and a_j the intensity of frame j; no gradient flows through labels.
Epochs count from 0. Nothing here waits for the device: shapes depend on T, I and the parameters alone.

Stages
------
1 (hard_epochs): label 1 on p +- 5 (macro), +- 3 (micro).
2 (gaussian_epochs): soft label around x_p on p +- 4, +- 2.
3 (the rest): soft label around the pseudo-apex, on a range as long as the intensity says.

Strategies, of the soft label on a range K of stages 2 and 3
------------------------------------------------------------
gim         exp(-|x_j - mu|^2 / (2 sigma^2)), mu = x at the pseudo-apex, sigma^2 the sum of |x_j - mu|^2 over K, divided
            by the frames of K, or in stage 3 by d L as printed in eq. 4 (``variance_over``). L = 0 has no range: the
            pseudo-apex alone is labelled, with 1.
class-wise  the same with mu = the mean x of all points of the class in this video; its points, not its pseudo-apexes.
cosine      cosine similarity of x_j to x at the pseudo-apex, 0 where it is negative (ours).
hard        1.

Differences
-----------
The release has its own ranges and constants (pfes.methods.gim.losses.release); of these the clamp of the half-width is a parameter
here (``half_widths``); clamped, d L is that of the clamped range. Of overlapping instances of one class the paper draws
one for each frame (``random-frame``, the default); one draw per instance and call (``random-instance``) is ours.
A video without any point has no labelled expression, so all of its frames are neutral (``empty_is_neutral``); by eq. 6
to the letter it would teach nothing. Frames that are not valid are never labelled.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pfes.methods.gim.parameters import GAUSSIAN_HALF, HARD_HALF, MARGIN, GimParameters, Overlap


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of one video in one epoch.

    Parameters
    ----------
    soft : [2, T] soft intensity labels in [0, 1] of macro and micro, 0 where unlabelled.
    labelled : [2, T] bool, where ``soft`` holds a label.
    neutral : [T] bool, frames taken as neutral (label 0).
    apex_frames : [I] pseudo-apex of each point; the point itself in stages 1 and 2.
    half_widths : [I] int64, the range of each instance in frames on each side of ``apex_frames``.
    point_classes : [I] class index of each point.
    stage : 1, 2 or 3.
    most_labelled : bound on the number of labelled frames, known without reading the tensors.
    """

    soft: Tensor
    labelled: Tensor
    neutral: Tensor
    apex_frames: Tensor
    half_widths: Tensor
    point_classes: Tensor
    stage: int
    most_labelled: int


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
    hidden : x [T, D]; intensity : a [T] in [0, 1]; both of the pass ``params.label_pass``.
    point_frames, point_classes : int64 [I], classes 0 macro and 1 micro.
    valid : [T] bool, frames that may be labelled; None for all.
    generator : of the random overlap rules.
    """
    valid = torch.ones_like(intensity, dtype=torch.bool) if valid is None else valid
    stage, apex, strategy = params.stage(epoch), point_frames, params.strategy
    spread: Tensor | None = None  # what eq. 4 divides by, where not the frames of the range
    if stage == 1:
        half, strategy = by_class(HARD_HALF, point_classes), "hard"
    elif stage == 2:
        half = by_class(GAUSSIAN_HALF, point_classes)
    else:
        apex = pseudo_apex(intensity, point_frames, point_classes, params.k_c, valid)
        extent = half_extents(intensity, apex, point_classes, params.theta(epoch), params, valid)
        half = torch.floor(extent + MARGIN).long()
        spread = 2 * extent if params.variance_over == "d_l" else None
    inside = within(apex, half, valid)
    longest = params.longest_half()
    if strategy == "hard":
        soft = inside.to(hidden.dtype)
    elif strategy == "cosine":
        soft = cosine(hidden, hidden[apex], apex, inside, longest)
    else:
        mu = hidden[apex] if strategy == "gim" else class_means(hidden[point_frames], point_classes)
        soft = gaussian(hidden, mu, apex, inside, longest, spread=spread)
    soft, labelled = merge(soft, inside, point_frames, point_classes, params.overlap, generator)
    neutral = neutral_frames(intensity, labelled.any(0), valid)
    if params.empty_is_neutral and len(point_frames) == 0:
        neutral = valid.clone()
    most = min(len(point_frames) * (2 * longest + 1), len(intensity))
    return PseudoLabels(soft, labelled, neutral, apex, half, point_classes, stage, most)


def by_class(values: tuple[int, int], point_classes: Tensor) -> Tensor:
    """Return int64 [I], the value of each point's class."""
    return torch.where(point_classes == 0, values[0], values[1])


def within(centres: Tensor, half: Tensor, valid: Tensor) -> Tensor:
    """Return [I, T] bool: the valid frames j with |j - centre| <= half."""
    frames = torch.arange(len(valid), device=valid.device)
    return ((frames - centres[:, None]).abs() <= half[:, None]) & valid


def pseudo_apex(
    intensity: Tensor, point_frames: Tensor, point_classes: Tensor, k_c: tuple[int, int], valid: Tensor
) -> Tensor:
    """Return [I], for each point p the first frame of highest intensity among |j - p| <= k_c / 4 (eq. 1).

    A point without a valid frame so near is its own pseudo-apex.
    """
    near = within(point_frames, by_class(k_c, point_classes) / 4, valid)
    apex = torch.where(near, intensity, -1.0).argmax(1)
    return torch.where(near.any(1), apex, point_frames)


def half_extents(
    intensity: Tensor, apex: Tensor, point_classes: Tensor, theta: float, params: GimParameters, valid: Tensor
) -> Tensor:
    """Return [I], d L / 2; L counts a > theta among |j - apex| <= k_c / 2 (eq. 3).

    Whole frames of it are the half-width of the range. With ``half_widths`` it is whole, and within these bounds.
    """
    near = within(apex, by_class(params.k_c, point_classes) / 2, valid)
    extent = (near & (intensity > theta)).sum(1).to(intensity.dtype) * (params.d / 2)
    if params.half_widths is not None:
        least, most = (by_class(bounds, point_classes) for bounds in zip(*params.half_widths, strict=True))
        extent = torch.clamp(torch.floor(extent + MARGIN).long(), least, most)
    return extent


def gaussian(
    hidden: Tensor, mu: Tensor, centres: Tensor, inside: Tensor, longest: int,
    *, spread: Tensor | None = None, epsilon: float = 0.0,
) -> Tensor:  # fmt: skip
    """Return [I, T], exp(-|x_j - mu|^2 / (2 sigma^2 + epsilon)) on ``inside``, 0 elsewhere (eq. 4, 5).

    sigma^2 is the sum of |x_j - mu|^2 over ``inside``, divided by ``spread`` or else by the frames of ``inside``. Where
    the sum is 0 all features are equal and the label is 1.

    Parameters
    ----------
    hidden : x [T, D]; mu : [I, D]; centres : [I].
    inside : [I, T] bool, true at most ``longest`` frames from the centre.
    spread : [I], d L of eq. 4; None for the frames of ``inside``.
    """
    frames, near, mask = _window(hidden, centres, inside, longest)
    squared = (near - mu[:, None]).square().sum(2) * mask  # [I, W]
    over = (mask.sum(1) if spread is None else spread)[:, None]
    variance = squared.sum(1, keepdim=True) / torch.where(over > 0, over, 1)
    soft = torch.exp(-squared / (2 * variance + epsilon).clamp_min(torch.finfo(hidden.dtype).tiny))
    soft = torch.where(over > 0, soft, 1.0)  # d L = 0: the centre is all there is
    return _spread(soft * mask, frames, longest, len(hidden))


def cosine(hidden: Tensor, mu: Tensor, centres: Tensor, inside: Tensor, longest: int) -> Tensor:
    """Return [I, T], the cosine similarity of x_j and mu on ``inside``, 0 elsewhere and where it is negative."""
    frames, near, mask = _window(hidden, centres, inside, longest)
    soft = functional.cosine_similarity(near, mu[:, None], dim=2).clamp(0, 1)
    return _spread(soft * mask, frames, longest, len(hidden))


def class_means(points: Tensor, point_classes: Tensor) -> Tensor:
    """Return [I, D], for each point the mean of ``points`` [I, D] over the points of its class."""
    same = (point_classes[:, None] == point_classes).to(points.dtype)  # [I, I]
    return same @ points / same.sum(1, keepdim=True)


def _window(hidden: Tensor, centres: Tensor, inside: Tensor, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    # frames [I, W] around each centre (some beyond the video), x there [I, W, D], and which of them are inside [I, W]
    frames = centres[:, None] + torch.arange(-longest, longest + 1, device=hidden.device)
    held = frames.clamp(0, len(hidden) - 1)
    return frames, hidden[held], inside.gather(1, held) & (frames == held)


def _spread(values: Tensor, frames: Tensor, longest: int, count: int) -> Tensor:
    # values [I, W] at frames [I, W] -> [I, T]; the margin takes what lies beyond the video
    padded = values.new_zeros(len(values), count + 2 * longest)
    return padded.scatter(1, frames + longest, values)[:, longest : longest + count]


def merge(
    soft: Tensor,
    inside: Tensor,
    point_frames: Tensor,
    point_classes: Tensor,
    overlap: Overlap,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Merge labels per instance [I, T] to labels per class: soft [2, T] and labelled [2, T].

    Where instances of one class overlap, one of them labels the frame: one drawn for the frame (``random-frame``) or for
    all its frames (``random-instance``), ``higher`` or ``lower`` by label, ``later`` the later point (of equal frames the
    one listed later).
    """
    own = torch.stack([inside & (point_classes == c)[:, None] for c in (0, 1)])  # [2, I, T]
    labelled = own.any(1)
    if len(soft) == 0:
        return soft.new_zeros(labelled.shape), labelled
    if overlap in ("random-frame", "random-instance"):
        device = generator.device if generator is not None else soft.device
        columns = soft.shape[1] if overlap == "random-frame" else 1
        draws = torch.rand(len(soft), columns, generator=generator, device=device)
        priority = draws.to(soft.device, soft.dtype, non_blocking=True).expand_as(soft)
    elif overlap == "later":
        priority = point_frames.argsort(stable=True).argsort().to(soft.dtype)[:, None].expand_as(soft)
    else:
        priority = soft if overlap == "higher" else -soft
    winner = torch.where(own, priority, -torch.inf).argmax(1, keepdim=True)  # [2, 1, T]
    return soft.expand_as(own).gather(1, winner)[:, 0] * labelled, labelled


def neutral_frames(intensity: Tensor, labelled: Tensor, valid: Tensor, least: int = 0) -> Tensor:
    """Return [T] bool: the N_neut = min(N_exp, T - N_exp) unlabelled frames of lowest intensity (eq. 6).

    N_exp counts ``labelled`` [T], T the valid frames; of equal intensities the earlier frame comes first.

    Parameters
    ----------
    least : at least so many, as far as there are unlabelled frames.
    """
    free = valid & ~labelled
    count = torch.minimum(labelled.sum(), free.sum()).clamp_min(least)
    order = torch.where(free, intensity, torch.inf).argsort(stable=True)
    chosen = torch.arange(len(order), device=order.device) < count
    return torch.zeros_like(free).scatter(0, order, chosen) & free
