"""The training engine: epochs of steps, and a state on disk from which training goes on as if never interrupted.

Conventions
-----------
One video is one step, whole and unpadded; videos come in a new order each epoch (a method may have batches of its own).
Adam with L2 weight decay, AdamW where the method says so; the learning rate is multiplied by ``decay``
every ``decay_every`` epochs (arXiv 2511.16952, doi 10.1109/TBIOM.2026.3651893). Epochs count from 0. The same videos,
parameters and seed give the same weights on the same machine, whatever the number of cores; on the CPU also however often
training was interrupted.

Differences
-----------
``mirror``, ``clip``, ``early_stop`` and the choice of an epoch by validation are ours, all off by default. The validation
score needs points only, see ``validation_score``.
"""

import logging
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, StepLR

from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.methods.base import Batch, TrainingVideo
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import learned
from pfes.network.parameters import ModelParameters
from pfes.training import checkpoint
from pfes.training.box import take_weights
from pfes.training.model import CHUNK, SpottingModel, choose_device, reproducible
from pfes.training.step import Outcome, features_of, mirrored_maybe, on_device, step

LOG = logging.getLogger(__name__)
PLAIN = ("epoch", "rows", "apexes", "best_epoch", "best", "memory")  # of the state
APEX_COLUMNS = ("epoch", "video_id", "class", "point", "apex", "half_width")

Row = dict[str, float]


class Trained(NamedTuple):
    """A model on the CPU in eval mode, the log (one row per epoch) and the pseudo-apexes (APEX_COLUMNS)."""

    model: SpottingModel
    log: pd.DataFrame
    apexes: pd.DataFrame


