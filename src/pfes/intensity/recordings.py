"""Intensity over whole recordings: is it high where something happens, and nowhere else?

A clip from onset to offset gives its intensity away by the position alone: it rises, peaks and falls (``position`` in
``comparison``). A recording does not; and it is what a user has.

References
----------
triangle   the labels: the triangle of each expression, 0 outside of all
true       known intensity, where the dataset has it (demo)

Metrics, per recording, frames with a usable face: Spearman and mean absolute error against the reference; ``auc``, the
probability that a frame within a labelled expression has a higher value than one outside (ties half; the area under the
receiver operating characteristic), which needs no reference curve. Recordings without an expression, or with nothing
else, have no ``auc`` (NaN).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pfes.base import provenance, store
from pfes.intensity.comparison import UNSCALED, Beside, mean_columns
from pfes.intensity.metrics import clip_metrics
from pfes.intensity.pseudo import apex_position, pseudo_intensity

METRICS = ("spearman", "mae", "auc")
Curves = Mapping[str, NDArray[np.floating]]  # video_id -> [T]


def label_curve(expressions: pd.DataFrame, n_frames: int) -> NDArray[np.float64]:
    """Return the intensity [T] that the labels of one recording (onset, apex, offset) stand for; the highest where they overlap."""
    curve = np.zeros(n_frames)
    for onset, apex, offset in expressions[["onset", "apex", "offset"]].to_numpy(float):
        tau = (np.arange(n_frames) - onset) / max(offset - onset, 1)
        curve = np.maximum(curve, pseudo_intensity(tau, apex_position(onset, apex, offset)))
    return curve


def auc(values: NDArray[np.floating], inside: NDArray[np.bool_]) -> float:
    """Return P(value inside > value outside) + P(equal) / 2 of ``values`` [T]; NaN if either side is empty.

    Mann and Whitney 1947, doi 10.1214/aoms/1177730491.
    """
    n, m = int(inside.sum()), int((~inside).sum())
    if not n or not m:
        return np.nan
    ranks = stats.rankdata(values)
    return float((ranks[inside].sum() - n * (n + 1) / 2) / (n * m))


def recording_table(
    curves: Mapping[tuple[str, int], Curves],
    expressions: pd.DataFrame,
    subjects: Mapping[str, str],
    truth: Curves | None = None,
) -> pd.DataFrame:
    """Return one row per system, seed, recording and reference: system, seed, subject, video_id, reference and METRICS.

    ``curves``: (system, seed) -> video_id -> values [T] at sampled frames, NaN where there is no face.
    """
    rows: list[dict[str, Any]] = []
    for (system, seed), videos in curves.items():
        for video_id, values in sorted(videos.items()):
            own = expressions[expressions["video_id"] == video_id]
            references = {"triangle": label_curve(own, len(values))}
            if truth and video_id in truth:
                references["true"] = np.asarray(truth[video_id], float)
            seen = np.isfinite(values)
            if not seen.any():
                continue
            inside = _inside(own, len(values))
            facts = {"system": system, "seed": seed, "subject": subjects[video_id], "video_id": video_id}
            area = auc(values[seen], inside[seen])
            for name, reference in references.items():
                found = clip_metrics(values[seen], reference[seen])
                rows.append({**facts, "reference": name, "auc": area, **{m: found[m] for m in ("spearman", "mae")}})
    return pd.DataFrame(rows, columns=["system", "seed", "subject", "video_id", "reference", *METRICS])


def recording_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per system and reference: recordings, seeds and, for each of METRICS, mean, interval and SD over seeds."""
    found: list[dict[str, Any]] = []
    for (system, reference), part in rows.groupby(["system", "reference"], sort=False):
        seeds = part["seed"].nunique()
        scaled = METRICS if system not in UNSCALED else ("spearman", "auc")
        facts = {"system": system, "reference": reference, "recordings": len(part) // seeds, "seeds": seeds}
        found.append({**facts, **mean_columns(part, METRICS, scaled)})
    return pd.DataFrame(found)


def compare_recordings(
    stream_paths: Mapping[tuple[str, int], Sequence[Path | str]], videos_path: Path | str, expressions_path: Path | str,
    out_rows: Path | str, out_summary: Path | str, beside: Beside = Beside(),
) -> None:  # fmt: skip
    """Read streams and what stands beside them; write ``intensity_recordings`` and ``intensity_recording_metrics``.

    ``stream_paths``: (system, seed) -> one file per fold. Of the flow, the magnitude at the lag of macro-expressions.
    """
    listed = store.read_table(videos_path, "videos")
    subjects = dict(listed[["video_id", "subject"]].astype(str).to_numpy().tolist())
    curves: dict[tuple[str, int], Curves] = {
        key: store.read_videos(paths, "stream", "intensity") for key, paths in stream_paths.items()
    }
    for key, others in beside.curves().items():
        curves[key] = {video: curve if curve.ndim == 1 else curve[:, 0] for video, curve in others.items()}
    expressions = store.read_table(expressions_path, "expressions")
    rows = recording_table(curves, expressions, subjects, beside.true_intensity())
    made = provenance.record("intensity_recordings", {}, [path for paths in stream_paths.values() for path in paths])
    store.write_table(out_rows, "intensity_recordings", rows, made)
    store.write_table(out_summary, "intensity_recording_metrics", recording_summary(rows), made)


def _inside(expressions: pd.DataFrame, n_frames: int) -> NDArray[np.bool_]:
    inside = np.zeros(n_frames, bool)
    for onset, offset in expressions[["onset", "offset"]].to_numpy(np.int64):
        inside[max(onset, 0) : offset + 1] = True
    return inside
