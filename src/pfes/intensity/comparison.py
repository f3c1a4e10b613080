"""The table of continuous intensity: every system and reference, on the same clips.

Rows
----
systems        curves of the held-out subjects, one per clip and seed
GIM            the intensity branch of a spotting experiment, held-out fold, at the frames of the clip
flow           magnitude of the ROI flow (feature difference of ``baseline``) at the frames of the clip
position       the mean triangle of the clips of the other subjects at each step: what the position in the clip alone
               tells. A system that does no better has read nothing from the face.

published      what [W25] prints for its full system on this very dataset (``intensity.of``), against its own triangle

References
----------
triangle       the pseudo-intensity that the labels give, which [W25] reports against: what systems were trained on
true           rendered intensity, where the dataset has it (demo): independent of every label

Each row: Spearman, Kendall, mean absolute error per clip, averaged over clips and seeds, with a 95 % interval over
subjects (bootstrap), and the standard deviation over seeds. GIM and flow have another scale: their error is not given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from pfes.base import provenance, store
from pfes.base.records import CLASSES
from pfes.intensity.metrics import bootstrap_mean, clip_metrics
from pfes.methods.baseline import BaselineParameters, class_magnitudes

METRICS = ("spearman", "kendall", "mae")
CLIP_KEY = ["subject", "video_id", "instance"]
PUBLISHED = {"samm": {"spearman": 0.9014, "kendall": 0.7999}, "casme_ii": {"spearman": 0.9116, "kendall": 0.8168}}
UNSCALED = ("GIM", "flow")  # only their order means something


def clip_table(
    curves: Mapping[tuple[str, int], pd.DataFrame],
    truth: Mapping[str, np.ndarray] | None = None,
    others: Mapping[tuple[str, int], Mapping[str, np.ndarray]] | None = None,
) -> pd.DataFrame:
    """Return the metrics of every clip.

    Parameters
    ----------
    curves : (system, seed) -> table of kind ``intensity_curves``.
    truth : video_id -> known intensity [T] at sampled frames.
    others : (name, seed) -> video_id -> curve [T] or [T, 2] (one per class) at sampled frames.

    Returns
    -------
    One row per system, seed, clip and reference: system, seed, subject, video_id, instance, class, reference,
    spearman, kendall, mae, constant.
    """
    rows: list[dict[str, Any]] = []
    for (system, seed), table in curves.items():
        rows += _rows(system, seed, table, table["predicted"].to_numpy(float), truth)
    table = next(iter(curves.values()))
    rows += _rows("position", 0, table, position_curve(table), truth)
    for (name, seed), videos in (others or {}).items():
        rows += _rows(name, seed, table, _sampled(table, videos), truth)
    return pd.DataFrame(rows)


def position_curve(table: pd.DataFrame) -> np.ndarray:
    """Return, for each row of ``table``, the mean triangle at its step over the clips of all other subjects."""
    mean = np.full(len(table), np.nan)
    for subject in table["subject"].unique():
        own = (table["subject"] == subject).to_numpy()
        others = table[~own].groupby("step")["triangle"].mean()
        mean[own] = table.loc[own, "step"].map(others)
    return mean


def _sampled(table: pd.DataFrame, videos: Mapping[str, np.ndarray]) -> np.ndarray:
    values = np.full(len(table), np.nan)
    for (video_id, label), part in table.groupby(["video_id", "class"]):
        curve = videos.get(str(video_id))
        if curve is None:
            continue
        curve = curve[:, CLASSES.index(str(label))] if curve.ndim == 2 else curve
        frames = part["frame"].to_numpy(np.float64)
        values[table.index.get_indexer(part.index)] = np.interp(frames, np.arange(len(curve)), curve)
    return values


def _rows(
    system: str, seed: int, table: pd.DataFrame, values: np.ndarray, truth: Mapping[str, np.ndarray] | None
) -> list[dict[str, Any]]:
    references = {"triangle": table["triangle"].to_numpy(float)}
    if truth:
        references["true"] = _sampled(table, truth)
    rows = []
    for _, index in table.reset_index(drop=True).groupby(CLIP_KEY, sort=True).groups.items():
        at = index.to_numpy()
        first = table.iloc[at[0]]
        for name, reference in references.items():
            if np.isfinite(values[at]).all() and np.isfinite(reference[at]).all():
                facts = {"system": system, "seed": seed, **{key: first[key] for key in (*CLIP_KEY, "class")}}
                rows.append({**facts, "reference": name, **clip_metrics(values[at], reference[at])})
    return rows


def summary_table(clips: pd.DataFrame) -> pd.DataFrame:
    """Return one row per system, reference and class (``all`` included) of the output of ``clip_table``.

    Columns: system, reference, class, clips, seeds, and for each metric its mean, ``_low``, ``_high`` (95 % over
    subjects) and ``_seed_sd``; ``constant`` is the number of clips with a constant prediction, per seed.
    """
    rows = []
    everything = pd.concat([clips, clips.assign(**{"class": "all"})])
    for (system, reference, label), part in everything.groupby(["system", "reference", "class"], sort=False):
        seeds = part["seed"].nunique()
        row: dict[str, Any] = {"system": system, "reference": reference, "class": label}
        row |= {"clips": len(part) // seeds, "seeds": seeds, "constant": part["constant"].sum() / seeds}
        scaled = METRICS if system not in UNSCALED else ("spearman", "kendall")
        rows.append({**row, **mean_columns(part, METRICS, scaled)})
    return pd.DataFrame(rows)


def published_row(dataset: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return the row of ``summary_table`` that [W25] prints for ``dataset``; what it does not print is NaN."""
    said = {"system": "published", "reference": "triangle", "class": "all", "clips": 0, "seeds": 0, "constant": 0.0}
    return pd.DataFrame([{**dict.fromkeys(columns, np.nan), **said, **PUBLISHED[dataset]}])


