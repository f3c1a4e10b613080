"""The tables of the ICLR 2025 paper of P-FES, rows and columns as printed, filled with the figures of a run.

Each table is a group of experiments of its name (``experiments=table2``). F1 is that of the run's protocol, from counts
pooled over folds and seeds. Published figures stand beside it only where the run is on the very dataset that they are of.

Table 3 prints which of GIM and the contrastive loss (IAC) are used; without GIM the label is 1 on the same range (ours: the
paper does not say what labels its other rows had).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pfes.base.records import RESULT_CLASSES
from pfes.evaluation.protocol_table import published

YES, NO = "x", ""


@dataclass(frozen=True)
class Row:
    """One row: what its first columns say, the experiment, and the published overall F1 by dataset, where it is known."""

    cells: tuple[str, ...]
    experiment: str
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PaperTable:
    """A table: its title, the heads of the first columns, and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


GIM = {"samm_lv": 0.3587, "casme2": 0.4000}
TABLES: Mapping[str, PaperTable] = {
    "table1": PaperTable(
        "Table 1: methods",
        ("method", "labels"),
        (
            Row(("SpotFormer (here)", "full"), "supervised"),
            Row(("LAC (here)", "point"), "lac"),
            Row(("HR-Pro, stage 1 alone (here)", "point"), "hrpro_stage1"),
            Row(("HR-Pro (here)", "point"), "hrpro"),
            Row(("TSP-Net (here)", "point"), "tsp"),
            Row(("GIM, released code (here)", "point"), "as_released"),
            Row(("GIM, journal (here)", "point"), "journal"),
            Row(("GIM (here)", "point"), "conference"),
        ),
    ),
    "table2": PaperTable(
        "Table 2: pseudo-labels",
        ("pseudo-label",),
        (
            Row(("hard",), "conference_labels_hard"),
            Row(("cosine",), "conference_labels_cosine"),
            Row(("class-wise",), "conference_labels_class_wise"),
            Row(("GIM",), "conference", GIM),
        ),
    ),
    "table3": PaperTable(
        "Table 3: losses",
        ("intensity loss", "GIM", "IAC"),
        (
            Row(("BCE", NO, NO), "conference_bce"),
            Row(("BCE", YES, NO), "conference_bce_gim"),
            Row(("BCE", NO, YES), "conference_bce_iac"),
            Row(("BCE", YES, YES), "conference_bce_gim_iac"),
            Row(("MSE", NO, NO), "conference_mse"),
            Row(("MSE", YES, NO), "conference_mse_gim"),
            Row(("MSE", NO, YES), "conference_labels_hard"),
            Row(("MSE", YES, YES), "conference", GIM),
        ),
    ),
    "table4": PaperTable(
        "Table 4: overlapping expressions of a class",
        ("label kept",),
        (
            Row(("higher",), "conference_overlap_higher", {"samm_lv": 0.3473, "casme2": 0.3988}),
            Row(("lower",), "conference_overlap_lower", {"samm_lv": 0.3570, "casme2": 0.3891}),
            Row(("random",), "conference", GIM),
        ),
    ),
    "table5": PaperTable(
        "Table 5: search window of macro-expressions, frames",
        ("k_c",),
        tuple(
            Row((str(k),), "conference" if k == 32 else f"conference_kc_{k}", GIM if k == 32 else {})
            for k in (16, 24, 32, 40, 48)
        ),
    ),
}


def in_run(experiments: Sequence[str]) -> list[str]:
    """Return the names of the tables all of whose experiments are among ``experiments``."""
    return [name for name, table in TABLES.items() if {row.experiment for row in table.rows} <= set(experiments)]


def paper_table(name: str, experiments: Mapping[str, Any], dataset: str) -> str:
    """Return the table ``name`` as Markdown.

    Parameters
    ----------
    experiments : name -> macro, micro, overall -> f1, as in summary.json of a run.
    dataset : that the run is on; one of the published ones adds what the paper printed.
    """
    table, theirs = TABLES[name], published(dataset)
    beside = len(theirs) > 0
    lines = []
    if name == "table1":
        for _, row in theirs.iterrows():
            figures = [f"{row[kind]:.4f}" for kind in RESULT_CLASSES]
            lines.append([row["source"], row["supervision"], *figures, figures[-1]])
    for own in table.rows:
        found = [experiments[own.experiment][kind]["f1"] for kind in RESULT_CLASSES]
        figures = ["–" if f1 is None else f"{f1:.4f}" for f1 in found]  # of a class without an instance
        printed = f"{own.published[dataset]:.4f}" if dataset in own.published else ""
        lines.append([*own.cells, *figures, *([printed] if beside else [])])
    if name == "table1" and beside:  # a published row is its own figure
        lines = [[*line[:-1], "published" if number < len(theirs) else ""] for number, line in enumerate(lines)]
    last = ["source" if name == "table1" else "published overall"] if beside else []
    head = [*table.columns, "MaE", "ME", "overall", *last]
    rule = ["---"] * len(table.columns) + ["---:"] * 3 + ["---"] * len(last)
    rows = "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))
    return f"{table.title}\n\n{rows}\n"


def write_paper_tables(summary_path: Path | str, out_paths: Sequence[Path | str], dataset: str) -> None:
    """Write the tables that ``out_paths`` are named after, from the summary.json of a run."""
    experiments = json.loads(Path(summary_path).read_text())["experiments"]
    for path in map(Path, out_paths):
        path.write_text(paper_table(path.stem, experiments, dataset))
