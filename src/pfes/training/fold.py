"""Training of SpotFormer with a head, one model per fold.

Files
-----
model.pt        see pfes.training.model.
log.parquet     kind ``log``, one row per epoch: mean of each weighted loss term over the steps, theta, learning_rate,
                validation (where asked for), seconds, memory_mb (the peak so far).
apexes.parquet  kind ``apexes``, one row per epoch and training instance: video_id, class, point, pseudo-apex (the point in
                stages 1 and 2), half_width; frames. Empty for the supervised system.
Beside model.pt, no outputs of the workflow: checkpoint.pt while training runs, epochs/{epoch:04d}.pt (models of kept
epochs, from 0), tensorboard/.

A fold's model never sees its held-out subjects: ``train_fold`` opens no file of theirs, and ``model.load_model`` and
``features.score_fold`` refuse a model for a subject or a video that it was trained on. Only the supervised system opens
the table of expressions; all others get points.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.methods.supervised.targets import video_targets
from pfes.training.engine import Row, Trained, progress_bar, train
from pfes.training.model import (
    ModelParameters,
    SpottingModel,
    Subjects,
    load_model,
    read_snippets,
    save_model,
    subject_list,
)
from pfes.training.parameters import TrainingParameters, TrainingVideo
from pfes.training.step import mirrored

__all__ = [
    "CachedSource", "Trained", "TrainingParameters", "TrainingVideo", "load_video", "mirrored", "train", "train_fold",
]  # fmt: skip


@dataclass(frozen=True)
class CachedSource:
    """The model of the same fold and seed whose SpotFormer a cached training uses, and its features.h5."""

    model: Path | str
    features: Path | str


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
    progress: Callable[[Row], None] | None = None,
    validation: Subjects = None,
    *,
    out_apexes: Path | str | None = None,
    expressions_path: Path | str | None = None,
    cached: CachedSource | None = None,
) -> None:
    """Train the model of one fold and write it with its log; an interrupted training goes on where it was.

    Parameters
    ----------
    snippet_paths : video_id -> snippets file. Files of subjects not trained on are not opened; refused videos are skipped.
    held_out : subject or subjects left out for the test; None trains on all (a model for new recordings).
    spotting : parameters of the other stages that belong to the model, nested plain types.
    validation : subjects left out too, for choices that must not see those held out; their videos are opened only for
        such a choice.
    expressions_path : table of expressions, for the system supervised and for no other.
    cached : where the features of a cached training come from.
    """
    left_out = {"held_out": subject_list(held_out), "validation_subjects": subject_list(validation)}
    subjects = _subjects(videos_path, snippet_paths)
    usable = _usable(snippet_paths, subjects, without=sum(left_out.values(), []))
    checked = {}
    if params.validates:
        others = set(subjects.values()) - set(left_out["validation_subjects"])
        checked = _usable(snippet_paths, subjects, without=[*others, *left_out["held_out"]])
    labels = _labels(points_path, expressions_path, params)
    frozen: dict[str, Tensor] | None = None
    seen_by_cached: set[str] = set()
    if params.cached is None:
        videos, validating = (
            [load_video(v, subjects[v], p, *labels) for v, p in part.items()] for part in (usable, checked)
        )
    else:
        frozen, features, seen_by_cached = _cached(cached, model_params, params, sum(left_out.values(), []))
        videos, validating = (
            [_with_features(load_video(v, subjects[v], p, *labels), features, cached) for v, p in part.items()]
            for part in (usable, checked)
        )
    train_subjects = sorted({video.subject for video in videos})
    assert not set(train_subjects) & set(sum(left_out.values(), [])), f"trained on a subject of {left_out}"
    settings: dict[str, Any] = {
        "model": asdict(model_params),
        "training": asdict(params),
        "seed": seed,
        "experiment": experiment,
    }
    sources = [points_path, videos_path, *usable.values(), *checked.values()]
    sources += [cached.model, cached.features] if cached else []
    sources += [expressions_path] if expressions_path else []
    made = provenance.record("train", {**settings, **left_out}, sources)
    seen = seen_by_cached | set(train_subjects)
    fold = {**left_out, "train_subjects": sorted(seen), "train_videos": list(usable)}
    meta = {**settings, **fold, "spotting": dict(spotting), "provenance": made}
    folder = Path(out_model).parent

    def keep(epoch: int, model: SpottingModel) -> None:
        save_model(folder / "epochs" / f"{epoch:04d}.pt", model, {**meta, "epoch": epoch})

    state_path = folder / "checkpoint.pt"
    with progress_bar(params.epochs) as bar:
        trained = train(
            videos, model_params, params, seed, progress or bar,
            validation=validating, spotformer=frozen, state_path=state_path, keep=keep,
        )  # fmt: skip
    save_model(out_model, trained.model, meta)
    store.write_table(out_log, "log", trained.log, made)
    if out_apexes is not None:
        store.write_table(out_apexes, "apexes", trained.apexes, made)
    state_path.unlink(missing_ok=True)


def _subjects(videos_path: Path | str, snippet_paths: Mapping[str, Path | str]) -> dict[str, str]:
    listed = store.read_table(videos_path, "videos")
    subjects: dict[str, str] = dict(listed[["video_id", "subject"]].astype(str).to_numpy().tolist())
    unknown = sorted(set(snippet_paths) - set(subjects))
    if unknown:
        raise InputError(f"{unknown[0]}: snippets of a video that {videos_path} does not list; rerun rule dataset")
    return subjects


def _usable(
    snippet_paths: Mapping[str, Path | str], subjects: Mapping[str, str], without: list[str]
) -> dict[str, Path | str]:
    return {
        video_id: path
        for video_id, path in sorted(snippet_paths.items())
        if subjects[video_id] not in without and store.refusal(path, "snippets") is None
    }


def _labels(
    points_path: Path | str, expressions_path: Path | str | None, params: TrainingParameters
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the tables of points and, for the supervised system alone, of expressions."""
    if (expressions_path is not None) != (params.system == "supervised"):
        asked = "needs" if params.system == "supervised" else "must not see"
        raise InputError(f"training: the system {params.system} {asked} the table of expressions (onsets and offsets)")
    points = store.read_table(points_path, "points")
    return points, None if expressions_path is None else store.read_table(expressions_path, "expressions")


