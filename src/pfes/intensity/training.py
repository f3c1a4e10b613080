"""Training of one intensity model: clips of some subjects in, a model file out.

Conventions
-----------
A batch is ``batch`` clips of ``steps`` steps. Targets are the pseudo-intensity of ``pseudo`` at the steps' positions, 0
in neutral clips and outside of an expression. The same clips, parameters and seed give the same weights on the same
machine; one thread.

model.pt: torch.save of {kind, format, state, meta}, plain types only; meta: model, training, loss, clips, stream
(parameters), seed, system, held_out, train_subjects, provenance. Loading refuses a subject that was trained on.

Differences
-----------
[W25] trains on whole clips from onset to offset only. There a network can do well by the position in the clip alone:
every curve starts at 0, peaks, and ends at 0. ``context`` (ours) shows clips that start before the onset or end after
the offset, and neutral clips, so that the face has to tell; whoever wants intensity over a whole recording needs it.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfes.base import provenance, store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.base.torch_files import read_torch, write_torch
from pfes.intensity.losses import intensity_loss
from pfes.intensity.model import IntensityModel, load_encoder
from pfes.intensity.parameters import (
    ClipParameters,
    IntensityLossParameters,
    IntensityModelParameters,
    IntensityTrainingParameters,
    Shape,
)
from pfes.intensity.pseudo import apex_position, pseudo_intensity
from pfes.training.model import Subjects, choose_device, reproducible, subject_list

FORMAT = 1
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """One clip with its context.

    Parameters
    ----------
    crops : uint8 [L, S, S]; frames : float [L], sampled frames; tau : float [L], 0 at the onset, 1 at the offset.
    alpha : position of the apex in tau; None for a neutral clip.
    instance : index of the expression, -1 for neutral. valid : the face was there throughout.
    """

    video_id: str
    subject: str
    label: str
    instance: int
    crops: NDArray[np.uint8]
    frames: NDArray[np.float32]
    tau: NDArray[np.float64]
    alpha: float | None
    valid: bool

    def target(self, shape: Shape) -> NDArray[np.float64]:
        """Return the pseudo-intensity [L]."""
        if self.alpha is None:
            return np.zeros(len(self.tau))
        return pseudo_intensity(self.tau, self.alpha, shape, self.crops)


def load_clips(
    clip_paths: Mapping[str, Path | str], expressions: pd.DataFrame, subjects: Mapping[str, str]
) -> list[Clip]:
    """Return all clips of the usable videos in ``clip_paths`` (video_id -> file of kind ``clips``)."""
    clips = []
    for video_id, path in sorted(clip_paths.items()):
        if store.refusal(path, "clips") is not None:
            continue
        content, facts = store.read(path, "clips"), store.attributes(path, "clips")
        tau = (np.arange(content["clips"].shape[1]) - int(facts["context"])) / (int(facts["steps"]) - 1)
        for crops, frames, instance, valid in zip(
            content["clips"], content["frames"], content["instance"].tolist(), content["valid"].tolist(), strict=True
        ):
            label, alpha = "neutral", None
            if instance >= 0:
                row = expressions.loc[instance]
                if row["video_id"] != video_id:
                    raise InputError(f"{path}: clip of {row['video_id']}, expected {video_id}; rerun rule clips")
                label, alpha = row["class"], apex_position(row["onset"], row["apex"], row["offset"])
            clips.append(
                Clip(video_id, subjects[video_id], label, instance, crops, frames, tau, alpha, bool(valid))
            )  # fmt: skip
    return clips


def train_intensity(
    clips: Sequence[Clip],
    clip_params: ClipParameters,
    model_params: IntensityModelParameters,
    params: IntensityTrainingParameters,
    loss_params: IntensityLossParameters,
    seed: int,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> tuple[IntensityModel, pd.DataFrame]:
    """Train one model; return it (CPU, eval) and its log, one row per epoch: the terms, learning_rate, seconds.

    Raises InputError without any valid clip of ``params.classes``, or for a loss that is not finite.
    """
    wanted = (*params.classes, "neutral") if params.neutral else params.classes
    usable = [clip for clip in clips if clip.valid and clip.label in wanted]
    if not any(clip.alpha is not None for clip in usable):
        raise InputError(
            f"intensity: no usable clip of {', '.join(params.classes)} among {len(clips)} clips; expected at least one "
            "expression with a face throughout in the training subjects"
        )
    device = choose_device(params.device)
    rng, rows = np.random.default_rng(seed), []
    targets = [clip.target(params.shape) for clip in usable]
    with reproducible(seed):
        model = IntensityModel(model_params)
        if model_params.weights is not None:
            load_encoder(model, model_params.weights)
        model.to(device).train()
        optimiser = torch.optim.Adam(model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, params.epochs)
        for epoch in range(params.epochs):
            started, sums = time.perf_counter(), []
            for batch in _batches(usable, targets, clip_params, params, rng):
                images, target, apex = (torch.as_tensor(array, device=device) for array in batch)
                terms = intensity_loss(model(images), target, apex, loss_params)
                optimiser.zero_grad()
                terms["total"].backward()
                optimiser.step()
                sums.append(torch.stack(list(terms.values())).detach())
            means = dict(zip(terms, torch.stack(sums).mean(0).tolist(), strict=True))
            _check_finite(means, epoch)
            rate = float(schedule.get_last_lr()[0])
            rows.append({"epoch": epoch, **means, "learning_rate": rate, "seconds": time.perf_counter() - started})
            schedule.step()
            LOG.info("epoch %d of %d: loss %.4f", epoch + 1, params.epochs, means["total"])
            if progress is not None:
                progress(rows[-1])
    return model.cpu().eval(), pd.DataFrame(rows)


def _batches(
    clips: Sequence[Clip],
    targets: Sequence[NDArray[np.float64]],
    clip_params: ClipParameters,
    params: IntensityTrainingParameters,
    rng: np.random.Generator,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]:
    """Yield images [B, T, S, S] (grey / 255), targets [B, T] and apex steps [B] (-1: none) in a new order."""
    order = rng.permutation(len(clips))
    for start in range(0, len(order), params.batch):
        chosen = order[start : start + params.batch]
        if len(chosen) == 1 and start:  # BatchNorm on one clip alone would be noise
            continue
        made = [_example(clips[i], targets[i], clip_params, params, rng) for i in chosen]
        images, target, apex = (np.stack(parts) for parts in zip(*made, strict=True))
        yield images.astype(np.float32), target.astype(np.float32), apex


def _example(
    clip: Clip,
    target: NDArray[np.float64],
    clip_params: ClipParameters,
    params: IntensityTrainingParameters,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
    start = clip_params.context
    if rng.random() < params.context:
        start = int(rng.integers(0, 2 * clip_params.context + 1))
    window = slice(start, start + clip_params.steps)
    images = augment(clip.crops[window].astype(np.float32), params, rng) / np.float32(255)
    return images, target[window], apex_step(clip, window)


def apex_step(clip: Clip, window: slice) -> int:
    """Return the step within ``window`` nearest to the apex, -1 where the clip has none or it lies outside."""
    if clip.alpha is None:
        return -1
    nearest = int(np.argmin(np.abs(clip.tau - clip.alpha)))
    return nearest - window.start if window.start <= nearest < window.stop else -1


def augment(
    images: NDArray[np.float32], params: IntensityTrainingParameters, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return grey ``images`` [T, S, S], 0..255, mirrored, shifted, lit and noised as one clip (noise: each step)."""
    if rng.random() < params.mirror:
        images = images[:, :, ::-1]
    dy, dx = rng.integers(-params.shift, params.shift + 1, 2)
    padded = np.pad(images, ((0, 0), (params.shift,) * 2, (params.shift,) * 2), mode="edge")
    size = images.shape[1]
    images = padded[:, params.shift + dy :, params.shift + dx :][:, :size, :size]
    images = images * np.float32(1 + params.light * rng.standard_normal())
    return images + np.float32(params.noise) * rng.standard_normal(images.shape, dtype=np.float32)


