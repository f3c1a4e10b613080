"""Training of SpotFormer with a P-FES head, one model per fold.

Conventions
-----------
One video is one step, whole and unpadded; videos come in a new order each epoch. Adam with L2 weight decay, learning
rate halved every ``decay_every`` epochs (arXiv 2511.16952, doi 10.1109/TBIOM.2026.3651893). The same videos, parameters
and seed give the same weights on the same machine, whatever the number of cores.

Files
-----
model.pt     see pfes.model.
log.parquet  kind ``log``, one row per epoch: mean of each weighted loss term over videos, theta, learning_rate, seconds.

A fold's model never sees its held-out subjects: ``train_fold`` opens no file of theirs, and ``model.load_model`` and
``features.score_fold`` refuse a model for a subject or a video that it was trained on.

Differences
-----------
- Pseudo-labels come from a second pass through the heads without dropout, on the features of the training pass
  (SpotFormer's own embedding dropout and batch statistics stay in). The release takes them from the noisy pass.
- ``mirror`` and ``clip`` are ours, both off by default.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pfes import provenance, store
from pfes.errors import InputError
from pfes.losses import LossParameters, journal_loss
from pfes.model import (
    ModelParameters,
    SpottingModel,
    Subjects,
    choose_device,
    read_snippets,
    reproducible,
    save_model,
    subject_list,
)
from pfes.pseudo_labels import GimParameters, pseudo_labels
from pfes.records import CLASSES

LOG = logging.getLogger(__name__)
MIRRORED = (3, 4, 5, 0, 1, 2, 7, 6, 8, 9)  # ROI of the mirrored face that takes each place; see pfes.snippets


@dataclass(frozen=True)
class TrainingParameters:
    """How a fold is trained; the defaults are the paper's.

    Parameters
    ----------
    epochs : passes over the training videos.
    learning_rate : of Adam at the start.
    weight_decay : L2 penalty of Adam.
    decay_every, decay : the learning rate is multiplied by ``decay`` every ``decay_every`` epochs.
    clip : largest norm of the gradient of one step; None for no limit.
    mirror : probability that a step sees its video mirrored left to right; 0 in the paper, .5 helps small datasets.
    device : ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.
    gim : parameters of the pseudo-labels.
    loss : weights of the loss terms.
    """

    epochs: int = 100
    learning_rate: float = 2e-5
    weight_decay: float = 0.1
    decay_every: int = 30
    decay: float = 0.5
    clip: float | None = None
    mirror: float = 0.0
    device: str = "auto"
    gim: GimParameters = field(default_factory=GimParameters)
    loss: LossParameters = field(default_factory=LossParameters)


@dataclass(frozen=True)
class TrainingVideo:
    """What training sees of one video: flow and points, no onset, no offset.

    Parameters
    ----------
    snippets : float32 [T, 17, 10, 2], px.
    valid : bool [T], frames that count in the losses.
    point_frames, point_classes : int64 [I]; classes 0 macro, 1 micro. I may be 0.
    """

    video_id: str
    subject: str
    snippets: NDArray[np.float32]
    valid: NDArray[np.bool_]
    point_frames: NDArray[np.int64]
    point_classes: NDArray[np.int64]


def train(
    videos: Sequence[TrainingVideo],
    model_params: ModelParameters,
    params: TrainingParameters,
    seed: int,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> tuple[SpottingModel, pd.DataFrame]:
    """Train one model.

    Parameters
    ----------
    seed : of the weights, the order of videos, dropout and the overlap rule.
    progress : called with the log's row after each epoch.

    Returns
    -------
    model on the CPU in eval mode, and the log (see the module's Files).

    Raises
    ------
    InputError
        No video or no point, a point beyond its video, or a loss that is not finite (video, epoch and terms named).
    """
    _check(videos)
    device = choose_device(params.device)
    rows: list[dict[str, float]] = []
    with reproducible(seed):
        model = SpottingModel(model_params).to(device).train()
        optimiser = torch.optim.Adam(model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, params.decay_every, params.decay)
        generator = torch.Generator().manual_seed(seed)
        for epoch in range(params.epochs):
            started = time.perf_counter()
            order = torch.randperm(len(videos), generator=generator).tolist()
            steps = [_step(model, optimiser, videos[i], epoch, params, generator) for i in order]
            row = {"epoch": epoch, **{name: float(np.mean([step[name] for step in steps])) for name in steps[0]}}
            row |= {"theta": params.gim.theta(epoch), "learning_rate": float(schedule.get_last_lr()[0])}
            rows.append({**row, "seconds": time.perf_counter() - started})
            schedule.step()
            LOG.info("epoch %d of %d: loss %.4f, %.1f s", epoch + 1, params.epochs, row["total"], rows[-1]["seconds"])
            if progress is not None:
                progress(rows[-1])
    return model.cpu().eval(), pd.DataFrame(rows)


def _step(
    model: SpottingModel,
    optimiser: torch.optim.Optimizer,
    video: TrainingVideo,
    epoch: int,
    params: TrainingParameters,
    generator: torch.Generator,
) -> dict[str, float]:
    """Take one optimiser step on one video and return its loss terms."""
    device = next(model.parameters()).device
    snippets, valid, frames, classes = (
        torch.as_tensor(array, device=device)
        for array in (video.snippets, video.valid, video.point_frames, video.point_classes)
    )
    if params.mirror > 0 and float(torch.rand((), generator=generator)) < params.mirror:
        snippets = mirrored(snippets)
    features, intensity, class_scores = model(snippets)
    hidden, clean_intensity, _ = model.head.clean(features)
    labels = pseudo_labels(
        epoch, hidden, clean_intensity, frames, classes, params.gim, valid=valid, generator=generator
    )  # fmt: skip
    terms = journal_loss(features, intensity, class_scores, labels, params.loss, valid=valid)
    values = {name: float(value) for name, value in zip(terms, torch.stack(list(terms.values())).tolist(), strict=True)}
    if not np.isfinite(list(values.values())).all():
        named = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise InputError(
            f"{video.video_id}: loss is not finite in epoch {epoch} ({named}); "
            "is the flow of this video sane, and is the learning rate too high?"
        )
    optimiser.zero_grad()
    terms["total"].backward()
    if params.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), params.clip)
    optimiser.step()
    return values


def mirrored(snippets: Tensor) -> Tensor:
    """Return ``snippets`` [T, 17, 10, 2] of the face mirrored left to right: sides swapped, x negated."""
    return snippets[:, :, MIRRORED] * snippets.new_tensor([-1.0, 1.0])


def _check(videos: Sequence[TrainingVideo]) -> None:
    if not videos:
        raise InputError("training: no usable video of any training subject; a fold needs at least one other subject")
    if not any(len(video.point_frames) for video in videos):
        raise InputError(
            f"training: none of the {len(videos)} training videos has a point; are there labelled expressions?"
        )
    for video in videos:
        outside = video.point_frames[(video.point_frames < 0) | (video.point_frames >= len(video.snippets))]
        if len(outside):
            raise InputError(
                f"{video.video_id}: point at frame {outside[0]} of {len(video.snippets)} frames; rerun rule points"
            )


def train_fold(
    snippet_paths: Mapping[str, Path | str],
    points_path: Path | str,
    videos_path: Path | str,
    held_out: Subjects,
    out_model: Path | str,
    out_log: Path | str,
    model_params: ModelParameters,
    params: TrainingParameters,
    seed: int,
    experiment: str,
    spotting: Mapping[str, Any],
    progress: Callable[[dict[str, float]], None] | None = None,
    validation: Subjects = None,
) -> None:
    """Train the model of one fold and write it with its log.

    Parameters
    ----------
    snippet_paths : video_id -> snippets file. Files of subjects not trained on are not opened; refused videos are skipped.
    held_out : subject or subjects left out for the test; None trains on all (a model for new recordings).
    spotting : parameters of the other stages that belong to the model, nested plain types.
    validation : subjects left out too, for choices that must not see those held out.
    """
    left_out = {"held_out": subject_list(held_out), "validation_subjects": subject_list(validation)}
    listed = store.read_table(videos_path, "videos")
    subjects: dict[str, str] = dict(listed[["video_id", "subject"]].astype(str).to_numpy().tolist())
    unknown = sorted(set(snippet_paths) - set(subjects))
    if unknown:
        raise InputError(f"{unknown[0]}: snippets of a video that {videos_path} does not list; rerun rule dataset")
    points = store.read_table(points_path, "points")
    usable = {
        video_id: path
        for video_id, path in sorted(snippet_paths.items())
        if subjects[video_id] not in sum(left_out.values(), []) and store.refusal(path, "snippets") is None
    }
    videos = [load_video(video_id, subjects[video_id], path, points) for video_id, path in usable.items()]
    train_subjects = sorted({video.subject for video in videos})
    assert not set(train_subjects) & set(sum(left_out.values(), [])), f"trained on a subject of {left_out}"
    model, log = train(videos, model_params, params, seed, progress)
    settings: dict[str, Any] = {
        "model": asdict(model_params),
        "training": asdict(params),
        "seed": seed,
        "experiment": experiment,
    }
    made = provenance.record("train", {**settings, **left_out}, [points_path, videos_path, *usable.values()])
    fold = {**left_out, "train_subjects": train_subjects, "train_videos": list(usable)}
    save_model(out_model, model, {**settings, **fold, "spotting": dict(spotting), "provenance": made})
    store.write_table(out_log, "log", log, made)


def load_video(video_id: str, subject: str, path: Path | str, points: pd.DataFrame) -> TrainingVideo:
    """Read one video's snippets and take its points; what an invalid frame holds is read as no motion."""
    snippets, valid = read_snippets(path)
    own = points[points["video_id"] == video_id].sort_values("frame", kind="stable")
    return TrainingVideo(
        video_id, subject, snippets, valid,
        own["frame"].to_numpy(np.int64), own["class"].map(CLASSES.index).to_numpy(np.int64),
    )  # fmt: skip
