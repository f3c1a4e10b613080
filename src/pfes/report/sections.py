"""What each section of the report's page shows: rows for its tables, and the sentences that say what is left out.

Conventions
-----------
A row is a dictionary of plain values. Tables are those of ``pfes.evaluation.metrics`` and ``pfes.evaluation.analysis``; counts of a video or
subject are of the first seed of each experiment, in the order of ``RunFiles.first_seeds``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pfes.base import store
from pfes.drawing import figures
from pfes.drawing.experiment_data import with_clicks
from pfes.evaluation.caution import cautions, own_subjects
from pfes.evaluation.counts import COUNTS, ratios
from pfes.evaluation.metrics import read_proposals
from pfes.report.files import Key, RunFiles
from pfes.report.parameters import ReportParameters
from pfes.report.tables import number
from pfes.report.views import pack

Row = dict[str, Any]


def count_of(counts: pd.DataFrame, key: Key, video_id: str) -> list[int]:
    """Return [tp, fp, fn] of a video; zeros where nothing was labelled or proposed."""
    place = (key[0], video_id)
    return counts[COUNTS].to_numpy()[counts.index.get_loc(place)].tolist() if place in counts.index else [0, 0, 0]


def worst_first(video_ids: Sequence[str], counts: pd.DataFrame, keys: Sequence[Key]) -> list[str]:
    """Return the videos by their mistakes of the first experiment, most first; ties stay in order."""
    if not keys:
        return list(video_ids)
    return sorted(video_ids, key=lambda video_id: -sum(count_of(counts, keys[0], video_id)[1:]))


def protocol(metrics: Path) -> Row:
    """Return the name, IoU and level of intervals (text) of the evaluation that made the table ``metrics``."""
    parameters = store.describe(metrics)["provenance"]["parameters"]
    return {
        "name": parameters["protocol"],
        "iou": parameters["iou"],
        "review_s": parameters["review_s"],
        "level": f"{100 * parameters['bootstrap']['level']:g} %",
    }


def facts(
    quality: Sequence[Row], expressions: pd.DataFrame, results: Sequence[Row], intervals: pd.DataFrame | None
) -> list[tuple[str, str, str]]:
    """Return (name, value, note) of the tiles on top of the page."""
    seconds = sum(row["frames"] / row["fps"] for row in quality if "frames" in row)
    length = f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    refused = sum(row["refused"] is not None for row in quality)
    without = sum(row["labelled"] == 0 for row in quality)
    facts = [
        ("videos", f"{len(quality)}", f"{refused} refused, {without} without a label"),
        ("recorded", length, f"{sum(row.get('frames', 0) for row in quality):,} sampled frames"),
        ("macro", str(int((expressions["class"] == "macro").sum())), "labelled instances"),
        ("micro", str(int((expressions["class"] == "micro").sum())), "labelled instances"),
    ]
    overall = [row for row in with_intervals(results, intervals) if row["class"] == "overall"]
    for row in overall[:3]:
        note = f"{row['low']:.3f} to {row['high']:.3f}" if "low" in row else "both classes together"
        facts.append((f"F1, {row['experiment']}", number(row["f1"]), note))
    return facts


def cautions_of(run: Path) -> list[str]:
    """Return ``run_cautions`` of the tables of a run folder."""
    tables = {
        name: store.read_table(run / f"dataset/{name}.parquet", name) for name in ("videos", "expressions", "clicks")
    }
    return run_cautions(tables["videos"], with_clicks(tables["expressions"], tables["clicks"]))


def run_cautions(videos: pd.DataFrame, expressions: pd.DataFrame) -> list[str]:
    """Return what limits the figures of the run, from its videos and labelled expressions, clicks among them."""
    subjects = videos.loc[videos["video_id"].isin(expressions["video_id"]), "subject"].nunique()
    pairs = zip(videos["subject"], videos["video"], strict=True)
    return [*cautions(subjects, expressions["class"]), *own_subjects(pairs)]


def with_intervals(results: Sequence[Row], intervals: pd.DataFrame | None) -> list[Row]:
    """Return ``results`` with the bounds ``low`` and ``high`` where the table of intervals has them."""
    bounds = {(row["experiment"], row["class"]): row for row in figures.rows(intervals)}
    found = []
    for row in results:
        bound = bounds.get((row["experiment"], row["class"]))
        found.append(row if bound is None else {**row, "low": bound["low"], "high": bound["high"]})
    return found


def clicks_found(table: pd.DataFrame | None) -> list[Row]:
    """Return the rows of what was found of the clicks, figures written with their intervals; none of a class never labelled."""
    found = []
    for row in figures.rows(table):
        if row["clicks"]:
            told = {name: _told(row, name) for name in ("recall", "proposals_per_minute", "unmatched_per_minute")}
            ends = {name: _told(row, name) for name in ("onset_error_s", "offset_error_s")}
            saved = row["saved_80"]
            share = f"{saved:.0%}" if np.isfinite(saved) else "\N{EN DASH}"
            found.append({**row, **told, **ends, "found": f"{row['found']:g}", "saved": share})
    return found


def _told(row: Row, name: str) -> str:
    if not np.isfinite(row[name]):
        return "\N{EN DASH}"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:.2f}" + (f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else "")


def differences(table: pd.DataFrame | None) -> list[Row]:
    """Return the rows of the comparison of experiments, numbers written with their sign."""
    return [
        {
            **row,
            "pair": f"{row['second']} minus {row['first']}",
            "interval": f"{row['low']:+.3f} to {row['high']:+.3f}",
            "difference": f"{row['difference']:+.3f}",
        }
        for row in figures.rows(table)
    ]


def protocols(table: pd.DataFrame | None) -> Row | None:
    """Return rows and columns of the protocol table, our rows first; ``published`` says whether others stand below."""
    if table is None or table.empty:
        return None
    kinds = [("macro", "macro F1", "n"), ("micro", "micro F1", "n"), ("overall", "overall F1", "n")]
    columns = [("source", "method", ""), ("protocol", "protocol", ""), ("epochs", "epochs", ""), *kinds]
    published = table["published"].astype(bool)
    rows = [
        {**row, "protocol": f"as published, {row['supervision']}"} if row["published"] else row
        for row in figures.rows(table)
    ]
    return {"rows": rows, "columns": columns, "published": bool(published.any())}


def errors(table: pd.DataFrame | None, files: RunFiles, matches: pd.DataFrame, keys: Sequence[Key]) -> pd.DataFrame:
    """Return every missed instance and false positive of the first seeds; without an analysis of errors, from the matches alone."""
    columns = [
        "experiment",
        "subject",
        "video_id",
        "class",
        "instance",
        "proposal",
        "kind",
        "cause",
        "onset",
        "offset",
        "apex",
    ]
    if table is not None:
        wanted = [first_seed_rows(table, key) for key in keys]
        return pd.concat(wanted)[columns] if wanted else pd.DataFrame(columns=columns)
    expressions = files.labelled()
    parts = []
    for key in keys:
        own = first_seed_rows(matches, key)
        missed = own[own["proposal"] < 0].drop(columns=["video_id", "class", "subject"])
        missed = missed.merge(expressions, on="instance", how="left").assign(kind="missed", cause="")
        proposals = read_proposals(files.proposals[key])
        proposals = proposals.assign(proposal=proposals.groupby("video_id", sort=False).cumcount())
        false = own[own["instance"] < 0].drop(columns=["class", "subject"])
        false = false.merge(proposals, on=["video_id", "proposal"], how="left").assign(kind="false alarm", cause="")
        parts += [part[columns] for part in (missed, false) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def first_seed_rows(table: pd.DataFrame, key: Key) -> pd.DataFrame:
    """Return the rows of one experiment and seed."""
    return table[(table["experiment"] == key[0]) & (table["seed"] == key[1])]


def error_tables(errors: pd.DataFrame, keys: Sequence[Key], quality: Sequence[Row]) -> Row:
    """Return the number of errors by kind and experiment, and the list that the page's filter works on."""
    names = [name for name, _ in keys]
    kinds = list(dict.fromkeys(errors["kind"]))
    place = {row["video_id"]: index for index, row in enumerate(quality)}
    number_of = {name: index for index, name in enumerate(names)}
    rows = [
        [number_of[row["experiment"]], row["kind"], row["cause"] or "", row["class"], place[row["video_id"]], int(row["onset"]), int(row["offset"])]
        for row in figures.rows(errors)
    ]  # fmt: skip
    table = []
    for kind in kinds:
        here = errors[errors["kind"] == kind]
        table.append(
            {"kind": kind, "counts": [_with_causes(here[here["experiment"] == name]["cause"]) for name in names]}
        )
    return {
        "error_kinds": kinds,
        "error_table": table,
        "error_causes": bool((errors["cause"] != "").any()),
        "errors_packed": pack(rows),
    }


