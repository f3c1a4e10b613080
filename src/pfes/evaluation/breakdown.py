"""Where a result comes from: F1 over IoU, precision and recall over score, recall by kind of instance, apex error.

Conventions
-----------
The tables ``videos``, ``expressions`` and ``proposals`` are those of ``pfes.evaluation.counts``, ``matches`` is what it makes of them
(``Judged.matches``). Durations are in seconds, (offset - onset + 1) / fps of the sampled frames. Bins include their
lower edge and exclude the upper one. A share of nothing is NaN: unlike a pooled F1 it is no result.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.intervals import as_intervals, lengths
from pfes.base.records import RESULT_CLASSES
from pfes.evaluation.counts import judge, numbers, ratios_by_class

Floats = NDArray[np.float64]

IOUS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))
DURATIONS_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, np.inf)
AMPLITUDES_PX = (0.0, 0.5, 1.0, 2.0, 4.0, np.inf)
POINTS = 50  # of a precision-recall curve, at most
RATIO_COLUMNS = ("class", "tp", "fp", "fn", "precision", "recall", "f1")


def f1_over_iou(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    runs: Sequence[pd.DataFrame],
    protocol: str = "strict",
    ious: Sequence[float] = IOUS,
) -> pd.DataFrame:
    """Return a row per IoU threshold and class: iou and RATIO_COLUMNS, counts pooled over ``runs``.

    ``runs`` are the proposals of an experiment, one table per seed.
    """
    return _rows("iou", {iou: _pooled(videos, expressions, runs, protocol, iou) for iou in ious})


def precision_recall(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    runs: Sequence[pd.DataFrame],
    protocol: str = "strict",
    iou: float = 0.5,
) -> pd.DataFrame:
    """Return the precision-recall curve: a row per score threshold and class, score and RATIO_COLUMNS.

    At each threshold the proposals of that score or more are judged anew, and counts are pooled over ``runs`` (a table of
    proposals per seed). Thresholds are scores that occur, from the highest to the lowest, evenly spaced in rank where
    there are more than POINTS; no proposals give no rows.
    """
    given = [run["score"].to_numpy(np.float64) for run in runs if len(run)]
    scores = np.unique(np.concatenate(given)) if given else np.empty(0)
    chosen = scores[np.unique(np.linspace(0, len(scores) - 1, min(POINTS, len(scores))).round().astype(int))][::-1]
    judged = {}
    for least in chosen:
        kept = [run[run["score"] >= least] if len(run) else run for run in runs]
        judged[float(least)] = _pooled(videos, expressions, kept, protocol, iou)
    return _rows("score", judged)


def recall_by(matches: pd.DataFrame, values: pd.Series, edges: Sequence[float]) -> pd.DataFrame:
    """Return recall in bins of a property of the instances.

    Parameters
    ----------
    matches
        Of ``pfes.evaluation.counts``.
    values
        Property of each instance, index (video_id, instance); an instance of value NaN is in no bin.
    edges
        Edges [B + 1] of the bins.

    Returns
    -------
    DataFrame
        class (macro, micro, overall), low, high (bounds of the bin), n_instances, found, recall; a row per class and bin.
    """
    instances = matches[matches["instance"] >= 0]
    value = values.reindex(pd.MultiIndex.from_frame(instances[["video_id", "instance"]])).to_numpy(np.float64)
    bins = np.digitize(value, np.asarray(edges, np.float64)) - 1
    bins[np.isnan(value)] = -1
    rows = []
    for name in RESULT_CLASSES:
        of_class = np.ones(len(instances), bool) if name == "overall" else (instances["class"] == name).to_numpy()
        for index, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            inside = of_class & (bins == index)
            rows.append({"class": name, "low": low, "high": high, **_recall(instances[inside])})
    return pd.DataFrame(rows)


def recall_by_subject(matches: pd.DataFrame) -> pd.DataFrame:
    """Return recall per subject: subject, class (macro, micro, overall), n_instances, found, recall."""
    instances = matches[matches["instance"] >= 0]
    rows = []
    for subject, own in instances.groupby("subject", sort=True):
        for name in RESULT_CLASSES:
            of_class = own if name == "overall" else own[own["class"] == name]
            rows.append({"subject": subject, "class": name, **_recall(of_class)})
    return pd.DataFrame(rows, columns=["subject", "class", "n_instances", "found", "recall"])


def durations(videos: pd.DataFrame, expressions: pd.DataFrame) -> pd.Series:
    """Return the duration in seconds of every instance, index (video_id, instance)."""
    rate = expressions["video_id"].map(videos.set_index("video_id")["sampled_fps"]).to_numpy(np.float64)
    frames = lengths(as_intervals(expressions["onset"], expressions["offset"]))
    return pd.Series(frames / rate, index=_index(expressions), dtype=np.float64)


def true_amplitudes(expressions: pd.DataFrame, truth: Mapping[str, Path | str]) -> pd.Series:
    """Return the true amplitude of every instance of rendered videos, index (video_id, instance).

    ``truth`` maps video_id to the file of kind ``truth``; the amplitude is the largest displacement of any landmark by
    expressions within the instance, px of the recording; NaN where there is no truth.
    """
    values = np.full(len(expressions), np.nan)
    for video_id, rows in expressions.reset_index(drop=True).groupby("video_id", sort=False):
        if str(video_id) in truth:
            moved = np.linalg.norm(store.read(truth[str(video_id)], "truth")["expression"], axis=-1).max(
                axis=-1
            )  # (T,)
            for row, onset, offset in zip(rows.index, rows["onset"], rows["offset"], strict=True):
                values[row] = moved[onset : offset + 1].max(initial=0.0)
    return pd.Series(values, index=_index(expressions))


def apex_errors(matches: pd.DataFrame, expressions: pd.DataFrame, proposals: pd.DataFrame) -> pd.DataFrame:
    """Return a row per matched pair whose instance has an apex.

    Returns
    -------
    DataFrame
        subject, video_id, class, instance, proposal, error_frames (proposal's apex - instance's), error: its size over
        the length of the instance in frames.
    """
    pairs = matches[(matches["instance"] >= 0) & (matches["proposal"] >= 0)]
    key = pd.MultiIndex.from_frame(pairs[["video_id", "instance"]])
    truth = expressions.set_index(_index(expressions)).reindex(key)
    found = proposals.set_index([proposals["video_id"], pd.Index(numbers(proposals))]).reindex(
        pd.MultiIndex.from_frame(pairs[["video_id", "proposal"]])
    )
    frames = found["apex"].to_numpy(np.float64) - truth["apex"].to_numpy(np.float64, na_value=np.nan)
    length = (truth["offset"] - truth["onset"] + 1).to_numpy(np.float64)
    table = pairs.drop(columns="iou").assign(error_frames=frames, error=np.abs(frames) / length)
    return table[np.isfinite(frames)].reset_index(drop=True)


def _pooled(
    videos: pd.DataFrame, expressions: pd.DataFrame, runs: Sequence[pd.DataFrame], protocol: str, iou: float
) -> dict[str, dict[str, float]]:
    return ratios_by_class(
        pd.concat([judge(videos, expressions, run, protocol, iou).counts for run in runs], ignore_index=True)
    )


def _rows(name: str, results: Mapping[float, Mapping[str, Mapping[str, float]]]) -> pd.DataFrame:
    rows = [
        {name: value, **{"class": kind, **found[kind]}} for value, found in results.items() for kind in RESULT_CLASSES
    ]
    return pd.DataFrame(rows, columns=[name, *RATIO_COLUMNS])


def _recall(instances: pd.DataFrame) -> dict[str, float]:
    found = int((instances["proposal"] >= 0).sum())
    return {
        "n_instances": len(instances),
        "found": found,
        "recall": found / len(instances) if len(instances) else np.nan,
    }


def _index(expressions: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(expressions[["video_id", "instance"]])
