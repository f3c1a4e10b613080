"""The least score of a proposal, chosen for each fold and class by points of subjects that it does not test.

The methods of action localisation are published with average precision, which needs no such limit; F1 does. A choice on the
answers of the test subject would be no result (it is the row ``oracle-limit`` of the protocol table), and one on onsets and
offsets no point supervision. So a proposal counts as a hit here if it holds a point of its class that no better scored one
took, and the limit is that of the highest F1 on the fold's validation subjects, or without any on those it was trained on
(ours; scores of videos that were trained on are higher than those of others, so that the limit is then rather too high).

File
----
limits.json  {macro, micro: least score, or null where the class has no point; subjects: chosen on; role: validation or
             train; provenance}
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import values_of
from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.decoding.proposals import SpotParameters
from pfes.spotting.proposal_tables import read_faces


@dataclass(frozen=True)
class ChoiceFiles:
    """The files that a choice may open.

    Attributes
    ----------
    model, features : of the fold; points, videos : tables.
    snippets, faces : video_id -> file, of the videos that the choice is made on.
    """

    model: Path | str
    features: Path | str
    points: Path | str
    videos: Path | str
    snippets: Mapping[str, Path | str]
    faces: Mapping[str, Path | str]


def write_limits(files: ChoiceFiles, out_path: Path | str, params: SpotParameters) -> None:
    """Choose the least score of each class for one fold and write them.

    Raises
    ------
    InputError
        A video is of a subject that the fold holds out, or the features are another model's or lack a video.
    """
    from pfes.training.features import (  # torch takes seconds to import, and rule spot only reads limits
        curves_of,
        features_of_video,
        read_features,
    )
    from pfes.training.model import load_model, read_snippets, reproducible

    model, meta = load_model(files.model)
    features = read_features(files.features, files.model)
    subjects = store.read_table(files.videos, "videos").set_index("video_id")["subject"]
    of = {video_id: str(subjects[video_id]) for video_id in files.snippets}
    tested = sorted(set(of.values()) & set(meta["held_out"]))
    if tested:
        raise InputError(
            f"{files.model}: subject {tested[0]!r} is held out by this fold, no score limit may be chosen on it"
        )
    points = store.read_table(files.points, "points")
    found: dict[str, list[tuple[pd.DataFrame, NDArray[np.int64]]]] = {name: [] for name in CLASSES}
    for video_id, path in sorted(files.snippets.items()):
        if store.refusal(path, "snippets") is not None:
            continue
        _, valid = read_snippets(path)
        with reproducible(meta["seed"]):
            curves = curves_of(model, features_of_video(features, video_id, files.features), valid)
        proposals = model.method.propose(curves, unlimited(params), read_faces(files.faces[video_id])[1])
        own = points[points["video_id"] == video_id]
        for name in CLASSES:
            frames = own.loc[own["class"] == name, "frame"].to_numpy(np.int64)
            found[name].append((proposals[proposals["class"] == name], frames))
    chosen = {name: best_limit(found[name]) for name in CLASSES}
    used = sorted(set(of.values()))
    made = provenance.record("limits", values_of(params), [files.model, files.features, files.points, files.videos])
    role = "validation" if set(used) <= set(meta["validation_subjects"]) else "train"
    with store.atomic(out_path) as temporary:
        temporary.write_text(json.dumps({**chosen, "subjects": used, "role": role, "provenance": made}, indent=2))


def best_limit(videos: Sequence[tuple[pd.DataFrame, NDArray[np.int64]]]) -> float | None:
    """Return the least score of a class with the highest F1 of points; None where there is no point or no hit.

    Parameters
    ----------
    videos : for each video its proposals (onset, offset, score) of one class, and the frames of its points.

    From the best score down a proposal is a hit if it holds a point that none before took (the earliest of several).
    The limit is the score of the last proposal that counts; of equal F1 the highest limit.
    """
    scores, hits = [], []
    for proposals, frames in videos:
        left = sorted(frames.tolist())
        ordered = proposals.sort_values("score", ascending=False, kind="stable")
        for onset, offset, score in ordered[["onset", "offset", "score"]].itertuples(index=False):
            held = [frame for frame in left if onset <= frame <= offset]
            left = [frame for frame in left if frame not in held[:1]]
            scores.append(float(score))
            hits.append(bool(held))
    n_points = sum(len(frames) for _, frames in videos)
    if not n_points or not any(hits):
        return None
    order = np.argsort(-np.array(scores), kind="stable")
    ordered_scores, tp = np.array(scores)[order], np.cumsum(np.array(hits)[order])
    f1 = 2 * tp / (np.arange(1, len(tp) + 1) + n_points)
    f1[:-1][ordered_scores[:-1] == ordered_scores[1:]] = -1  # a limit takes all of one score
    return float(ordered_scores[int(np.argmax(f1))])


def with_limits(params: SpotParameters, paths: Sequence[Path | str]) -> SpotParameters:
    """Return ``params`` with the least scores of files of limits: their mean, those of ``params`` where there is none."""
    read = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    for name in CLASSES:
        known = [float(own[name]) for own in read if own[name] is not None]
        if known:
            params = replace(params, **{name: replace(getattr(params, name), min_score=sum(known) / len(known))})
    return params


def unlimited(params: SpotParameters) -> SpotParameters:
    """Return ``params`` without a least score."""
    return replace(params, **{name: replace(getattr(params, name), min_score=-np.inf) for name in CLASSES})