def mean_columns(part: pd.DataFrame, metrics: Sequence[str], scaled: Sequence[str]) -> dict[str, float]:
    """Return mean, ``_low`` and ``_high`` (95 % over subjects) and ``_seed_sd`` of ``metrics``; NaN for one not ``scaled``."""
    found: dict[str, float] = {}
    several = part["seed"].nunique() > 1
    for metric in metrics:
        values = part[metric].to_numpy(float) if metric in scaled else np.full(len(part), np.nan)
        found[metric] = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
        found[f"{metric}_low"], found[f"{metric}_high"] = bootstrap_mean(values, part["subject"].to_numpy())
        per_seed = part.assign(value=values).groupby("seed")["value"].mean()
        found[f"{metric}_seed_sd"] = float(per_seed.std(ddof=1)) if several and metric in scaled else np.nan
    return found


@dataclass(frozen=True)
class Beside:
    """The files of what stands beside continuous intensity.

    Attributes
    ----------
    truth : video_id -> file of kind ``truth``, of rendered videos.
    scores : seed -> GIM's scores.h5 of each fold.
    snippets : video_id -> file of kind ``snippets``.
    baseline : how the magnitude of their flow is measured.
    """

    truth: Mapping[str, Path | str] = field(default_factory=dict)
    scores: Mapping[int, Sequence[Path | str]] = field(default_factory=dict)
    snippets: Mapping[str, Path | str] = field(default_factory=dict)
    baseline: BaselineParameters = BaselineParameters()

    def true_intensity(self) -> dict[str, np.ndarray]:
        """Return video_id -> the rendered intensity [T]."""
        return {video: store.read(path, "truth")["intensity"] for video, path in self.truth.items()}

    def magnitude(self, video: str) -> np.ndarray:
        """Return the flow magnitude [T, 2] of a video, px, one per class."""
        return class_magnitudes(store.read(self.snippets[video], "snippets")["snippets"], self.baseline)

    def curves(self) -> dict[tuple[str, int], dict[str, np.ndarray]]:
        """Return GIM's intensity [T] by seed, and the flow magnitude [T, 2] of the videos that were not refused."""
        found: dict[tuple[str, int], dict[str, np.ndarray]] = {
            ("GIM", seed): store.read_videos(paths, "scores", "intensity") for seed, paths in self.scores.items()
        }
        if self.snippets:
            usable = [video for video, path in self.snippets.items() if store.refusal(path, "snippets") is None]
            found["flow", 0] = {video: self.magnitude(video) for video in usable}
        return found


def score_curves(
    curve_paths: Mapping[tuple[str, int], Sequence[Path | str]],
    out_clips: Path | str,
    out_summary: Path | str,
    beside: Beside = Beside(),
    *,
    dataset: str | None = None,
) -> None:
    """Read curves and what stands beside them, and write the tables ``intensity_clips`` and ``intensity_metrics``.

    ``curve_paths``: (system, seed) -> one file per fold. ``dataset``: key of PUBLISHED, whose figures stand in the summary.
    """
    curves = {
        key: pd.concat([store.read_table(path, "intensity_curves") for path in paths], ignore_index=True)
        for key, paths in curve_paths.items()
    }
    clips = clip_table(curves, beside.true_intensity(), beside.curves())
    inputs = [path for paths in curve_paths.values() for path in paths]
    made = provenance.record("intensity_compare", {}, inputs)
    store.write_table(out_clips, "intensity_clips", clips, made)
    summary = summary_table(clips)
    theirs = [] if dataset is None else [published_row(dataset, [str(name) for name in summary.columns])]
    rows = pd.concat([summary, *theirs], ignore_index=True)
    store.write_table(out_summary, "intensity_metrics", rows, made)


def rich_table(rows: pd.DataFrame, metrics: Mapping[str, str], title: str) -> Table:
    """Return ``rows`` of a summary as a table for the terminal: ``metrics`` (column -> heading), the first with its interval."""
    first = next(iter(metrics))
    table = Table("system", "against", metrics[first], "95 %", *list(metrics.values())[1:], "seeds", title=title)
    for row in rows.to_dict("records"):
        means = ["" if np.isnan(row[metric]) else f"{row[metric]:.3f}" for metric in metrics]
        interval = "" if np.isnan(row[f"{first}_low"]) else f"{row[f'{first}_low']:.2f} to {row[f'{first}_high']:.2f}"
        table.add_row(
            str(row["system"]), str(row["reference"]), means[0], interval, *means[1:], str(row["seeds"] or "")
        )
    return table
