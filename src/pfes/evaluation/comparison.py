"""The experiments of a run side by side: strict F1 with its interval, its spread over seeds, and how far from a reference.

Conventions
-----------
``counts`` is the table of a run's evaluation: experiment, seed, subject, video_id, class, tp, fp, fn. F1 is made from
counts pooled over all folds and seeds of an experiment. Intervals are bootstraps over subjects, differences are paired
(the same subjects are drawn for both experiments), p is that of a permutation over subjects, two-sided: see
pfes.evaluation.statistics. Nothing corrects for the number of experiments that are compared.

Table ``comparison``
--------------------
One row per experiment and class (macro, micro, overall), in the order of the counts, the reference first:
experiment, class, f1, low, high      pooled F1 and its 95 % interval
seeds, seed_sd, seed_low, seed_high   number of seeds; standard deviation, lowest and highest F1 of a single seed
difference, difference_low, difference_high, p
                                      F1 less that of the reference, its interval and p; NaN for the reference itself
reference                             name of the reference
"""

from pathlib import Path

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.evaluation.counts import RESULT_CLASSES
from pfes.evaluation.statistics import BootstrapParameters, Difference, bootstrap_f1, paired_bootstrap, seed_spread

REFERENCE = "journal"  # where it is among the experiments
COLUMNS = (
    "experiment", "class", "f1", "low", "high", "seeds", "seed_sd", "seed_low", "seed_high",
    "difference", "difference_low", "difference_high", "p", "reference",
)  # fmt: skip


def write_comparison(counts_path: Path | str, out_path: Path | str, *, reference: str | None = None) -> pd.DataFrame:
    """Compare the experiments of a ``counts`` file, write the table ``comparison`` and return it."""
    table = compare(store.read_table(counts_path, "counts"), reference)
    made = provenance.record("compare", {"reference": str(table["reference"].iloc[0])}, [counts_path])
    store.write_table(out_path, "comparison", table, made)
    return table


def compare(
    counts: pd.DataFrame, reference: str | None = None, params: BootstrapParameters = BootstrapParameters()
) -> pd.DataFrame:
    """Return the table ``comparison`` of the experiments in ``counts``; see the module.

    Parameters
    ----------
    reference
        Experiment that the others are compared with; None takes ``journal``, or else the first.

    Raises
    ------
    InputError
        There is no experiment, no such reference, or two experiments differ in their subjects.
    """
    groups = {str(name): group for name, group in counts.groupby("experiment", sort=False)}
    chosen = _reference(list(groups), reference)
    names = [chosen, *(name for name in groups if name != chosen)]
    rows = []
    for name in names:
        f1, spread = bootstrap_f1(groups[name], params), seed_spread(groups[name])
        nothing = dict.fromkeys(RESULT_CLASSES, Difference(*[np.nan] * 4))
        difference = nothing if name == chosen else paired_bootstrap(groups[chosen], groups[name], params)
        for kind in RESULT_CLASSES:
            one, seeds, other = f1[kind], spread[kind], difference[kind]
            rows.append((
                name, kind, one.value, one.low, one.high, seeds.n_seeds, seeds.sd, seeds.low, seeds.high,
                other.value, other.low, other.high, other.p, chosen,
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def comparison_table(table: pd.DataFrame) -> Table:
    """Return the table ``comparison`` for a terminal of 80 columns: one row per experiment, intervals below figures."""
    reference = str(table["reference"].iloc[0])
    shown = Table(
        title=f"strict F1, 95 % interval over subjects; difference (overall) from {reference}",
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
