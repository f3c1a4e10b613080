"""What the figures of a comparison show, gathered from the files of a run.

Conventions
-----------
Sampled frames, 0-based, intervals inclusive. Pseudo-labels exist for training videos only; they are recomputed from a
stored model with the parameters of its last epoch. Onsets, offsets and apexes are joined afterwards, for drawing: the
recomputation sees points alone, as training did.

Differences from training
-------------------------
The model is in eval mode, with the running statistics of BatchNorm and without dropout; training made its labels with
the statistics of the video, and in the form ``as_released`` with dropout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.records import CLASSES, EXPRESSION_COLUMNS
from pfes.drawing import figures
from pfes.drawing.comparison_figures import LabelCurve, apex_distance_figure, label_figure, stretch_figure
from pfes.drawing.figures import CURVES
from pfes.methods.base import TrainingVideo
from pfes.methods.registry import training_parameters

if TYPE_CHECKING:  # torch takes seconds to import, and only pseudo-labels need it
    from pfes.methods.gim.pseudo_labels import PseudoLabels
    from pfes.training.model import SpottingModel

MARGIN = 25  # frames shown on each side
SHOWN = len(CURVES)  # experiments in one figure: as many as lines can be told apart


def write_label_figure(
    model_path: Path | str,
    snippet_paths: Mapping[str, Path | str],
    points_path: Path | str,
    expressions_path: Path | str,
    truth_paths: Mapping[str, Path | str],
    out_path: Path | str,
) -> None:
    """Draw pseudo-labels of a fold's model against truth, SVG; see ``label_curves``."""
    from pfes.training.model import load_model

    points, expressions = store.read_table(points_path, "points"), _labelled(expressions_path)
    meta = load_model(model_path)[1]
    title = f"{meta['experiment']}, without {', '.join(meta['held_out'])}, seed {meta['seed']}: pseudo-labels at the end of training"
    curves = label_curves(model_path, snippet_paths, points, expressions, truth_paths)
    _write(out_path, label_figure(curves, title), "pseudo-labels of training instances against their true intervals")


def with_clicks(expressions: pd.DataFrame, clicks: pd.DataFrame) -> pd.DataFrame:
    """Return the table of expressions with the clicks as rows of one frame: its onset, apex and offset."""
    frames = dict.fromkeys(("onset", "apex", "offset"), clicks["frame"])
    frames |= {f"native_{name}": clicks["native_frame"] for name in ("onset", "apex", "offset")}
    rows = clicks.assign(**frames)[list(EXPRESSION_COLUMNS)]
    return pd.concat([part for part in (expressions, rows) if len(part)] or [expressions], ignore_index=True)


def _labelled(path: Path | str) -> pd.DataFrame:
    """Return the expressions at ``path`` with the clicks beside them, where there are some."""
    expressions, beside = store.read_table(path, "expressions"), Path(path).with_name("clicks.parquet")
    return with_clicks(expressions, store.read_table(beside, "clicks")) if beside.exists() else expressions


def write_apex_figure(
    apexes: Mapping[str, Iterable[Path | str]],
    points: Mapping[str, Sequence[Path | str]],
    expressions_path: Path | str,
    out_path: Path | str,
) -> None:
    """Draw the distance of pseudo-apexes from true apexes per epoch, SVG, for the first SHOWN experiments."""
    chosen = {name: apexes[name] for name in list(apexes)[:SHOWN]}
    distances = apex_distances(chosen, points, store.read_table(expressions_path, "expressions"))
    _write(out_path, apex_distance_figure(distances), "distance of pseudo-apex frames from the true apex per epoch")


