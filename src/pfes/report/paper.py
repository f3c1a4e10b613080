"""Figures and tables of a run as files for a paper: SVG and PDF, CSV and LaTeX.

Conventions
-----------
``figures/{name}.svg`` and ``.pdf`` are the charts of the report; ``tables/{name}.csv`` and ``.tex`` its tables. A CSV
holds every digit; LaTeX has three decimals, booktabs rules and a label ``tab:{name}``. Same run, same bytes.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pfes.base import store
from pfes.drawing import plotting
from pfes.drawing.charts import charts
from pfes.evaluation.counts import COUNTS
from pfes.evaluation.metrics import NO_SEED, read_proposals
from pfes.report.files import RunFiles
from pfes.report.tables import dataset_counts, present, result_rows, stage_cost, undefined

CAPTIONS = {
    "results": "Spotting results: counts (means of a seed) and ratios of the pooled counts.",
    "seeds": "Spotting results of every seed.",
    "intervals": "F1 with bootstrap intervals over subjects.",
    "differences": "Differences of F1 between experiments, paired over subjects.",
    "protocol_table": "F1 of the same predictions under every protocol; strict is the result.",
    "by_iou": "F1 over the IoU that a match needs.",
    "recall_by": "Recall by groups of instances.",
    "apex_errors": "Error of the apex of found instances.",
    "dataset": "Videos and labelled instances per subject; durations are medians in sampled frames.",
    "cost": "Cost of each stage.",
}
LONG = ("errors", "precision_recall", "proposals")  # as CSV only


def write_paper(files: RunFiles, folder: Path | str) -> list[Path]:
    """Write the figures and tables of a run below ``folder`` and return their paths in order."""
    folder = Path(folder)
    metrics = store.read_table(files.metrics, "metrics")
    statistics = {kind: present(kind, store.read_table(path, kind), metrics) for kind, path in files.statistics.items()}
    written = []
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for chart in charts(statistics):
        written.append(
            _write(folder / "figures" / f"{chart.name}.svg", plotting.svg(chart.figure, label=chart.caption).encode())
        )
        written.append(_write(folder / "figures" / f"{chart.name}.pdf", plotting.pdf(chart.figure)))
    for name, table in paper_tables(files, statistics).items():
        written.append(_write(folder / "tables" / f"{name}.csv", table.to_csv(index=False).encode()))
        if name not in LONG:
            written.append(_write(folder / "tables" / f"{name}.tex", latex(table, name).encode()))
    return written


def paper_tables(files: RunFiles, statistics: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables by name: results, seeds, dataset, cost, and those of rule ``evaluate``."""
    metrics = store.read_table(files.metrics, "metrics")
    videos, expressions = store.read_table(files.videos, "videos"), store.read_table(files.expressions, "expressions")
    costs = [stage_cost(stage, paths) for stage, paths in files.benchmarks.items() if paths]
    tables = {
        "results": _results(metrics, statistics.get("intervals")),
        "seeds": undefined(metrics),
        "proposals": _proposals(files),
        "dataset": pd.DataFrame(dataset_counts(videos, expressions)),
        "cost": pd.DataFrame(costs),
        **statistics,
    }
    return {name: table for name, table in tables.items() if len(table)}


def _results(metrics: pd.DataFrame, intervals: pd.DataFrame | None) -> pd.DataFrame:
    """Return the results with the interval of F1 over subjects (low, high), and the spread of seeds where there are several."""
    table = pd.DataFrame(result_rows(metrics)).drop(columns="best", errors="ignore")
    if len(table) and table["n_seeds"].max() == 1:
        table = table.drop(columns=["f1_low", "f1_high", "n_seeds"])
    if len(table) and intervals is not None and len(intervals):
        table = table.merge(intervals[["experiment", "class", "low", "high"]], on=["experiment", "class"], how="left")
    return table


def _proposals(files: RunFiles) -> pd.DataFrame:
    """Return the proposals of all experiments, seeds and folds in one table."""
    tables = [
        read_proposals(paths).assign(experiment=name, seed="" if seed == NO_SEED else seed)
        for (name, seed), paths in files.proposals.items()
    ]
    found = pd.concat([table for table in tables if len(table)] or tables[:1] or [pd.DataFrame()], ignore_index=True)
    return (
        found[["experiment", "seed", *(name for name in found if name not in ("experiment", "seed"))]]
        if len(found)
        else found
    )


def latex(table: pd.DataFrame, name: str) -> str:
    """Return ``table`` as a LaTeX table (package booktabs); whatever LaTeX gives a meaning to is escaped."""
    counts = {column: _count for column in COUNTS if column in table}
    caption = CAPTIONS.get(name, name.replace("_", " "))
    return table.to_latex(
        index=False,
        float_format="%.3f",
        formatters=counts,
        escape=True,
        na_rep="--",
        caption=caption,
        label=f"tab:{name}",
        position="t",
    )


def _count(value: float) -> str:
    """Return a count, or the mean of some with one decimal."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


def _write(path: Path, content: bytes) -> Path:
    with store.atomic(path) as temporary:
        temporary.write_bytes(content)
    return path
