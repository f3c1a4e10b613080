"""The report of a run: one HTML page that opens offline, and the same results for the terminal.

``RunFiles`` names the files of a run; all that is shown is read from them. An experiment with several seeds shows the
mean counts of a seed, the ratios of the pooled counts (as ``summary.json``) and the lowest and highest F1, with every
seed below; timelines show its first seed. The tables ``metrics`` and ``matches`` are those of ``pfes.evaluation``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from pfes import figures, store
from pfes.evaluation import COUNTS, NO_SEED, ratios, read_proposals
from pfes.intervals import as_intervals, lengths, runs
from pfes.records import CLASSES

Key = tuple[str, int]  # experiment, seed
RATIOS = ("precision", "recall", "f1")
RESULT_CLASSES = (*CLASSES, "overall")


@dataclass(frozen=True)
class RunFiles:
    """The files of a run; ``proposals`` and ``scores`` are by (experiment, seed), one path per fold or baseline.

    Attributes
    ----------
    faces, snippets, truth : video_id -> file; ``snippets`` adds refusals made after ``faces``, ``truth`` is of the demo
    benchmarks : stage -> benchmark files of Snakemake (tab-separated)
    """

    videos: Path
    expressions: Path
    repairs: Path
    refusals: Path
    metrics: Path
    matches: Path
    proposals: Mapping[Key, Sequence[Path]]
    faces: Mapping[str, Path]
    scores: Mapping[Key, Sequence[Path]] = field(default_factory=dict)
    snippets: Mapping[str, Path] = field(default_factory=dict)
    truth: Mapping[str, Path] = field(default_factory=dict)
    benchmarks: Mapping[str, Sequence[Path]] = field(default_factory=dict)


def write_report(
    files: RunFiles, out: Path | str, *, run: str, demo: bool, settings: Mapping[str, Any] | None = None
) -> None:
    """Write the HTML report of ``run`` to ``out``.

    Parameters
    ----------
    demo : the dataset is the rendered one; the page then says what that proves and what not
    settings : the run's configuration, nested mappings and plain values
    """
    metrics = store.read_table(files.metrics, "metrics")
    videos = store.read_table(files.videos, "videos")
    quality = [video_quality(row, files) for row in figures.rows(videos)]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            demo=demo,
            no_seed=NO_SEED,
            results=summarise(metrics),
            seeds=seeds_of(metrics),
            by_seed=figures.rows(metrics.sort_values(["experiment", "seed"], kind="stable")),
            subjects=_subjects(files, quality),
            curves=_curve_legend(files),
            true_intensity=bool(files.truth),
            quality=quality,
            dataset=dataset_counts(videos, store.read_table(files.expressions, "expressions")),
            repairs=store.read_table(files.repairs, "repairs"),
            refusals=store.read_table(files.refusals, "refusals"),
            stages=_stages(files),
            settings=list(flatten(settings or {})),
            costs=[stage_cost(stage, paths) for stage, paths in files.benchmarks.items() if paths],
        )
    )
    with store.atomic(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def draw_timelines(files: RunFiles, folder: Path | str, suffix: str = ".svg") -> list[Path]:
    """Write one timeline per usable video, ``{video_id}.svg`` (or ``.png``), and return the paths in order."""
    written = []
    for video_id, figure in timelines(files):
        path = Path(folder) / f"{video_id}{suffix}"
        with store.atomic(path) as temporary:
            temporary.write_bytes(figures.png(figure) if suffix == ".png" else figures.svg(figure).encode())
        written.append(path)
    return written


def timelines(files: RunFiles, *, legend: bool = True) -> Iterator[tuple[str, Figure]]:
    """Yield (video_id, Figure) of every usable video, in the order of the table; the first seed of each experiment."""
    expressions = store.read_table(files.expressions, "expressions")
    matches = store.read_table(files.matches, "matches")
    keys = first_seeds(files)
    proposals = {name: read_proposals(files.proposals[name, seed]) for name, seed in keys}
    curves = {name: _intensities(files.scores[name, seed]) for name, seed in keys if (name, seed) in files.scores}
    for video in figures.rows(store.read_table(files.videos, "videos")):
        video_id = video["video_id"]
        if why_refused(video_id, video["refused"], files) is not None:
            continue
        faces = store.read(files.faces[video_id], "faces")
        truth = expressions[expressions["video_id"] == video_id]
        judged = {key[0]: _judged(matches, key, video_id, proposals[key[0]], truth) for key in keys}
        figure = figures.timeline(
            f"{video['subject']} / {video['video']}",
            float(store.attributes(files.faces[video_id], "faces")["fps"]),
            {name: curve[video_id] for name, curve in curves.items() if video_id in curve},
            truth,
            {name: found for name, (found, _) in judged.items()},
            faces["found"] > 0,
            store.read(files.truth[video_id], "truth")["intensity"] if video_id in files.truth else None,
            missed={name: missed for name, (_, missed) in judged.items()},
            legend=legend,
        )
        yield video_id, figure


def results_table(metrics: pd.DataFrame) -> Table:
    """Return the results for the terminal: per experiment and class the counts, precision, recall and F1."""
    several = len(seeds_of(metrics)) > 1
    table = Table(
        box=box.SIMPLE_HEAD, title="Spotting results, strict protocol" + (", mean counts of a seed" if several else "")
    )
    for name in ("experiment", "class"):
        table.add_column(name)
    for name in ("TP", "FP", "FN", "precision", "recall", "F1", *(["F1 lowest to highest"] if several else [])):
        table.add_column(name, justify="right")
    for row in summarise(metrics):
        name = row["experiment"] if row["class"] == RESULT_CLASSES[0] else ""
        numbers = [number(row[key], int(several)) for key in COUNTS] + [number(row[key]) for key in RATIOS]
        spread = f"{row['f1_low']:.3f} to {row['f1_high']:.3f}" if row["n_seeds"] > 1 else "one run"
        table.add_row(
            name, row["class"], *numbers, *([spread] if several else []), end_section=row["class"] == RESULT_CLASSES[-1]
        )
    return table


def summarise(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per experiment and class.

    Each has the mean tp, fp, fn of a seed, precision, recall, f1 of the pooled counts, the number of seeds with the
    lowest and highest f1 (``n_seeds``, ``f1_low``, ``f1_high``), and ``best``: no other experiment has a higher f1 in
    this class.
    """
    found = []
    for name in dict.fromkeys(metrics["experiment"]):
        for kind in RESULT_CLASSES:
            seeds = metrics[(metrics["experiment"] == name) & (metrics["class"] == kind)]
            pooled = ratios(*(int(seeds[key].sum()) for key in COUNTS))
            means = {key: float(seeds[key].mean()) for key in COUNTS}
            spread = {"f1_low": float(seeds["f1"].min()), "f1_high": float(seeds["f1"].max()), "n_seeds": len(seeds)}
            found.append({"experiment": name, "class": kind, **pooled, **means, **spread})
    best = {kind: max((row["f1"] for row in found if row["class"] == kind), default=np.nan) for kind in RESULT_CLASSES}
    return [{**row, "best": row["f1"] > 0 and row["f1"] == best[row["class"]]} for row in found]


