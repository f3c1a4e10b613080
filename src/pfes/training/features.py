"""Stages features and scores: what a fold's model makes of the videos.

features.h5  SpotFormer features by one fold's model: of the held-out subjects' usable videos, or of all subjects'.
scores.h5    intensity, class scores and what else the method reads of the held-out subjects' videos, by the same model's
             heads on those features.
In both, attribute ``model`` is the SHA-256 of the model.pt they come from, ``held_out`` a JSON list of subjects.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.training.model import SpottingModel, choose_device, load_model, predict, read_snippets, reproducible


def extract_features(
    model_path: Path | str,
    snippet_paths: Mapping[str, Path | str],
    out_path: Path | str,
    *,
    cached_path: Path | str | None = None,
) -> None:
    """Write the SpotFormer features of the usable ones of some videos by one fold's model.

    Parameters
    ----------
    cached_path : features that a cached training was given: its SpotFormer is the same, so these are taken over.

    Raises
    ------
    InputError
        The model was not trained on the features at ``cached_path``.
    """
    model, meta = load_model(model_path)
    model.to(choose_device(meta["training"]["device"]))
    cached = _cached(cached_path, model_path, meta)
    made = provenance.record(
        "features", {}, [model_path, *([cached_path] if cached_path else []), *snippet_paths.values()]
    )
    attributes = {"model": provenance.file_digest(model_path), "train_subjects": json.dumps(meta["train_subjects"])}
    with store.create(out_path, "features", made, held_out=json.dumps(meta["held_out"]), **attributes) as writer:
        for video_id, path in sorted(snippet_paths.items()):
            name = f"features/{video_id}"
            if store.refusal(path, "snippets") is not None:
                continue
            if name in cached:
                writer.append(name, cached[name])
                continue
            snippets, _ = read_snippets(path)
            with reproducible(meta["seed"]):
                writer.append(name, predict(model, snippets)[0])


def _cached(path: Path | str | None, model_path: Path | str, meta: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    if path is None:
        return {}
    if provenance.file_digest(path) not in meta["provenance"]["sources"].values():
        raise InputError(f"{model_path}: was not trained on the features in {path}; rerun rule train")
    return store.read(path, "features")


def score_fold(
    model_path: Path | str, features_path: Path | str, snippet_paths: Mapping[str, Path | str], out_path: Path | str
) -> None:
    """Apply the heads of a fold's model to the features of its held-out subjects' videos and write the scores.

    Parameters
    ----------
    snippet_paths : the videos to score; refused ones are left out.

    Raises
    ------
    InputError
        The features are another model's, a video is missing there, or the model was trained on one of the videos.
    """
    described = store.attributes(features_path, "features")
    model, meta = load_model(model_path, for_subject=json.loads(described["held_out"]))
    features = read_features(features_path, model_path)
    seen = sorted(set(snippet_paths) & set(meta["train_videos"]))
    if seen:
        raise InputError(f"{seen[0]}: {model_path} was trained on this video and cannot be tested on it")
    made = provenance.record("spot", {}, [model_path, features_path])
    with store.create(out_path, "scores", made, held_out=described["held_out"], model=described["model"]) as writer:
        for video_id, path in sorted(snippet_paths.items()):
            if store.refusal(path, "snippets") is not None:
                continue
            snippets, valid = read_snippets(path)
            with reproducible(meta["seed"]):
                curves = curves_of(model, features_of_video(features, video_id, features_path), valid)
            for name, curve in curves.items():
                writer.append(f"{name}/{video_id}", curve)
            writer.append(f"moved/{video_id}", snippets[:, -1])


def read_features(path: Path | str, model_path: Path | str) -> dict[str, NDArray[Any]]:
    """Return the features [T, D] of every video in a file, by dataset name; raises InputError if they are another model's."""
    if store.attributes(path, "features")["model"] != provenance.file_digest(model_path):
        raise InputError(f"{path}: features of another model than {model_path}; rerun rule features")
    return store.read(path, "features")


def features_of_video(features: Mapping[str, NDArray[Any]], video_id: str, path: Path | str) -> NDArray[Any]:
    """Return the features [T, D] of one video of those read from ``path``; raises InputError where it is not among them."""
    if f"features/{video_id}" not in features:
        raise InputError(f"{path}: no features of {video_id}; rerun rule features")
    return features[f"features/{video_id}"]


def curves_of(model: SpottingModel, features: NDArray[np.float32], valid: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Return the curves of a video by the heads of ``model``, see ``pfes.methods.base``, from its features [T, D]."""
    own = torch.as_tensor(features)
    _, intensity, class_scores = model.head.clean(own)
    found = {"intensity": intensity.numpy(), "class_scores": class_scores.numpy(), "valid": valid}
    outputs, candidates = model.method.outputs(model.head, own), model.method.candidates(model.head, own, valid)
    if outputs is not None:
        found["outputs"] = outputs.numpy()
    if candidates is not None:
        found["candidates"] = candidates
    return found
