"""The experiments of a run side by side: F1 with its interval, its spread over seeds, and how far from a reference.

Conventions
-----------
F1 is that of the protocol of the run, made from counts pooled over all folds and seeds of an experiment. Intervals are bootstraps over subjects, differences are paired
(the same subjects are drawn for both experiments), p is that of a permutation over subjects, two-sided: see
pfes.evaluation.statistics. Nothing corrects for the number of experiments that are compared.

Table ``comparison``
--------------------
One row per experiment and class (macro, micro, overall), in the order of the run, the reference first:
experiment, class, f1, low, high      pooled F1 and its interval, of the level that the run's ``evaluate.bootstrap`` says
seeds, seed_sd, seed_low, seed_high   number of seeds; standard deviation, lowest and highest F1 of a single seed
difference, difference_low, difference_high, p
                                      F1 less that of the reference, its interval and p; NaN for the reference itself
reference                             name of the reference
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import RESULT_CLASSES

REFERENCE = "journal"  # where it is among the experiments
COLUMNS = (
    "experiment", "class", "f1", "low", "high", "seeds", "seed_sd", "seed_low", "seed_high",
    "difference", "difference_low", "difference_high", "p", "reference",
)  # fmt: skip


@dataclass(frozen=True)
class RunTables:
    """What a comparison is made from: the tables ``intervals`` and ``differences`` of an evaluation, and how it counted."""

    intervals: pd.DataFrame
    differences: pd.DataFrame
    sources: tuple[Path | str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the tables of the folder ``evaluate`` of a run; raises InputError where there are none."""
        paths = tuple(folder / f"{kind}.parquet" for kind in ("intervals", "differences"))
        if not all(path.is_file() for path in paths):
            raise InputError(f"{folder} has no evaluation; expected a run folder such as results/demo that is done")
        intervals, differences = (store.read_table(path, path.stem) for path in paths)
        return cls(intervals, differences, paths)


def write_comparison(tables: RunTables, out_path: Path | str, *, reference: str | None = None) -> pd.DataFrame:
    """Compare the experiments of a run, write the table ``comparison`` and return it."""
    table = compare(tables, reference)
    made = provenance.record("compare", {"reference": str(table["reference"].iloc[0])}, list(tables.sources))
    store.write_table(out_path, "comparison", table, made)
    return table


def compare(tables: RunTables, reference: str | None = None) -> pd.DataFrame:
    """Return the table ``comparison`` of the experiments of a run; see the module.

    Parameters
    ----------
    reference
        Experiment that the others are compared with; None takes ``journal``, or else the first.

    Raises
    ------
    InputError
        There is no experiment, or no such reference.
    """
    names = [str(name) for name in tables.intervals["experiment"].drop_duplicates()] if len(tables.intervals) else []
    chosen = _reference(names, reference)
    intervals = {(row["experiment"], row["class"]): row for row in tables.intervals.to_dict("records")}
    rows = []
    for name in [chosen, *(name for name in names if name != chosen)]:
        for kind in RESULT_CLASSES:
            one = intervals[name, kind]
            other = _difference(tables.differences, chosen, name, kind)
            rows.append((
                name, kind, one["f1"], one["low"], one["high"], int(one["n_seeds"]), one["sd"], one["seed_low"],
                one["seed_high"], *other, chosen,
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _difference(table: pd.DataFrame, reference: str, name: str, kind: str) -> tuple[float, float, float, float]:
    """Return F1 of ``name`` less that of ``reference``, its interval and p; NaN for the reference itself."""
    for first, second, sign in ((reference, name, 1), (name, reference, -1)):
        row = table[(table["first"] == first) & (table["second"] == second) & (table["class"] == kind)]
        if len(row):
            value, low, high, p = (float(row[key].iloc[0]) for key in ("difference", "low", "high", "p"))
            return (value, low, high, p) if sign > 0 else (-value, -high, -low, p)
    return (np.nan,) * 4


def comparison_table(table: pd.DataFrame, counted: Mapping[str, Any]) -> Table:
    """Return the table ``comparison`` for a terminal of 80 columns: one row per experiment, intervals below figures.

    ``counted`` is the summary of the run, which says by which protocol and with which intervals.
    """
    reference = str(table["reference"].iloc[0])
    shown = Table(
        title=f"F1 ({counted['protocol']}), {interval_words(counted)}; difference (overall) from {reference}",
        box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False,
    )  # fmt: skip
    shown.add_column("experiment", overflow="fold")
    for name in (*RESULT_CLASSES, "seeds, sd", "difference"):
        shown.add_column(name, justify="right", no_wrap=True)
    for experiment, group in table.groupby("experiment", sort=False):
        by_class = {str(row["class"]): row for row in group.to_dict("records")}
        overall = by_class["overall"]
        cells = [_interval(*(by_class[kind][name] for name in ("f1", "low", "high"))) for kind in RESULT_CLASSES]
        seeds = f"{overall['seeds']}{_number(overall['seed_sd'], ', ')}"
        difference = [overall[name] for name in ("difference", "difference_low", "difference_high")]
        far = _interval(*difference, sign="+") + _number(overall["p"], "\np ")
        shown.add_row(str(experiment), *cells, seeds, far)
    return shown


def interval_words(counted: Mapping[str, Any]) -> str:
    """Return what the intervals of a run are, in words, from its summary.

    >>> interval_words({"level": 0.95})
    '95 % interval over subjects'
    """
    return f"{100 * counted.get('level', 0.95):g} % interval over subjects"


def _reference(names: list[str], wanted: str | None) -> str:
    if not names:
        raise InputError("comparison: no experiment was evaluated; run the workflow first")
    if wanted is None:
        return REFERENCE if REFERENCE in names else names[0]
    if wanted not in names:
        raise InputError(f"comparison: reference {wanted!r} was not evaluated; expected one of {', '.join(names)}")
    return wanted


def _interval(value: float, low: float, high: float, *, sign: str = "") -> str:
    if np.isnan(value):
        return ""
    bounds = "" if np.isnan(low) else f"\n{low:{sign}.2f} {high:{sign}.2f}"
    return f"{value:{sign}.3f}{bounds}"


def _number(value: float, before: str = "") -> str:
    return "" if np.isnan(value) else f"{before}{value:.3f}"
