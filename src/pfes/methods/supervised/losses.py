"""The fully supervised SpotFormer: head, loss and batches; the system that point supervision is compared with.

Deng, Hayashi, Nagahara, "SpotFormer", arXiv 2407.20799, doi 10.1109/TAFFC.2026.3677401, and its release. What the
outputs shall be is in pfes.methods.supervised.targets, what becomes of them in pfes.decoding.start_end.

Conventions
-----------
N frames of one batch, T of one video, D = width. This is the only system that reads onsets and offsets. The ten outputs
of a frame, in the order of the release, are logits of: micro start / end / none, macro start / end / none (a softmax
each), micro apex, macro apex, micro action, macro action (a sigmoid each). Elsewhere class order is macro, micro.

A batch is ``batch_segments`` segments of ``segment_frames`` consecutive frames. SpotFormer sees one frame's window at a
time, so that segments only say which frames share a step; the short ones at the ends of a video are not padded.

The contrastive loss is that of Khosla et al. 2020 (arXiv 2004.11362) on features as they are, times .5 / .07. Its groups
are neutral, macro, micro (macro where both).

Intensity, for curves and reports, is the larger of the two apex probabilities: the system has no intensity of its own.

Differences from the release
----------------------------
- Where the grid of segments begins is drawn per video and epoch, so that no frame is always at an edge or left out.
- Frames without a face are in no term of the loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pfes.base.errors import InputError
from pfes.methods.base import TrainingVideo
from pfes.methods.losses import summed
from pfes.methods.supervised.parameters import SupervisedParameters
from pfes.methods.supervised.targets import Targets
from pfes.network.heads import Head

OUTPUTS = 10
START_END = (slice(3, 6), slice(0, 3))  # columns of start / end / none: macro, micro
APEX = (7, 6)  # column of the apex: macro, micro
ACTION = (9, 8)  # column of the action: macro, micro
SMOOTHING = 0.16  # probabilities near this are neutral enough: their penalty shrinks
APEX_ALPHA, ACTION_ALPHA = 0.90, 0.80  # share of the frames inside
APEX_WEIGHT = (1.0, 1.8)  # macro, micro
ACTION_WEIGHT = 0.1
BASE_TEMPERATURE = 0.07  # of the contrastive loss


class SupervisedHead(Head):
    """Linear(D, 10) on the features of a frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, OUTPUTS)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [T, 10], intensity [T] and class scores [T, 2] in (0, 1) of ``features`` [T, D].

        Class scores are the apex probabilities of macro and micro, intensity is the larger one.
        """
        logits: Tensor = self.linear(features)
        apex = logits[:, list(APEX)].sigmoid()
        return logits, apex.amax(1), apex

    @torch.no_grad()
    def outputs(self, features: Tensor) -> Tensor:
        """Return the ten probabilities [T, 10] of ``features`` [T, D], in the order of the logits."""
        return probabilities(self.linear(features))


def probabilities(logits: Tensor) -> Tensor:
    """Return the probabilities [T, 10] of ``logits`` [T, 10]: softmax of each start / end / none, sigmoid of the rest."""
    micro, macro = (logits[:, START_END[c]].softmax(1) for c in (1, 0))
    return torch.cat([micro, macro, logits[:, 6:].sigmoid()], 1)


def supervised_terms(
    features: Tensor, logits: Tensor, targets: Targets, params: SupervisedParameters, valid: Tensor
) -> dict[str, Tensor]:
    """Return the weighted loss terms of one batch and their sum.

    Parameters
    ----------
    features : F [N, D]; logits : [N, 10]; both with gradient.
    targets : of the same N frames.
    valid : [N] bool, frames that count.

    Returns
    -------
    scalars ``macro_apex``, ``macro_start_end``, ``macro_action``, the same of micro, and ``contrast``, already weighted:
    L = 1.8 P(ME apex) + CE(ME) + .1 P(ME action) + m [P(MaE apex) + CE(MaE) + .1 P(MaE action)] + .005 SupCon;
    and ``total``, their sum.
    """
    start_end, apex, action, group = (
        torch.as_tensor(array, device=logits.device)
        for array in (targets.start_end, targets.apex, targets.action, targets.group)
    )
    terms: dict[str, Tensor] = {}
    for c, (name, weight) in enumerate((("macro", params.macro_weight), ("micro", 1.0))):
        apex_loss = probability_loss(logits[:, APEX[c]], apex[:, c], APEX_ALPHA, valid)
        action_loss = probability_loss(logits[:, ACTION[c]], action[:, c], ACTION_ALPHA, valid)
        terms[f"{name}_apex"] = weight * APEX_WEIGHT[c] * apex_loss
        terms[f"{name}_start_end"] = weight * start_end_loss(logits[:, START_END[c]], start_end[:, c], valid)
        terms[f"{name}_action"] = weight * ACTION_WEIGHT * action_loss
    terms["contrast"] = params.contrast * supcon_loss(features, group, params.temperature, valid)
    return summed(terms)


def probability_loss(logits: Tensor, target: Tensor, alpha: float, valid: Tensor) -> Tensor:
    """Return P of one output, s = sigmoid(logit), y the target in [0, 1].

    P = -mean over the valid frames of {alpha |y - s| log s where y > 0; (1 - alpha) |.16 - s| log(1 - s) where y = 0}.
    With y = 1 this is the apex loss of the point-supervised system.
    """
    s = logits.sigmoid()
    inside = alpha * (target - s).abs() * functional.logsigmoid(logits)
    outside = (1 - alpha) * (SMOOTHING - s).abs() * functional.logsigmoid(-logits)
    return -_mean(torch.where(target > 0, inside, outside), valid)


def start_end_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the cross-entropy of start / end / none, a mean over the valid frames; logits [N, 3], target int64 [N]."""
    return _mean(functional.cross_entropy(logits, target, reduction="none"), valid)