def write_stretch_figure(
    scores: Mapping[str, Iterable[Path | str]],
    expressions_path: Path | str,
    videos_path: Path | str,
    truth_paths: Mapping[str, Path | str],
    out_path: Path | str,
) -> None:
    """Draw the intensity of the first SHOWN experiments where two expressions follow each other most closely, SVG."""
    expressions, videos = _labelled(expressions_path), store.read_table(videos_path, "videos")
    curves = {name: store.read_videos(paths, "scores", "intensity") for name, paths in list(scores.items())[:SHOWN]}
    lengths = {video: len(curve) for found in curves.values() for video, curve in found.items()}
    place = closest_pair(expressions, lengths)
    if place is None:  # no video with two expressions: the beginning of any
        place = (min(lengths), 0, min(lengths[min(lengths)], 300) - 1) if lengths else ("no video", 0, 0)
    video_id, first, last = place
    shown = slice(first, last + 1)
    rates = videos.set_index("video_id")["sampled_fps"]
    own = expressions[expressions["video_id"] == video_id]
    truth = store.read(truth_paths[video_id], "truth")["intensity"][shown] if video_id in truth_paths else None
    figure = stretch_figure(
        f"{video_id}: the expressions that follow each other most closely",
        float(rates.get(video_id, 30.0)),
        first,
        {name: found[video_id][shown] for name, found in curves.items() if video_id in found},
        own[(own["offset"] >= first) & (own["onset"] <= last)],
        truth,
    )
    _write(out_path, figure, f"intensity of {', '.join(curves)} in {video_id}, frames {first} to {last}")


def label_curves(
    model_path: Path | str,
    snippet_paths: Mapping[str, Path | str],
    points: pd.DataFrame,
    expressions: pd.DataFrame,
    truth_paths: Mapping[str, Path | str] | None = None,
    *,
    per_class: int = 8,
) -> list[LabelCurve]:
    """Return the pseudo-labels of some instances that a model was trained on, macro first.

    Parameters
    ----------
    snippet_paths : video_id -> snippets file; videos that the model was not trained on are left out.
    points, expressions : tables; joined by video_id and instance.
    truth_paths : video_id -> truth file of the demo, with the true intensity.
    per_class : greatest number of instances of a class, evenly taken from all.
    """
    from pfes.training.fold import load_video
    from pfes.training.model import load_model

    model, meta = load_model(model_path)
    own = points[points["video_id"].isin(set(meta["train_videos"]) & set(snippet_paths))]
    joined = own.merge(expressions[["video_id", "instance", "onset", "apex", "offset"]], on=["video_id", "instance"])
    chosen = pd.concat([_evenly(joined[joined["class"] == name], per_class) for name in CLASSES])
    found = {}
    for video_id in chosen["video_id"].unique():
        own_points = own[own["video_id"] == video_id].sort_values("frame", kind="stable")
        video = load_video(str(video_id), "", snippet_paths[video_id], own_points)
        found[video_id] = (own_points, *recompute_labels(model, meta, video))
    truth = {
        video_id: store.read(path, "truth")["intensity"]
        for video_id, path in (truth_paths or {}).items()
        if video_id in found
    }
    return [_curve(row, *found[row["video_id"]], truth.get(row["video_id"])) for row in chosen.to_dict("records")]


def recompute_labels(
    model: SpottingModel, meta: Mapping[str, Any], video: TrainingVideo
) -> tuple[PseudoLabels, NDArray[np.float32]]:
    """Return the pseudo-labels of one training video, and its intensity [T], by a stored model and its meta."""
    import torch

    from pfes.training.model import predict

    features, intensity, _ = predict(model, video.snippets)
    params = training_parameters(meta["training"])
    labels = model.method.labels_of(model.head, torch.as_tensor(features), video, params, int(meta["seed"]))
    return labels, intensity


