"""One optimiser step: the features, the loss terms of a video or batch, the gradient.

Conventions
-----------
Losses are weighted scalars by name, ``total`` their sum. Nothing here waits for the device: what a step gave is read
once an epoch.

Precision: with bf16 the products of SpotFormer's blocks run in bfloat16 (autocast); its embedding, convolutions, residual
sums and BatchNorm statistics, the heads, pseudo-labels, losses and the optimiser stay in float32.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pfes.base.errors import InputError
from pfes.methods.base import Batch, PointLabels, TrainingVideo
from pfes.methods.parameters import TrainingParameters
from pfes.network.chunked import chunked_features
from pfes.network.memory import GPU_SHARE, chunks
from pfes.training.model import SpottingModel

MIRRORED = (3, 4, 5, 0, 1, 2, 7, 6, 8, 9)  # ROI of the mirrored face that takes each place; see pfes.flow.snippets


@dataclass(frozen=True)
class Outcome:
    """What a batch of a step gave: its terms (``values`` in the order of ``names``) and the pseudo-labels, if there are any."""

    name: str
    names: tuple[str, ...]
    values: Tensor
    labels: PointLabels | None


def on_device(video: TrainingVideo, device: torch.device) -> Batch:
    """Return a video as a batch; on the CPU nothing is copied."""
    snippets, valid, frames, classes = (
        torch.as_tensor(array, device=device)
        for array in (video.snippets, video.valid, video.point_frames, video.point_classes)
    )
    neutral = None if video.neutral is None else torch.as_tensor(video.neutral, device=device)
    return Batch(video.video_id, snippets, valid, frames, classes, video.targets, neutral)


def mirrored_maybe(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Return ``batch``, with the probability ``share`` as its mirror image."""
    if share <= 0 or float(torch.rand((), generator=generator)) >= share:
        return batch
    return replace(batch, snippets=mirrored(batch.snippets))


def mirrored(snippets: Tensor) -> Tensor:
    """Return ``snippets`` [T, 17, 10, 2] of the face mirrored left to right: sides swapped, x negated."""
    return snippets[:, :, MIRRORED] * snippets.new_tensor([-1.0, 1.0])


def features_of(model: SpottingModel, params: TrainingParameters) -> Callable[[Tensor], Tensor]:
    """Return the function from snippets [N, 17, 10, 2] to features [N, D] that ``params`` ask for.

    A video passes in chunks where these are asked for or memory needs them.

    Raises
    ------
    InputError
        ``compile`` on the CPU of a machine without a C++ compiler.
    """
    if params.cached is not None:
        return lambda features: features
    device = next(model.parameters()).device
    low = params.precision == "bf16" or (params.precision == "auto" and device.type == "cuda")
    whole: Callable[[Tensor], Tensor] = model.spotformer
    if params.compile:
        if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
            raise InputError(
                "training: compile needs a C++ compiler (g++) on the CPU; install one, or set compile: false"
            )
        whole = torch.compile(model.spotformer, dynamic=True)  # one graph for videos of any length
    most_mb = _most_mb(device)

    def passed(snippets: Tensor) -> Tensor:
        passing = chunks(len(snippets), model.params.width, params.chunk_frames, params.chunk_memory_mb, most_mb)
        if passing is None:
            return whole(snippets)
        if not model.spotformer.training:  # no frame looks at another one
            return torch.cat([model.spotformer(part) for part in snippets.split(passing.frames)])
        return chunked_features(model.spotformer, snippets, *passing)

    def features(snippets: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            return passed(snippets)

    return features


def _most_mb(device: torch.device) -> float | None:
    """Return the memory of a GPU that a step may take before its video passes in chunks, MB; None on a CPU."""
    if device.type != "cuda":
        return None
    return float(GPU_SHARE * torch.cuda.get_device_properties(device).total_memory / 1e6)


def step(
    model: SpottingModel,
    features_from: Callable[[Tensor], Tensor],
    optimiser: torch.optim.Optimizer,
    batches: Sequence[Batch],
    epoch: int,
    params: TrainingParameters,
    generator: torch.Generator,
) -> list[Outcome]:
    """Take one optimiser step on the mean loss of ``batches``, which pass the network one after the other."""
    optimiser.zero_grad()
    outcomes = []
    for batch in batches:
        features = features_from(batch.snippets)
        terms, labels = model.method.terms(model.head, features, batch, epoch, params, generator)
        (terms["total"] / len(batches)).backward()
        values = torch.stack([term.detach() for term in terms.values()])
        outcomes.append(Outcome(batch.name, tuple(terms), values, labels))
    if params.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), params.clip)
    optimiser.step()
    return outcomes
