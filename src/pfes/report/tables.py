"""The tables of a run's report: results for page and terminal, quality, dataset, cost and provenance.

Conventions
-----------
An experiment with several seeds shows the mean counts of a seed, the ratios of the pooled counts (as ``summary.json``)
and the lowest and highest F1. The tables ``metrics`` and ``matches`` are those of ``pfes.evaluation.metrics``. Frames are
sampled frames.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from pfes.base import store
from pfes.base.intervals import as_intervals, lengths, runs
from pfes.base.records import CLASSES, RESULT_CLASSES
from pfes.evaluation.counts import COUNTS, ratios
from pfes.evaluation.metrics import NO_SEED
from pfes.report.files import Key, RunFiles

TABLES = (
    "videos",
    "expressions",
    "repairs",
    "refusals",
    "metrics",
    "matches",
)  # the tables of a run that RunFiles names
RATIOS = ("precision", "recall", "f1")
OF_CLICKS = ("clicks_found", "review", "click_matches")  # kinds of tables that count clicks


def results_table(metrics: pd.DataFrame, protocol: str = "strict") -> Table:
    """Return the results for the terminal: per experiment and class the counts, precision, recall and F1."""
    several = len(seeds_of(metrics)) > 1
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        title=f"Spotting results, {protocol} protocol"
        + (", mean counts and range of F1 over seeds" if several else ""),
    )
    for name in ("experiment", "class"):
        table.add_column(name, no_wrap=True)
    for name in ("TP", "FP", "FN", "prec.", "recall", "F1", *(["range"] if several else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for row in result_rows(metrics):
        name = row["experiment"] if row["class"] == RESULT_CLASSES[0] else ""
        numbers = [number(row[key], int(several)) for key in COUNTS] + [number(row[key]) for key in RATIOS]
        spread = f"{row['f1_low']:.3f}-{row['f1_high']:.3f}" if row["n_seeds"] > 1 else "one run"
        table.add_row(
            name, row["class"], *numbers, *([spread] if several else []), end_section=row["class"] == RESULT_CLASSES[-1]
        )
    return table


def clicks_table(found: pd.DataFrame) -> Table:
    """Return what is found of the clicks for the terminal; the table is ``clicks_found`` of pfes.evaluation.clicks."""
    recorded = number(found["recorded_minutes"].max(), 1)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        title=f"Clicks found, proposals per minute, minutes of review to recall .8 of {recorded}",
    )
    for name in ("experiment", "class"):
        table.add_column(name, no_wrap=True)
    for name in ("found", "recall", "interval", "per min", "false", "to .8"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.to_dict("records"):
        name = row["experiment"] if row["class"] == RESULT_CLASSES[0] else ""
        bounds = f"{row['recall_low']:.2f}-{row['recall_high']:.2f}" if np.isfinite(row["recall_low"]) else ""
        rates = [number(row[key], 1) for key in ("proposals_per_minute", "unmatched_per_minute", "minutes_80")]
        count = f"{row['found']:.3g}/{row['clicks']}"
        end = row["class"] == RESULT_CLASSES[-1]
        table.add_row(name, row["class"], count, number(row["recall"]), bounds, *rates, end_section=end)
    return table


def result_rows(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per experiment and class.

    Each has the mean tp, fp, fn of a seed, precision, recall, f1 of the pooled counts, the number of seeds with the
    lowest and highest f1 (``n_seeds``, ``f1_low``, ``f1_high``), and ``best``: no other experiment has a higher f1 in
    this class. Of a class that has no instance recall and f1 are NaN.
    """
    metrics = undefined(metrics)
    found = []
    for name in dict.fromkeys(metrics["experiment"]):
        for kind in RESULT_CLASSES:
            seeds = metrics[(metrics["experiment"] == name) & (metrics["class"] == kind)]
            pooled = ratios(*(int(seeds[key].sum()) for key in COUNTS))
            if seeds["f1"].isna().any():
                pooled |= {"recall": np.nan, "f1": np.nan}
            means = {key: float(seeds[key].mean()) for key in COUNTS}
            spread = {"f1_low": float(seeds["f1"].min()), "f1_high": float(seeds["f1"].max()), "n_seeds": len(seeds)}
            found.append({"experiment": name, "class": kind, **pooled, **means, **spread})
    best = {kind: max((row["f1"] for row in found if row["class"] == kind), default=0) for kind in RESULT_CLASSES}
    return [{**row, "best": row["f1"] > 0 and row["f1"] == best[row["class"]]} for row in found]