def seeds_of(metrics: pd.DataFrame) -> list[int]:
    """Return the seeds of a run; the baseline, which has none, does not count."""
    return sorted(set(metrics["seed"].tolist()) - {NO_SEED})


def number(value: float, digits: int = 3) -> str:
    """Write a number with ``digits`` decimals, a dash for NaN."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "\N{EN DASH}"


def video_quality(video: Mapping[str, Any], files: RunFiles) -> dict[str, Any]:
    """Return the quality row of one video: frames, share with a face, longest gap (frames), inter-ocular px, cuts."""
    row = {"subject": video["subject"], "video": video["video"], "video_id": video["video_id"]}
    row["refused"] = why_refused(video["video_id"], video["refused"], files)
    path = files.faces.get(video["video_id"])
    if path is None or store.refusal(path, "faces") is not None:
        return row
    faces, facts = store.read(path, "faces"), store.attributes(path, "faces")
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
    }


def why_refused(video_id: str, stated: object, files: RunFiles) -> str | None:
    """Return the first reason for which a video was refused: ``stated`` in the table, of its faces or its snippets."""
    if isinstance(stated, str) and stated:
        return stated
    for kind, paths in (("faces", files.faces), ("snippets", files.snippets)):
        reason = store.refusal(paths[video_id], kind) if video_id in paths else None
        if reason is not None:
            return reason
    return None if video_id in files.faces else "no file of faces for this video; rerun rule faces"


def dataset_counts(videos: pd.DataFrame, expressions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per subject: videos, videos without an expression, instances and median duration in frames."""
    rows = []
    for subject, group in videos.groupby("subject", sort=True):
        own = expressions[expressions["subject"] == subject]
        without = int((~group["video_id"].isin(own["video_id"])).sum())
        row: dict[str, Any] = {"subject": subject, "videos": len(group), "without": without}
        for name in ("macro", "micro"):
            of_class = own[own["class"] == name]
            frames = lengths(as_intervals(of_class["onset"], of_class["offset"]))
            row[name], row[f"{name}_frames"] = len(of_class), float(np.median(frames)) if len(frames) else float("nan")
        rows.append(row)
    return rows


