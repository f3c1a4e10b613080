"""Stages features and scores: what a fold's model makes of the videos.

features.h5  SpotFormer features of every usable video, of all subjects, by one fold's model.
scores.h5    intensity and class scores of the held-out subjects' videos, by the same model's heads on those features.
In both, attribute ``model`` is the SHA-256 of the model.pt they come from, ``held_out`` a JSON list of subjects.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from pfes import provenance, store
from pfes.errors import InputError
from pfes.model import choose_device, load_model, predict, read_snippets, reproducible


def extract_features(model_path: Path | str, snippet_paths: Mapping[str, Path | str], out_path: Path | str) -> None:
    """Write the SpotFormer features of all usable videos, of every subject, by one fold's model."""
    model, meta = load_model(model_path)
    model.to(choose_device(meta["training"]["device"]))
    made = provenance.record("features", {}, [model_path, *snippet_paths.values()])
    attributes = {"model": provenance.file_digest(model_path), "train_subjects": json.dumps(meta["train_subjects"])}
    with store.create(out_path, "features", made, held_out=json.dumps(meta["held_out"]), **attributes) as writer:
        for video_id, path in sorted(snippet_paths.items()):
            if store.refusal(path, "snippets") is None:
                snippets, _ = read_snippets(path)
                with reproducible(meta["seed"]):
                    writer.append(f"features/{video_id}", predict(model, snippets)[0])


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
    held = store.attributes(features_path, "features")
    model, meta = load_model(model_path, for_subject=json.loads(held["held_out"]))
    if held["model"] != provenance.file_digest(model_path):
        raise InputError(f"{features_path}: features of another model than {model_path}; rerun rule features")
    seen = sorted(set(snippet_paths) & set(meta["train_videos"]))
    if seen:
        raise InputError(f"{seen[0]}: {model_path} was trained on this video and cannot be tested on it")
    features = store.read(features_path, "features")
    made = provenance.record("spot", {}, [model_path, features_path])
    with store.create(out_path, "scores", made, held_out=held["held_out"], model=held["model"]) as writer:
        for video_id, path in sorted(snippet_paths.items()):
            if store.refusal(path, "snippets") is not None:
                continue
            if f"features/{video_id}" not in features:
                raise InputError(f"{features_path}: no features of {video_id}; rerun rule features")
            with reproducible(meta["seed"]):
                _, intensity, class_scores = model.head.clean(torch.as_tensor(features[f"features/{video_id}"]))
            writer.append(f"intensity/{video_id}", intensity.numpy())
            writer.append(f"class_scores/{video_id}", class_scores.numpy())