def load_video(
    video_id: str, subject: str, path: Path | str, points: pd.DataFrame, expressions: pd.DataFrame | None = None
) -> TrainingVideo:
    """Read one video's snippets and take its points; what an invalid frame holds is read as no motion."""
    snippets, valid = read_snippets(path)
    own = points[points["video_id"] == video_id].sort_values("frame", kind="stable")
    return TrainingVideo(
        video_id, subject, snippets, valid,
        own["frame"].to_numpy(np.int64), own["class"].map(CLASSES.index).to_numpy(np.int64),
        None if expressions is None else video_targets(expressions, video_id, len(snippets)),
    )  # fmt: skip


def _cached(
    source: CachedSource | None, model_params: ModelParameters, params: TrainingParameters, left_out: list[str]
) -> tuple[dict[str, Tensor], Mapping[str, Any], set[str]]:
    """Return the frozen SpotFormer's weights, the features by dataset name, and the subjects that it was trained on.

    Raises
    ------
    InputError
        The model has seen a subject left out, the features are another model's, or the networks differ in size.
    """
    if source is None:
        raise InputError(f"training: cached is {params.cached}, but no model and features were given; rerun rule train")
    model, meta = load_model(source.model, for_subject=left_out)
    attributes = store.attributes(source.features, "features")
    if attributes["model"] != provenance.file_digest(source.model):
        raise InputError(f"{source.features}: features of another model than {source.model}; rerun rule features")
    if replace(model.params, head_dropout=model_params.head_dropout) != model_params:
        raise InputError(
            f"{source.model}: {model.params}, but this experiment has {model_params}; a cached training takes its "
            "SpotFormer as it is, only head_dropout may differ"
        )
    return model.spotformer.state_dict(), store.read(source.features, "features"), set(meta["train_subjects"])


def _with_features(video: TrainingVideo, features: Mapping[str, Any], source: CachedSource | None) -> TrainingVideo:
    found = features.get(f"features/{video.video_id}")
    if found is None or len(found) != len(video.snippets):
        where = source.features if source else "features"
        raise InputError(
            f"{where}: no features of {video.video_id} with {len(video.snippets)} frames; rerun rule features"
        )
    return replace(video, snippets=found)
