"""Score the predictions of any method: the command ``pfes evaluate`` (files: pfes.exchange.lists, protocols: pfes.evaluation.protocols).

Where the proposals name datasets, only these are scored, unless ``datasets`` says which: a list of labels often holds
several. A dataset that is left out is named in the result. The dataset of a video is known if any of the files names it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table

from pfes.base.errors import InputError
from pfes.base.records import RESULT_CLASSES
from pfes.evaluation.counts import judge, stated, totals
from pfes.evaluation.parameters import BootstrapParameters
from pfes.evaluation.protocols import SHIFT
from pfes.evaluation.statistics import bootstrap_f1, plain
from pfes.exchange.lists import read_lists


def score_lists(
    instances: Path | str,
    proposals: Path | str,
    videos: Path | str | None = None,
    *,
    protocol: str = "strict",
    iou: float = 0.5,
    datasets: Sequence[str] = (),
    bootstrap: BootstrapParameters | None = None,
) -> dict[str, Any]:
    """Score a list of proposals against a list of instances.

    Parameters
    ----------
    instances, proposals, videos
        Files as of ``pfes.exchange.lists``.
    protocol, iou
        As of ``pfes.evaluation.counts.judge``.
    datasets
        Datasets to score; empty: those that the proposals name, or all.
    bootstrap
        Ask for intervals of F1 over subjects.

    Returns
    -------
    dict
        macro, micro, overall: each tp, fp, fn, precision, recall, f1, n_proposals (those that the protocol counts),
        n_instances; protocol, iou, n_videos, n_not_counted (proposals), datasets, datasets_left_out; with ``bootstrap``
        also intervals (macro, micro, overall: value, low, high; null where there is one subject) and n_subjects.

    Raises
    ------
    InputError
        A file cannot be read, has an unknown column or lacks one, or has rows that cannot be used: each is named.
    """
    tables = read_lists(instances, proposals, videos)
    chosen, left_out = _chosen_datasets(tables, datasets)
    if videos is None:
        _refuse_other_videos(tables, instances, proposals)
    tables = {name: table[table["dataset"].isin(chosen)].reset_index(drop=True) for name, table in tables.items()}
    known, truth, found = tables["videos"], tables["instances"], tables["proposals"]
    found[["onset", "offset"]] += SHIFT.get(protocol, 0)
    judged = judge(known, truth, found, protocol, iou)
    result = {
        **{kind: stated(row) for kind, row in totals(truth, found, judged).items()},
        "protocol": protocol,
        "iou": iou,
        "n_videos": len(known),
        "n_not_counted": int((~judged.counted).sum()),
        "datasets": [name for name in chosen if name],
        "datasets_left_out": left_out,
    }
    if bootstrap:
        result["intervals"] = plain(bootstrap_f1(judged.counts, bootstrap))
        result["n_subjects"] = known["subject"].nunique()
    return result


def _refuse_other_videos(tables: Mapping[str, pd.DataFrame], instances: Path | str, proposals: Path | str) -> None:
    """Raise InputError where both lists have rows and no video is in both: names that do not fit, rather than an F1 of 0."""
    labelled, found = (set(tables[name]["video_id"]) for name in ("instances", "proposals"))
    if labelled and found and not labelled & found:
        raise InputError(
            f"{proposals}: none of its videos (such as {min(found)}) is in {instances} (such as {min(labelled)}); write the names "
            "the same in both, or list all videos that count with --videos"
        )


def score_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return results of ``score_lists`` as a table for the terminal, a row per protocol and class."""
    first = results[0]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title=f"{first['n_videos']} videos, IoU {first['iou']:g}")
    for name in ("protocol", "class"):
        table.add_column(name, no_wrap=True)
    for name in ("inst.", "prop.", "TP", "FP", "FN", "prec.", "recall", "F1"):
        table.add_column(name, justify="right")
    for result in results:
        for kind in RESULT_CLASSES:
            row = result[kind]
            whole = [str(row[key]) for key in ("n_instances", "n_proposals", "tp", "fp", "fn")]
            shares = ["–" if row[key] is None else f"{row[key]:.4f}" for key in ("precision", "recall", "f1")]
            title = result["protocol"] if kind == RESULT_CLASSES[0] else ""
            table.add_row(title, kind, *whole, *shares, end_section=kind == RESULT_CLASSES[-1])
    return table


def interval_line(result: Mapping[str, Any]) -> str:
    """Return the intervals of a result of ``score_lists`` in words."""
    bounds = [
        f"{name} {row['low']:.4f} to {row['high']:.4f}" if row["low"] is not None else f"{name} none"
        for name, row in result["intervals"].items()
    ]
    return f"{result['protocol']}: F1 over {result['n_subjects']} subjects, 95 % interval: {', '.join(bounds)}"


def _chosen_datasets(tables: Mapping[str, pd.DataFrame], wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the datasets to score, and those of the instances and videos that are left out."""
    every = list(dict.fromkeys(pd.concat([table["dataset"] for table in tables.values()])))
    missing = [name for name in wanted if name not in every]
    if missing:
        named = ", ".join(name for name in every if name) or "none"
        raise InputError(f"dataset {missing[0]!r} is in none of the files; expected one of {named}")
    given = list(dict.fromkeys(tables["proposals"]["dataset"]))
    chosen = list(wanted) or (given if any(given) else every)
    labelled = list(dict.fromkeys(tables["instances"]["dataset"]))
    if any(labelled) and not set(labelled) & set(chosen):
        raise InputError(
            f"instances are of dataset {', '.join(labelled)}, proposals of {', '.join(chosen)}; write it the same way in "
            "both files, or leave the column out"
        )
    return chosen, [name for name in every if name not in chosen]
