"""Stage evaluate: count hits and misses of every experiment of a run, and say how far the figures can be trusted.

The protocols are in ``pfes.evaluation.protocols``, counting in ``pfes.evaluation.counts``, intervals in ``pfes.evaluation.statistics``; what else the
stage finds out about a run's proposals is in ``pfes.evaluation.analysis``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import CLICK_COLUMNS, PROPOSAL_COLUMNS
from pfes.evaluation.clicks import not_counted, outcomes
from pfes.evaluation.counts import Judged, judge, numbers, ratios_by_class, stated
from pfes.evaluation.parameters import EvaluateParameters
from pfes.evaluation.statistics import Trust, trust

NO_SEED = -1  # the seed of an experiment without randomness, such as the training-free baseline: it is counted once

Key = tuple[str, int]  # experiment, seed
Files = Mapping[str, Mapping[int, Iterable[Path | str]]]  # experiment -> seed -> files of proposals, one per fold


class Outputs(NamedTuple):
    """The files of an evaluation.

    metrics : table: experiment, seed, class (macro, micro, overall), tp, fp, fn, precision, recall, f1.
    counts : table: experiment, seed, subject, video_id, class, tp, fp, fn.
    matches : table: experiment, seed and MATCH_COLUMNS of pfes.evaluation.counts; then the clicks without interval, see
        ``clicks.outcomes``.
    summary : JSON {run, protocol, iou, level, seeds, experiments: {NAME: {macro|micro|overall: {tp, fp, fn, precision,
        recall, f1}}}, intervals: {NAME: {macro|micro|overall: {value, low, high}}}, spread: {NAME: {...: {mean, sd, low,
        high, n_seeds}}}, comparisons: [{first, second, macro|micro|overall: {value, low, high, p}}]}; see
        pfes.evaluation.statistics. A figure that cannot be had is null. The counts of an experiment are the sums over its
        seeds and its ratios are made from these sums; where experiments differ in their number of seeds, compare the
        ratios, not the counts. NO_SEED is not among ``seeds``.
    """

    metrics: Path | str
    counts: Path | str
    matches: Path | str
    summary: Path | str


@dataclass(frozen=True)
class JudgedRun:
    """A run with its proposals judged, by (experiment, seed), and what all its files say of where they come from.

    ``proposals`` are those that an F1 counts, ``everything`` all of them: they differ where an expression has no interval
    (``clicks.not_counted``).
    """

    videos: pd.DataFrame
    expressions: pd.DataFrame
    proposals: Mapping[Key, pd.DataFrame]
    judged: Mapping[Key, Judged]
    trust: Trust
    params: EvaluateParameters
    made: Mapping[str, Any]
    clicks: pd.DataFrame
    everything: Mapping[Key, pd.DataFrame]


def judge_run(
    videos_path: Path | str,
    expressions_path: Path | str,
    proposals: Files,
    params: EvaluateParameters,
    clicks_path: Path | str | None = None,
) -> JudgedRun:
    """Judge the proposals of a run.

    Parameters
    ----------
    videos_path, expressions_path
        Tables ``videos`` and ``expressions`` of the run.
    clicks_path
        Its table ``clicks``; None where every expression has an interval.
    proposals
        experiment -> seed -> files of proposals, together those of all folds. An experiment without a seed has NO_SEED.

    Raises
    ------
    InputError
        As of ``pfes.evaluation.counts.judge``; or a video has proposals in two files of one experiment and seed.
    """
    proposals = {name: {seed: list(paths) for seed, paths in seeds.items()} for name, seeds in proposals.items()}
    videos, expressions, tables = read_run(videos_path, expressions_path, proposals)
    clicks = store.read_table(clicks_path, "clicks") if clicks_path else pd.DataFrame(columns=list(CLICK_COLUMNS))
    everything = {key: table.assign(number=numbers(table)) for key, table in tables.items()}
    tables = {
        key: table[~not_counted(expressions, clicks, table, params.iou)].reset_index(drop=True)
        for key, table in everything.items()
    }
    judged = {key: judge(videos, expressions, table, params.protocol, params.iou) for key, table in tables.items()}
    certain = trust(stack({key: one.counts for key, one in judged.items()}), params.bootstrap)
    made = origin(proposals, params, [videos_path, expressions_path, *([clicks_path] if clicks_path else [])])
    return JudgedRun(videos, expressions, tables, judged, certain, params, made, clicks, everything)


def write_evaluation(run: JudgedRun, out: Outputs, name: str) -> dict[str, Any]:
    """Write the files of an evaluation of the run called ``name``, and return the summary."""
    counts = {key: one.counts for key, one in run.judged.items()}
    metrics = {key: _metric_rows(ratios_by_class(table)) for key, table in counts.items()}
    pooled = stack(counts)
    matches = {key: one.matches for key, one in run.judged.items()}
    if len(run.clicks):
        own = {
            key: outcomes(run.videos, run.expressions, run.clicks, table, run.params.iou)
            for key, table in run.everything.items()
        }
        matches = {key: pd.concat([part for part in (table, own[key]) if len(part)]) for key, table in matches.items()}
    store.write_table(out.matches, "matches", stack(matches), run.made)
    store.write_table(out.counts, "counts", pooled, run.made)
    store.write_table(out.metrics, "metrics", stack(metrics), run.made)
    summary = {
        "run": name,
        "protocol": run.params.protocol,
        "iou": run.params.iou,
        "level": run.params.bootstrap.level,
        "seeds": sorted({seed for _, seed in run.proposals if seed != NO_SEED}),
        "experiments": {
            str(one): {kind: stated(row) for kind, row in ratios_by_class(own).items()}
            for one, own in pooled.groupby("experiment", sort=False)
        },
        **run.trust.plain(),
    }
    with store.atomic(out.summary) as temporary:
        temporary.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def nested(files: Mapping[Key, Iterable[Path | str]]) -> Files:
    """Return files by (experiment, seed) as experiment -> seed -> files."""
    found: dict[str, dict[int, Iterable[Path | str]]] = {}
    for (name, seed), paths in files.items():
        found.setdefault(name, {})[seed] = paths
    return found


def read_run(
    videos_path: Path | str,
    expressions_path: Path | str,
    proposals: Mapping[str, Mapping[int, Iterable[Path | str]]],
) -> tuple[pd.DataFrame, pd.DataFrame, dict[Key, pd.DataFrame]]:
    """Read the tables ``videos`` and ``expressions`` of a run and the proposals of each experiment and seed."""
    tables = {(name, seed): read_proposals(paths) for name, seeds in proposals.items() for seed, paths in seeds.items()}
    return store.read_table(videos_path, "videos"), store.read_table(expressions_path, "expressions"), tables


def read_proposals(paths: Iterable[Path | str]) -> pd.DataFrame:
    """Read the proposals of one experiment and seed as one table; raises InputError if two files share a video."""
    tables, owner = [], dict[str, Path | str]()
    for path in paths:
        tables.append(store.read_table(path, "proposals"))
        for video_id in tables[-1]["video_id"].unique():
            if video_id in owner:
                raise InputError(f"{path}: video {video_id} is in {owner[video_id]} too; expected one file per fold")
            owner[video_id] = path
    full = [table for table in tables if len(table)]
    if full:
        return pd.concat(full, ignore_index=True)
    return tables[0] if tables else pd.DataFrame(columns=list(PROPOSAL_COLUMNS))


def stack(tables: Mapping[Key, pd.DataFrame]) -> pd.DataFrame:
    """Join one table per (experiment, seed), these two as the first columns."""
    parts = [
        pd.concat([pd.DataFrame({"experiment": name, "seed": seed}, index=table.index), table], axis=1)
        for (name, seed), table in tables.items()
    ]
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def origin(
    proposals: Mapping[str, Mapping[int, Iterable[Path | str]]],
    params: EvaluateParameters,
    tables: list[Path | str],
) -> dict[str, Any]:
    """Describe an evaluation; the files of folds share their name, so each is known by experiment, seed and digest."""
    digests = {
        f"{name}/{seed}": [provenance.file_digest(path) for path in paths]
        for name, seeds in proposals.items()
        for seed, paths in seeds.items()
    }
    return provenance.record("evaluate", {**asdict(params), "proposals": digests}, tables)


def _metric_rows(summary: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    return pd.DataFrame([{"class": name, **values} for name, values in summary.items()])