def undefined(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return ``metrics`` with recall and f1 NaN where no instance is there: 0 would say that some were missed."""
    absent = metrics["tp"] + metrics["fn"] == 0
    return metrics.assign(**{key: metrics[key].mask(absent) for key in ("recall", "f1")})


def present(kind: str, table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table of statistics without those of classes that have no instance.

    Tables of clicks are whole: an expression of which one frame is known is no instance.
    """
    if "class" not in table or kind in OF_CLICKS:
        return table
    labelled = metrics.assign(labelled=metrics["tp"] + metrics["fn"]).groupby("class")["labelled"].max()
    return table[~table["class"].isin(labelled.index[labelled == 0])]


def seeds_of(metrics: pd.DataFrame) -> list[int]:
    """Return the seeds of a run; the baseline, which has none, does not count."""
    return sorted(set(metrics["seed"].tolist()) - {NO_SEED})


def number(value: float, digits: int = 3) -> str:
    """Write a number with ``digits`` decimals, a dash for NaN."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "\N{EN DASH}"


def outcome_counts(matches: pd.DataFrame, keys: Sequence[Key]) -> pd.DataFrame:
    """Return tp, fp, fn (columns) per experiment and video_id (index), of the given (experiment, seed) only."""
    wanted = pd.MultiIndex.from_tuples(keys, names=["experiment", "seed"])
    own = matches[pd.MultiIndex.from_frame(matches[["experiment", "seed"]]).isin(wanted)]
    proposed, labelled = own["proposal"] >= 0, own["instance"] >= 0
    kinds = {"tp": proposed & labelled, "fp": ~labelled, "fn": ~proposed}
    return own[["experiment", "video_id"]].assign(**kinds).groupby(["experiment", "video_id"]).sum().astype(int)


def video_quality(video: Mapping[str, Any], files: RunFiles) -> dict[str, Any]:
    """Return the quality row of one video: frames, share with a face, longest gap (frames), inter-ocular px, cuts, unusable."""
    row = {"subject": video["subject"], "video": video["video"], "video_id": video["video_id"]}
    row["refused"] = files.why_refused(video["video_id"], video["refused"])
    if video["video_id"] not in files.faces or files.face(video["video_id"]).refused is not None:
        return row
    faces, facts, _ = files.face(video["video_id"])
    found = faces["found"] > 0
    return {
        **row,
        "frames": len(found),
        "fps": float(facts["fps"]),
        "share": float(found.mean()),
        "gap": int(lengths(runs(~found)).max(initial=0)),
        "gaps": len(runs(~found)),
        "interocular": float(np.mean(faces["interocular"], where=found)) if found.any() else float("nan"),
        "cuts": facts.get("cuts"),
        "unusable": sum(int(facts.get(state, 0)) for state in ("profile", "tiny", "unreadable", "missing")),
    }


def dataset_counts(videos: pd.DataFrame, expressions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per subject: videos, videos without an expression, instances and median duration in frames."""
    rows = []
    for subject, group in videos.groupby("subject", sort=True):
        own = expressions[expressions["subject"] == subject]
        without = int((~group["video_id"].isin(own["video_id"])).sum())
        row: dict[str, Any] = {"subject": subject, "videos": len(group), "without": without}
        for name in CLASSES:
            of_class = own[own["class"] == name]
            frames = lengths(as_intervals(of_class["onset"], of_class["offset"]))
            row[name], row[f"{name}_frames"] = len(of_class), float(np.median(frames)) if len(frames) else float("nan")
        rows.append(row)
    return rows


def stage_cost(stage: str, paths: Sequence[Path]) -> dict[str, Any]:
    """Return jobs, total and longest wall time (s) and peak memory (MiB) of a stage from Snakemake's benchmarks."""
    table = pd.concat([pd.read_csv(path, sep="\t", na_values="-") for path in paths], ignore_index=True)
    seconds, memory = table["s"].astype(float), table["max_rss"].astype(float)
    return {
        "stage": stage,
        "jobs": len(table),
        "total": seconds.sum(),
        "longest": seconds.max(),
        "memory": memory.max(),
    }


def stage_origins(files: RunFiles) -> list[dict[str, Any]]:
    """Return the provenance of one file of each stage: name, command, versions, parameters, in pipeline order."""
    keys = files.first_seeds()
    groups = [[files.videos], *(list(paths.values()) for paths in (files.faces, files.snippets))]
    groups += [list(files.scores.get(key, ())) for key in keys]
    groups += [list(files.proposals[key]) for key in keys] + [[files.metrics]]
    found: dict[str, dict[str, Any]] = {}
    for path in (group[0] for group in groups if group):
        origin = store.describe(path)["provenance"]
        found.setdefault(origin["stage"], {**origin, "flat": list(flatten(origin["parameters"]))})
    return [{"name": name, **origin} for name, origin in found.items()]


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value as text) of nested mappings."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)