def supcon_loss(features: Tensor, group: Tensor, temperature: float, valid: Tensor) -> Tensor:
    """Return the supervised contrastive loss on the features f of the valid frames, as they are.

    tau / .07 times the mean over anchors i of the mean over the other frames p of i's group of
    -log(exp(f_i f_p / tau) / sum over a other than i of exp(f_i f_a / tau)); an anchor alone in its group counts 0.
    """
    other = valid & ~torch.eye(len(features), dtype=torch.bool, device=features.device)
    logits = (features @ features.T / temperature).masked_fill(~other, -torch.inf)
    partner = other & (group[:, None] == group)
    total = logits.logsumexp(1, keepdim=True)
    log_probability = torch.where(partner, logits - torch.where(total.isfinite(), total, 0.0), 0.0)
    return -temperature / BASE_TEMPERATURE * _mean(log_probability.sum(1) / partner.sum(1).clamp_min(1), valid)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``values`` [N] where ``mask``; 0 where it is empty."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)


@dataclass(frozen=True)
class Step:
    """The frames of one optimiser step: snippets [N, 17, 10, 2], valid [N], their targets; ``name`` says whose."""

    name: str
    snippets: NDArray[np.float32]
    valid: NDArray[np.bool_]
    targets: Targets


def epoch_steps(
    videos: Sequence[TrainingVideo], params: SupervisedParameters, generator: torch.Generator
) -> Iterator[Step]:
    """Yield the steps of one epoch over ``videos``, their segments in a new order.

    Raises
    ------
    InputError
        A video has no targets, or with the choice ``expression`` no video has an instance.
    """
    targets = [_targets(video) for video in videos]
    batches = segment_batches([found.action.any(1) for found in targets], params, generator)
    if not batches:
        raise InputError(f"training: no segment of the {len(videos)} training videos touches a labelled expression")
    for batch in batches:
        names = sorted({videos[index].video_id for index, _, _ in batch})
        yield Step(
            f"{len(batch)} segments of {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}",
            np.concatenate([videos[index].snippets[first:stop] for index, first, stop in batch]),
            np.concatenate([videos[index].valid[first:stop] for index, first, stop in batch]),
            Targets.concatenate([targets[index].rows(first, stop) for index, first, stop in batch]),
        )


def _targets(video: TrainingVideo) -> Targets:
    if video.targets is None:
        raise InputError(
            f"{video.video_id}: no onsets and offsets, which the supervised system needs; rerun rule train"
        )
    targets: Targets = video.targets
    return targets


def segment_batches(
    expression: Sequence[NDArray[np.bool_]], params: SupervisedParameters, generator: torch.Generator
) -> list[list[tuple[int, int, int]]]:
    """Return the batches of one epoch, each a list of segments (video index, first frame, last frame + 1).

    Parameters
    ----------
    expression : per video [T], frames inside an instance.
    generator : draws where each video's grid of segments begins, and the order of all segments.
    """
    size = params.segment_frames
    found = []
    for index, inside in enumerate(expression):
        begin = int(torch.randint(size, (), generator=generator))
        edges = [0, *range(begin or size, len(inside), size), len(inside)]
        for first, stop in zip(edges, edges[1:], strict=False):
            if stop > first and (params.segments == "all" or inside[first:stop].any()):
                found.append((index, first, stop))
    order = torch.randperm(len(found), generator=generator).tolist()
    shuffled = [found[i] for i in order]
    return [shuffled[i : i + params.batch_segments] for i in range(0, len(shuffled), params.batch_segments)]