def _check_finite(means: Mapping[str, float], epoch: int) -> None:
    if not np.isfinite(list(means.values())).all():
        named = ", ".join(f"{name} {value:g}" for name, value in means.items())
        raise InputError(f"intensity: loss is not finite in epoch {epoch} ({named}); is the learning rate too high?")


def train_intensity_fold(
    clip_paths: Mapping[str, Path | str],
    videos_path: Path | str,
    expressions_path: Path | str,
    held_out: Subjects,
    folder: Path,
    settings: Mapping[str, Any],
    seed: int,
    system: str,
) -> None:
    """Train the model of one fold from the clips of the other subjects; model.pt and log.parquet go to ``folder``.

    ``settings``: sections clips, model, training and loss of one system, plain types.
    """
    left_out = subject_list(held_out)
    listed = store.read_table(videos_path, "videos")
    subjects = dict(listed[["video_id", "subject"]].astype(str).to_numpy().tolist())
    paths = {video_id: path for video_id, path in clip_paths.items() if subjects[video_id] not in left_out}
    clips = load_clips(paths, store.read_table(expressions_path, "expressions"), subjects)
    model, log = train_intensity(
        clips, build(ClipParameters, settings["clips"]), build(IntensityModelParameters, settings["model"]),
        build(IntensityTrainingParameters, settings["training"]), build(IntensityLossParameters, settings["loss"]), seed,
    )  # fmt: skip
    used = sorted({clip.subject for clip in clips})
    meta = {**settings, "seed": seed, "system": system, "held_out": left_out, "train_subjects": used}
    made = provenance.record("intensity", meta, [videos_path, expressions_path, *paths.values()])
    save_intensity_model(folder / "model.pt", model, {**meta, "provenance": made})
    store.write_table(folder / "log.parquet", "log", log, made)


def save_intensity_model(path: Path | str, model: IntensityModel, meta: Mapping[str, Any]) -> None:
    """Write ``model`` and ``meta`` to ``path``."""
    plain = json.loads(json.dumps(dict(meta)))
    write_torch(path, {"kind": "intensity_model", "format": FORMAT, "state": model.state_dict(), "meta": plain})


def load_intensity_model(path: Path | str, *, for_subject: Subjects = None) -> tuple[IntensityModel, dict[str, Any]]:
    """Read a model (eval, CPU) and its meta.

    Raises InputError for a file of another kind or format, or a model that was trained on ``for_subject``.
    """
    content = read_torch(path, "an intensity model", "one written by rule intensity_train")
    kind = (content.get("kind"), content.get("format")) if isinstance(content, dict) else None
    if kind != ("intensity_model", FORMAT):
        raise InputError(
            f"{path}: holds {kind}, expected an intensity model of format {FORMAT}; rerun rule intensity_train"
        )
    meta = content["meta"]
    seen = sorted(set(subject_list(for_subject)) & set(meta["train_subjects"]))
    if seen:
        raise InputError(f"{path}: this model was trained on subject {seen[0]!r} and cannot be tested on it")
    params = build(IntensityModelParameters, {**meta["model"], "weights": None})
    model = IntensityModel(params)
    model.load_state_dict(content["state"])
    return model.eval(), meta


def to_images(crops: NDArray[np.uint8]) -> Tensor:
    """Return crops [..., S, S] as the network takes them, float32 grey levels / 255."""
    return torch.from_numpy(crops.astype(np.float32) / np.float32(255))
