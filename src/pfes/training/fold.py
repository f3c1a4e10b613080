"""Training of SpotFormer with a head, one model per fold.

Files
-----
model.pt        see pfes.training.model.
log.parquet     kind ``log``, one row per epoch: mean of each weighted loss term over the steps, theta, learning_rate,
                validation (where asked for), seconds, memory_mb (the peak so far).
apexes.parquet  kind ``apexes``, one row per epoch and training instance: video_id, class, point, pseudo-apex (the point in
                stages 1 and 2), half_width; frames. Empty where the method makes no pseudo-labels.
Beside model.pt, no outputs of the workflow: checkpoint.pt while training runs, epochs/{epoch:04d}.pt (models of kept
epochs, from 0), tensorboard/.

A fold's model never sees its held-out subjects: ``train_fold`` opens no file of theirs, and ``model.load_model`` and
``features.score_fold`` refuse a model for a subject or a video that it was trained on. Only a method that learns
from intervals opens the table of expressions; all others get points.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import values_of
from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.methods.base import TrainingVideo
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import check_source, learned
from pfes.network.parameters import ModelParameters
from pfes.training.box import start_model
from pfes.training.engine import Row, Trained, progress_bar, train
from pfes.training.features import read_features
from pfes.training.model import SpottingModel, Subjects, load_model, read_snippets, save_model, subject_list
from pfes.training.step import mirrored

log = logging.getLogger(__name__)
__all__ = [
    "CachedSource", "Trained", "TrainingParameters", "TrainingVideo", "load_video", "mirrored", "train", "train_fold",
]  # fmt: skip


@dataclass(frozen=True)
class CachedSource:
    """The model of the same fold and seed whose SpotFormer a cached training uses, and its features.h5."""

    model: Path | str
    features: Path | str


@dataclass(frozen=True)
class FoldInputs:
    """The files that a fold's training may open.

    Attributes
    ----------
    snippets : video_id -> snippets file. Files of subjects not trained on are not opened; refused videos are skipped.
    points, videos : tables.
    held_out : subject or subjects left out for the test; None trains on all (a model for new recordings).
    validation : subjects left out too, for choices that must not see those held out; their videos are opened only for
        such a choice.
    expressions : table of expressions, for a method that learns from intervals and for no other.
    cached : where the features of a cached training come from.
    neutral : table of the stretches that an annotator marked as without expression.
    """

    snippets: Mapping[str, Path | str]
    points: Path | str
    videos: Path | str
    held_out: Subjects = None
    validation: Subjects = None
    expressions: Path | str | None = None
    cached: CachedSource | None = None
    neutral: Path | str | None = None

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Return the subjects that are not trained on, by why."""
        return {"held_out": subject_list(self.held_out), "validation_subjects": subject_list(self.validation)}

    def sources(self, opened: Iterable[Path | str]) -> list[Path | str]:
        """Return all files that are read, of which ``opened`` are snippets."""
        cached = [self.cached.model, self.cached.features] if self.cached else []
        others = [path for path in (self.expressions, self.neutral) if path]
        return [self.points, self.videos, *opened, *cached, *others]


def train_fold(
    inputs: FoldInputs,
    folder: Path,
    model_params: ModelParameters,
    params: TrainingParameters,
    seed: int,
    experiment: str,
    spotting: Mapping[str, Any],
    progress: Callable[[Row], None] | None = None,
) -> None:
    """Train the model of one fold and write it with its log; an interrupted training goes on where it was.

    Parameters
    ----------
    folder : gets model.pt, log.parquet and apexes.parquet.
    spotting : parameters of the other stages that belong to the model, nested plain types.
    """
    out = sum(inputs.left_out.values(), [])
    subjects = _subjects(inputs.videos, inputs.snippets)
    opened = _not_refused(inputs.snippets, subjects, without=out)
    checked = {}
    if params.validates:
        others = set(subjects.values()) - set(inputs.left_out["validation_subjects"])
        checked = _not_refused(inputs.snippets, subjects, without=[*others, *inputs.left_out["held_out"]])
    labels = _labels(inputs.points, inputs.expressions, params)
    still = None if inputs.neutral is None else store.read_table(inputs.neutral, "neutral")
    videos, validating = (
        [load_video(video_id, subjects[video_id], path, *labels, still) for video_id, path in part.items()]
        for part in (opened, checked)
    )
    _say_unseen(videos)
    source: SpottingModel | None = None
    seen = {video.subject for video in videos}
    assert not seen & set(out), f"trained on a subject of {inputs.left_out}"
    if params.cached is not None:
        source, features, seen_by_cached = _cached(inputs.cached, model_params, params, out)
        videos, validating = (
            [_with_features(video, features, inputs.cached) for video in part] for part in (videos, validating)
        )
        seen |= seen_by_cached
    settings: dict[str, Any] = {
        "model": asdict(model_params),
        "training": values_of(params),
        "seed": seed,
        "experiment": experiment,
    }
    sources = inputs.sources([*opened.values(), *checked.values()])
    made = provenance.record("train", {**settings, **inputs.left_out}, sources)
    fold = {**inputs.left_out, "train_subjects": sorted(seen), "train_videos": list(opened)}
    meta = {**settings, **fold, "spotting": dict(spotting), "provenance": made}

    state_path = folder / "checkpoint.pt"
    with progress_bar(params.epochs) as bar:

        def after(row: Row, model: SpottingModel) -> None:
            (progress or bar)(row)
            epoch = int(row["epoch"])
            if params.keep_every and (epoch + 1) % params.keep_every == 0:
                save_model(folder / "epochs" / f"{epoch:04d}.pt", model.eval(), {**meta, "epoch": epoch})

        trained = train(
            videos, model_params, params, seed, after,
            validation=validating, source=source or start_model(params.start, model_params), state_path=state_path,
        )  # fmt: skip
    save_model(folder / "model.pt", trained.model, meta)
    store.write_table(folder / "log.parquet", "log", trained.log, made)
    store.write_table(folder / "apexes.parquet", "apexes", trained.apexes, made)
    state_path.unlink(missing_ok=True)