def apex_distances(
    apexes: Mapping[str, Iterable[Path | str]], points: Mapping[str, Sequence[Path | str]], expressions: pd.DataFrame
) -> pd.DataFrame:
    """Return how far the pseudo-apex is from the true apex, per experiment, class and epoch.

    Parameters
    ----------
    apexes : experiment -> tables ``apexes`` of its folds and seeds: epoch, video_id, class, point, apex.
    points : experiment -> tables ``points`` of its seeds.

    Returns
    -------
    columns experiment, class, epoch, distance and point_distance: mean |frame - true apex| of the pseudo-apex and of
    the point, frames, over instances, folds and seeds. Instances without an apex are left out.
    """
    true = expressions[["video_id", "instance", "apex"]].dropna().rename(columns={"apex": "true_apex"})
    tables = []
    for name, paths in apexes.items():
        known = pd.concat([store.read_table(path, "points") for path in points[name]])
        known = known.rename(columns={"frame": "point"})[["video_id", "class", "point", "instance"]]
        known = known.drop_duplicates(["video_id", "class", "point"]).merge(true, on=["video_id", "instance"])
        logged = pd.concat([store.read_table(path, "apexes") for path in paths])
        joined = logged.merge(known, on=["video_id", "class", "point"])
        joined["distance"] = (joined["apex"] - joined["true_apex"]).abs().astype(float)
        joined["point_distance"] = (joined["point"] - joined["true_apex"]).abs().astype(float)
        means = joined.groupby(["class", "epoch"], as_index=False)[["distance", "point_distance"]].mean()
        tables.append(means.assign(experiment=name))
    columns = ["experiment", "class", "epoch", "distance", "point_distance"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def closest_pair(expressions: pd.DataFrame, n_frames: Mapping[str, int]) -> tuple[str, int, int] | None:
    """Return (video_id, first frame, last frame) of the two expressions that follow each other most closely.

    Parameters
    ----------
    n_frames : video_id -> length; other videos are left out. None where no video has two expressions.

    Of equal gaps the first video counts. Expressions that overlap follow each other with a negative gap.
    """
    best: tuple[int, str, int, int] | None = None
    for video_id, own in expressions[expressions["video_id"].isin(n_frames)].groupby("video_id", sort=True):
        onset, offset = (own.sort_values(["onset", "offset"])[name].to_numpy(np.int64) for name in ("onset", "offset"))
        for one in range(len(onset) - 1):
            gap = int(onset[one + 1] - offset[one])
            if best is None or gap < best[0]:
                last = int(max(offset[one], offset[one + 1])) + MARGIN
                best = (gap, str(video_id), max(int(onset[one]) - MARGIN, 0), min(last, n_frames[str(video_id)] - 1))
    return None if best is None else best[1:]


def _curve(
    row: Mapping[Any, Any],
    points: pd.DataFrame,
    labels: PseudoLabels,
    intensity: NDArray[np.float32],
    true_intensity: NDArray[np.floating] | None,
) -> LabelCurve:
    index = int(np.flatnonzero(points["instance"].to_numpy() == row["instance"])[0])
    apex, half = int(labels.apex_frames[index]), int(labels.half_widths[index])
    lowest, highest = min(row["onset"], apex - half, row["frame"]), max(row["offset"], apex + half, row["frame"])
    frames = np.arange(max(lowest - MARGIN, 0), min(highest + MARGIN + 1, len(intensity)), dtype=np.int64)
    c = CLASSES.index(row["class"])
    inside = (np.abs(frames - apex) <= half) & labels.labelled[c].numpy()[frames]
    return LabelCurve(
        title=f"{row['video_id']}, {row['class']}",
        kind=str(row["class"]),
        frames=frames,
        label=np.where(inside, labels.soft[c].numpy()[frames], np.nan),
        intensity=intensity[frames],
        point=int(row["frame"]),
        pseudo_apex=apex,
        onset=int(row["onset"]),
        apex=int(row["apex"]) if pd.notna(row["apex"]) else int(row["onset"] + row["offset"]) // 2,
        offset=int(row["offset"]),
        true_intensity=None if true_intensity is None else true_intensity[frames],
    )


def _write(path: Path | str, figure: Figure, label: str) -> None:
    with store.atomic(path) as temporary:
        temporary.write_text(figures.svg(figure, label=label), encoding="utf-8")


def _evenly(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return at most ``count`` rows, evenly spread over the table."""
    chosen = np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).round().astype(int)) if len(table) else []
    return table.iloc[chosen]