def first_seeds(files: RunFiles) -> list[Key]:
    """Return (experiment, lowest seed) of every experiment that has proposals: those with curves first, as given."""
    names = dict.fromkeys(name for name, _ in files.proposals)
    keys = [(name, min(seed for other, seed in files.proposals if other == name)) for name in names]
    return sorted(keys, key=lambda key: key not in files.scores)


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


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value as text) of nested mappings."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("pfes")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    return environment


def _subjects(files: RunFiles, quality: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per subject: its name, the counts of each experiment, and its videos with their timeline or refusal."""
    matches = store.read_table(files.matches, "matches")
    drawn = {
        video_id: Markup(figures.svg(figure, label=f"Timeline of {video_id}", prefix=f"t{index}-"))
        for index, (video_id, figure) in enumerate(timelines(files, legend=False))
    }
    found = []
    for subject in sorted({row["subject"] for row in quality}):
        own = [{**row, "figure": drawn.get(row["video_id"])} for row in quality if row["subject"] == subject]
        mine = matches[matches["video_id"].isin([row["video_id"] for row in own])]
        counts = [{"experiment": name, **_outcomes(mine, (name, seed))} for name, seed in first_seeds(files)]
        found.append({"subject": subject, "counts": counts, "videos": own})
    return found


def _outcomes(matches: pd.DataFrame, key: Key) -> dict[str, int]:
    own = matches[(matches["experiment"] == key[0]) & (matches["seed"] == key[1])]
    proposed, labelled = own["proposal"] >= 0, own["instance"] >= 0
    return {"tp": int((proposed & labelled).sum()), "fp": int((~labelled).sum()), "fn": int((~proposed).sum())}


def _judged(
    matches: pd.DataFrame, key: Key, video_id: str, proposals: pd.DataFrame, truth: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Proposals of one video with the column ``matched``, and the rows of ``truth`` that were missed."""
    own = matches[(matches["experiment"] == key[0]) & (matches["seed"] == key[1]) & (matches["video_id"] == video_id)]
    paired = own[(own["proposal"] >= 0) & (own["instance"] >= 0)]
    mine = proposals[proposals["video_id"] == video_id].reset_index(drop=True)  # ``matches`` counts within the video
    return mine.assign(matched=mine.index.isin(paired["proposal"])), truth[~truth["instance"].isin(paired["instance"])]


def _intensities(paths: Sequence[Path]) -> dict[str, NDArray[np.floating]]:
    return {
        name.split("/", 1)[1]: array
        for path in paths
        for name, array in store.read(path, "scores").items()
        if name.startswith("intensity/")
    }


def _curve_legend(files: RunFiles) -> list[dict[str, str]]:
    """Name, colour and dash pattern of each experiment that has a curve, as ``figures.timeline`` draws it."""
    styles = zip(first_seeds(files), cycle(figures.CURVES))
    return [
        {"name": key[0], "colour": colour, "dashes": dashes} for key, (colour, dashes) in styles if key in files.scores
    ]


def _stages(files: RunFiles) -> list[dict[str, Any]]:
    """Provenance of one file of each stage: stage, command, versions and parameters, in pipeline order."""
    groups = [[files.videos], *(list(paths.values()) for paths in (files.faces, files.snippets))]
    groups += [list(files.scores.get(key, ())) for key in first_seeds(files)]
    groups += [list(files.proposals[key]) for key in first_seeds(files)] + [[files.metrics]]
    found: dict[str, dict[str, Any]] = {}
    for path in (group[0] for group in groups if group):
        origin = store.describe(path)["provenance"]
        found.setdefault(origin["stage"], {**origin, "flat": list(flatten(origin["parameters"]))})
    return [{"name": name, **origin} for name, origin in found.items()]