def _subjects(videos_path: Path | str, snippet_paths: Mapping[str, Path | str]) -> dict[str, str]:
    listed = store.read_table(videos_path, "videos")
    subjects: dict[str, str] = dict(listed[["video_id", "subject"]].astype(str).to_numpy().tolist())
    unknown = sorted(set(snippet_paths) - set(subjects))
    if unknown:
        raise InputError(f"{unknown[0]}: snippets of a video that {videos_path} does not list; rerun rule dataset")
    return subjects


def _not_refused(
    snippet_paths: Mapping[str, Path | str], subjects: Mapping[str, str], without: list[str]
) -> dict[str, Path | str]:
    return {
        video_id: path
        for video_id, path in sorted(snippet_paths.items())
        if subjects[video_id] not in without and store.refusal(path, "snippets") is None
    }


def _labels(
    points_path: Path | str, expressions_path: Path | str | None, params: TrainingParameters
) -> tuple[pd.DataFrame, Callable[[str, int], Any] | None]:
    """Return the table of points and, for a method that learns from intervals alone, what gives its targets."""
    method = learned(params.method)
    reads = method.labels == "intervals"
    if (expressions_path is not None) != reads:
        asked = "needs" if reads else "must not see"
        raise InputError(f"training: the method {params.method} {asked} the table of expressions (onsets and offsets)")
    points = store.read_table(points_path, "points")
    if expressions_path is None:
        return points, None
    return points, partial(method.targets, store.read_table(expressions_path, "expressions"))


def load_video(
    video_id: str,
    subject: str,
    path: Path | str,
    points: pd.DataFrame,
    targets: Callable[[str, int], Any] | None = None,
    still: pd.DataFrame | None = None,
) -> TrainingVideo:
    """Read one video's snippets and take its points; what an invalid frame holds is read as no motion.

    ``targets`` gives what a method learns from the intervals of a video of so many frames; ``still`` are neutral stretches.
    """
    snippets, valid = read_snippets(path)
    own = points[points["video_id"] == video_id].sort_values("frame", kind="stable")
    return TrainingVideo(
        video_id, subject, snippets, valid,
        own["frame"].to_numpy(np.int64), own["class"].map(CLASSES.index).to_numpy(np.int64),
        None if targets is None else targets(video_id, len(snippets)),
        None if still is None else _neutral(still[still["video_id"] == video_id], len(snippets)),
    )  # fmt: skip


def _neutral(stretches: pd.DataFrame, n_frames: int) -> NDArray[np.bool_] | None:
    """Return which frames [T] lie in a stretch that is marked as without expression; None where none is."""
    if stretches.empty:
        return None
    marked = np.zeros(n_frames, bool)
    for onset, offset in zip(stretches["onset"], stretches["offset"], strict=True):
        marked[onset : offset + 1] = True
    return marked


def _say_unseen(videos: Iterable[TrainingVideo]) -> None:
    """Warn of points at a frame without a usable face, which teach little or nothing."""
    for video in videos:
        inside = video.point_frames[video.point_frames < len(video.valid)]
        for frame in inside[~video.valid[inside]]:
            log.warning("%s: the point at sampled frame %d has no usable face", video.video_id, frame)


def _cached(
    source: CachedSource | None, model_params: ModelParameters, params: TrainingParameters, left_out: list[str]
) -> tuple[SpottingModel, Mapping[str, Any], set[str]]:
    """Return the model that a training goes on from, its features by dataset name, and the subjects that it was trained on.

    Raises
    ------
    InputError
        The model has seen a subject left out, or intervals where this method may not; it is of another method than this one
        goes on from; the features are another model's; or the networks differ in size.
    """
    if source is None:
        raise InputError(f"training: cached is {params.cached}, but no model and features were given; rerun rule train")
    model, meta = load_model(source.model, for_subject=left_out)
    check_source(learned(params.method), model.method, str(source.model))
    features = read_features(source.features, source.model)
    if replace(model.params, head_dropout=model_params.head_dropout) != model_params:
        raise InputError(
            f"{source.model}: {model.params}, but this experiment has {model_params}; a cached training takes its "
            "SpotFormer as it is, only head_dropout may differ"
        )
    return model, features, set(meta["train_subjects"])


def _with_features(video: TrainingVideo, features: Mapping[str, Any], source: CachedSource | None) -> TrainingVideo:
    found = features.get(f"features/{video.video_id}")
    if found is None or len(found) != len(video.snippets):
        where = source.features if source else "features"
        raise InputError(
            f"{where}: no features of {video.video_id} with {len(video.snippets)} frames; rerun rule features"
        )
    return replace(video, snippets=found)