def _with_causes(causes: pd.Series) -> str:
    named = causes[causes != ""].value_counts(sort=False).sort_index()
    text = ", ".join(f"{cause} {count}" for cause, count in named.items())
    return f"{len(causes)} ({text})" if text else str(len(causes))


def subject_rows(quality: Sequence[Row], keys: Sequence[Key]) -> list[Row]:
    """Return one row per subject: videos, labelled instances, counts and F1 of each experiment (NaN: of nothing)."""
    rows = []
    for subject in sorted({row["subject"] for row in quality}):
        own = [row for row in quality if row["subject"] == subject]
        counts = [np.sum([row["counts"][index] for row in own], axis=0).tolist() for index in range(len(keys))]
        labelled = sum(row["labelled"] for row in own)
        empty = [labelled == 0 and sum(count) == 0 for count in counts]
        scored = [
            ratios(*count) | ({"f1": float("nan")} if none else {}) for count, none in zip(counts, empty, strict=True)
        ]
        rows.append({"subject": subject, "videos": len(own), "labelled": labelled, "counts": scored})
    return rows


def limits(
    order: Sequence[str],
    pictures: Mapping[str, Sequence[Row]],
    faces: bool,
    params: ReportParameters,
) -> str:
    """Say what the page leaves out."""
    said = []
    if len(order) > params.max_flow_videos:
        said.append(f"ROI flow is kept for the {params.max_flow_videos} videos with the most mistakes.")
    if len(order) > params.max_timelines:
        said.append(f"The folder timelines holds the {params.max_timelines} videos with the most mistakes.")
    if faces and sum(map(len, pictures.values())) >= params.max_thumbnails:
        said.append(f"Faces are shown at {params.max_thumbnails} frames, of the videos with the most mistakes first.")
    return " ".join(said)


def index(quality: Sequence[Row], keys: Sequence[Key], order: Sequence[str], params: ReportParameters) -> Row:
    """Return what the page's script must know of all videos."""
    videos = [
        {
            "id": row["video_id"], "subject": row["subject"], "name": row["video"], "refused": row["refused"],
            "fps": row.get("fps"), "counts": row["counts"],
        }
        for row in quality
    ]  # fmt: skip
    limited = len(order) > params.max_flow_videos
    note = f"ROI flow is kept for the {params.max_flow_videos} videos with the most mistakes; this is none of them."
    return {
        "experiments": [name for name, _ in keys],
        "videos": videos,
        "thumbnail": params.thumbnail_px,
        "flow_note": note if limited else "",
    }