@dataclass
class State:
    """All that changes while a model is trained."""

    model: SpottingModel
    optimiser: torch.optim.Optimizer
    schedule: LRScheduler
    generator: torch.Generator
    epoch: int = 0
    rows: list[Row] = field(default_factory=list)
    apexes: list[list[Any]] = field(default_factory=list)
    best_epoch: int = -1
    best: dict[str, Tensor] | None = None
    memory: dict[str, Any] = field(default_factory=dict)  # of the method

    def saved(self) -> dict[str, Any]:
        """Return the state as tensors and plain types."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimiser", "schedule")}
        plain = {name: getattr(self, name) for name in PLAIN}
        return {**parts, **plain, "random": checkpoint.random_state(self.generator)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go back to ``saved``."""
        for name in ("model", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(saved[name])
        for name in PLAIN:
            setattr(self, name, saved[name])
        checkpoint.restore_random_state(saved["random"], self.generator)


def train(
    videos: Sequence[TrainingVideo],
    model_params: ModelParameters,
    params: TrainingParameters,
    seed: int,
    progress: Callable[[Row, SpottingModel], None] | None = None,
    *,
    validation: Sequence[TrainingVideo] = (),
    source: SpottingModel | None = None,
    state_path: Path | None = None,
) -> Trained:
    """Train one model.

    Parameters
    ----------
    seed : of the weights, the order of videos, dropout and the overlap rule.
    progress : called with the log's row and the model after each epoch.
    validation : videos of subjects that are neither trained on nor tested, for ``epoch_choice`` and ``early_stop``.
    source : model whose SpotFormer, frozen, the features of a cached training come from; or the model that training begins
        from, of the same size, where ``params.start`` is not random.
    state_path : where the state is written after each epoch, and from where an interrupted training goes on.

    Raises
    ------
    InputError
        No video or no point, a point beyond its video, no validation video where one is needed, or a loss that is not
        finite (video, epoch and terms named).
    """
    _check(videos, validation, params, source)
    device = choose_device(params.device)
    with reproducible(seed, deterministic=params.deterministic), _writer(params, state_path) as write:
        model = SpottingModel(model_params, params.method)
        if source is not None and params.start != "random":
            take_weights(model, source)
        elif source is not None:
            model.spotformer.load_state_dict(source.spotformer.state_dict())
            model.method.take_over(model.head, source.head)
        start = None if source is None else source.state_dict()
        mark = checkpoint.fingerprint([*videos, *validation], [model_params, params], seed, start)
        state = begin(model.to(device), params, seed)
        features_from = features_of(model, params)
        loaded, checked = ([on_device(video, device) for video in part] for part in (videos, validation))
        prepared = model.method.set_up(model.head, _clean(model, features_from), loaded, params)
        saved = checkpoint.load_checkpoint(state_path, mark) if state_path else None
        if saved is not None:
            state.restore(saved)
            LOG.info("going on after epoch %d of %d", state.epoch, params.epochs)
        while state.epoch < params.epochs and not _stalled(state, params):
            row = _epoch(state, features_from, videos, prepared, checked, params)
            LOG.info("epoch %d of %d: loss %.4f, %.1f s", state.epoch, params.epochs, row["total"], row["seconds"])
            write(row)
            if state_path is not None:
                checkpoint.save_checkpoint(state_path, mark, state.saved())
            if progress is not None:
                progress(row, model)
    if params.epoch_choice == "validation":
        assert state.best is not None
        model.load_state_dict(state.best)
        LOG.info("weights of epoch %d, the best on the validation subjects", state.best_epoch + 1)
    whole = dict.fromkeys(("epoch", "point", "apex", "half_width"), "int64")  # also where there is no row
    apexes = pd.DataFrame(state.apexes, columns=list(APEX_COLUMNS)).astype(whole)
    return Trained(model.cpu().eval(), pd.DataFrame(state.rows), apexes)


def begin(model: SpottingModel, params: TrainingParameters, seed: int) -> State:
    """Return the state before the first epoch: ``model`` on its device, optimiser, schedule, order of videos."""
    kind = torch.optim.AdamW if model.method.decoupled_decay else torch.optim.Adam
    if params.frozen:
        model.spotformer.requires_grad_(False)
    trained, head = (
        [parameter for parameter in part.parameters() if parameter.requires_grad] for part in (model, model.head)
    )
    rates = model.method.head_rates(params)
    groups: list[dict[str, Any]] = [{"params": trained}]
    if rates is not None:
        spotformer = [{"params": trained[: len(trained) - len(head)]}] if len(trained) > len(head) else []
        groups = [*spotformer, {"params": head, "lr": rates[0], "weight_decay": rates[1]}]
    optimiser = kind(groups, lr=params.learning_rate, weight_decay=params.weight_decay, fused=True)
    schedule: LRScheduler
    if rates is None:
        schedule = StepLR(optimiser, params.decay_every, params.decay)
    else:
        falling = [lambda epoch: params.decay ** (epoch // params.decay_every)] * (len(groups) - 1)
        schedule = LambdaLR(optimiser, [*falling, lambda epoch: 1.0])
    return State(model, optimiser, schedule, torch.Generator().manual_seed(seed))


def _epoch(
    state: State,
    features_from: Callable[[Tensor], Tensor],
    videos: Sequence[TrainingVideo],
    loaded: Sequence[Batch],
    validation: Sequence[Batch],
    params: TrainingParameters,
) -> Row:
    """Train one epoch, move ``state`` to the next one and return the row of the log."""
    started, epoch, model = time.perf_counter(), state.epoch, state.model.train()
    if params.frozen:
        model.spotformer.eval()
    loaded = model.method.before_epoch(model.head, _clean(model, features_from), loaded, epoch, params, state.memory)
    batches = (
        mirrored_maybe(batch, params.mirror, state.generator)
        for batch in model.method.batches(videos, loaded, params, state.generator)
    )
    steps: list[Outcome] = []
    while group := list(islice(batches, model.method.videos_per_step(params))):
        steps += step(model, features_from, state.optimiser, group, epoch, params, state.generator)
    values = torch.stack([outcome.values for outcome in steps]).cpu().numpy()  # the one wait for the device
    _check_finite(steps, values, epoch)
    row: Row = {"epoch": epoch, **dict(zip(steps[0].names, values.mean(0, dtype=np.float64).tolist(), strict=True))}
    row |= {"theta": model.method.threshold(epoch, params), "learning_rate": float(state.schedule.get_last_lr()[0])}
    if params.validates:
        row["validation"] = validation_score(model, features_from, validation, model.method.window(params))
        if state.best is None or row["validation"] > state.rows[state.best_epoch]["validation"]:
            state.best_epoch = epoch
            state.best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    row |= {"seconds": time.perf_counter() - started, "memory_mb": _peak_memory_mb(model)}
    state.apexes += _apexes(epoch, steps, {batch.name: batch for batch in loaded})
    state.rows.append(row)
    state.schedule.step()
    state.epoch += 1
    return row


def _clean(model: SpottingModel, features_from: Callable[[Tensor], Tensor]) -> Callable[[Batch], Tensor]:
    """Return the function from a video to its features [T, D] without dropout and gradient, in bounded memory."""

    @torch.no_grad()
    def clean(batch: Batch) -> Tensor:
        training = model.spotformer.training
        model.spotformer.eval()
        found = torch.cat([features_from(part) for part in batch.snippets.split(CHUNK)])
        model.spotformer.train(training)
        return found

    return clean


def _check_finite(steps: Sequence[Outcome], values: np.ndarray[Any, Any], epoch: int) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(1))
    if len(bad):
        outcome = steps[bad[0]]
        named = ", ".join(f"{name} {value:g}" for name, value in zip(outcome.names, values[bad[0]], strict=True))
        raise InputError(
            f"{outcome.name}: loss is not finite in epoch {epoch} ({named}); "
            "is the flow of this video sane, and is the learning rate too high?"
        )


def _apexes(epoch: int, steps: Iterable[Outcome], loaded: Mapping[str, Batch]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for outcome in steps:
        if outcome.labels is not None:
            points, labels = loaded[outcome.name].point_frames, outcome.labels
            columns = (labels.point_classes, points, labels.apex_frames, labels.half_widths)
            for c, *frames in zip(*(column.tolist() for column in columns), strict=True):
                rows.append([epoch, outcome.name, CLASSES[c], *map(int, frames)])
    return sorted(rows, key=lambda row: (row[1], row[3]))


def _peak_memory_mb(model: SpottingModel) -> float:
    """Return the greatest memory so far, MB: of the CUDA device, or of this process."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


@torch.no_grad()
def validation_score(
    model: SpottingModel, features_from: Callable[[Tensor], Tensor], videos: Sequence[Batch], k_c: tuple[int, int]
) -> float:
    """Return how far the intensity at the points of ``videos`` stands out, in -1 .. 1: the best epoch has the highest.

    The mean over points of the greatest intensity within k_c / 4 of the point, less the mean intensity of the valid frames
    that are further than k_c / 2 from every point. It needs no onset and no offset, and means the same in every epoch,
    which the loss does not: its terms and labels change from stage to stage. The model comes back in training mode.
    """
    model.eval()
    heights, backgrounds = [], []
    for batch in videos:
        _, intensity, _ = model.head.clean(features_from(batch.snippets))
        frames = torch.arange(len(intensity), device=intensity.device)
        distance = (frames - batch.point_frames[:, None]).abs()  # [I, T]
        window = torch.tensor(k_c, device=intensity.device)[batch.point_classes][:, None]
        heights.append(torch.where(distance <= window / 4, intensity, 0.0).amax(1) if len(distance) else intensity[:0])
        backgrounds.append(intensity[batch.valid & ~(distance <= window / 2).any(0)])
    model.train()
    background = torch.cat(backgrounds)
    return float(torch.cat(heights).mean() - (background.mean() if len(background) else 0.0))


def _stalled(state: State, params: TrainingParameters) -> bool:
    return params.early_stop is not None and state.epoch - 1 - state.best_epoch >= params.early_stop and state.epoch > 0


@contextmanager
def _writer(params: TrainingParameters, state_path: Path | None) -> Iterator[Callable[[Row], None]]:
    """Yield a function that writes a row for TensorBoard, where that is wanted, into the folder ``tensorboard``."""
    if not params.tensorboard or state_path is None:
        yield lambda row: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "training: tensorboard is true, but the package is not installed; pip install tensorboard, or set it to false"
        ) from error
    with SummaryWriter(str(state_path.parent / "tensorboard")) as writer:

        def write(row: Row) -> None:
            for name, value in row.items():
                writer.add_scalar(name, value, int(row["epoch"]))

        yield write


@contextmanager
def progress_bar(epochs: int) -> Iterator[Callable[[Row], None]]:
    """Yield a function that moves a bar on the terminal by one epoch; without a terminal it does nothing."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("training", total=epochs)
        yield lambda row: bar.update(task, completed=row["epoch"] + 1, description=f"training, loss {row['total']:.3f}")


def _check(
    videos: Sequence[TrainingVideo],
    validation: Sequence[TrainingVideo],
    params: TrainingParameters,
    source: SpottingModel | None,
) -> None:
    if not videos:
        raise InputError("training: no usable video of any training subject; a fold needs at least one other subject")
    if not any(len(video.point_frames) for video in videos):
        raise InputError(
            f"training: none of the {len(videos)} training videos has a point; are there labelled expressions?"
        )
    for video in [*videos, *validation]:
        outside = video.point_frames[(video.point_frames < 0) | (video.point_frames >= len(video.snippets))]
        if len(outside):
            raise InputError(
                f"{video.video_id}: point at frame {outside[0]} of {len(video.snippets)} frames; rerun rule points"
            )
        if video.targets is not None and learned(params.method).labels != "intervals":
            raise InputError(f"{video.video_id}: the method {params.method} must not see onsets and offsets")
    if params.validates and not any(len(video.point_frames) for video in validation):
        raise InputError(
            "training: epoch_choice validation and early_stop need validation subjects with labelled expressions; "
            "set folds.validation_subjects, or epoch_choice: last and early_stop: null"
        )
    needed = learned(params.method).builds_on
    if needed and source is None:
        raise InputError(
            f"training: the method {params.method} goes on from {' or '.join(needed)}; set training.cached to an experiment "
            "of that method"
        )
    if params.start != "random" and source is None:
        raise InputError(f"training: start is {params.start}, but no model to begin from was given")
    if params.start == "random" and (params.cached is None) != (source is None):
        raise InputError("training: a cached training needs a SpotFormer, and only that one; set training.cached")
