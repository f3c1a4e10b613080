"""Stage evaluate: count hits and misses of every experiment of a run, and say how far the figures can be trusted.

The protocols are in ``pfes.evaluation.protocols``, counting in ``pfes.evaluation.counts``, intervals in ``pfes.evaluation.statistics``; what else the
stage finds out about a run's proposals is in ``pfes.evaluation.analysis``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.evaluation.counts import judge, summarise
from pfes.evaluation.statistics import BootstrapParameters, bootstrap_f1, compare, plain, seed_spread

NO_SEED = -1  # the seed of an experiment without randomness, such as the training-free baseline: it is counted once

Key = tuple[str, int]  # experiment, seed


@dataclass(frozen=True)
class EvaluateParameters:
    """How a run is evaluated.

    protocol : key of pfes.evaluation.protocols.PROTOCOLS
    iou : least IoU of a hit, in (0, 1]
    bootstrap : intervals and p values
    """

    protocol: str = "strict"
    iou: float = 0.5
    bootstrap: BootstrapParameters = BootstrapParameters()


def evaluate_run(
    videos_path: Path | str,
    expressions_path: Path | str,
    proposals: Mapping[str, Mapping[int, Iterable[Path | str]]],
    out_metrics: Path | str,
    out_counts: Path | str,
    out_matches: Path | str,
    out_summary: Path | str,
    *,
    run: str,
    protocol: str = "strict",
    iou: float = 0.5,
    bootstrap: BootstrapParameters = BootstrapParameters(),
) -> dict[str, Any]:
    """Evaluate the experiments of a run; write three tables and a summary, and return the summary.

    Parameters
    ----------
    videos_path, expressions_path
        Tables ``videos`` and ``expressions`` of the run.
    proposals
        experiment -> seed -> files of proposals, together those of all folds. An experiment without a seed has NO_SEED.
    out_metrics
        Table ``metrics``: experiment, seed, class (macro, micro, overall), tp, fp, fn, precision, recall, f1.
    out_counts
        Table ``counts``: experiment, seed, subject, video_id, class, tp, fp, fn.
    out_matches
        Table ``matches``: experiment, seed and MATCH_COLUMNS of pfes.evaluation.counts.
    out_summary
        JSON {run, protocol, iou, seeds, experiments: {NAME: {macro|micro|overall: {tp, fp, fn, precision, recall, f1}}},
        intervals: {NAME: {macro|micro|overall: {value, low, high}}}, spread: {NAME: {...: {mean, sd, low, high, n_seeds}}},
        comparisons: [{first, second, macro|micro|overall: {value, low, high, p}}]}; see pfes.evaluation.statistics. A figure that
        cannot be had is null. The counts of an experiment are the sums over its seeds and its ratios are made from these
        sums; where experiments differ in their number of seeds, compare the ratios, not the counts. NO_SEED is not among
        ``seeds``.
    run
        Name of the run.
    protocol, iou, bootstrap
        As of EvaluateParameters.

    Raises
    ------
    InputError
        As of ``pfes.evaluation.counts.judge``; or a video has proposals in two files of one experiment and seed.
    """
    proposals = {name: {seed: list(paths) for seed, paths in seeds.items()} for name, seeds in proposals.items()}
    videos, expressions, tables = read_run(videos_path, expressions_path, proposals)
    judged = {key: judge(videos, expressions, table, protocol, iou) for key, table in tables.items()}
    counts = {key: found.counts for key, found in judged.items()}
    metrics = {key: _metric_rows(summarise(found)) for key, found in counts.items()}
    made = origin(proposals, EvaluateParameters(protocol, iou, bootstrap), [videos_path, expressions_path])
    pooled = stack(counts)
    store.write_table(out_matches, "matches", stack({key: found.matches for key, found in judged.items()}), made)
    store.write_table(out_counts, "counts", pooled, made)
    store.write_table(out_metrics, "metrics", stack(metrics), made)
    by_name = {name: pooled[pooled["experiment"] == name] for name in proposals}
    summary = {
        "run": run,
        "protocol": protocol,
        "iou": iou,
        "seeds": sorted({seed for _, seed in tables if seed != NO_SEED}),
        "experiments": {name: summarise(found) for name, found in by_name.items()},
        **_trust(by_name, bootstrap),
    }
    with store.atomic(out_summary) as temporary:
        temporary.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


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
    return tables[0] if tables else pd.DataFrame(columns=["video_id", "class", "onset", "offset"])


def stack(tables: Mapping[Key, pd.DataFrame]) -> pd.DataFrame:
    """Join one table per (experiment, seed), these two as the first columns."""
    parts = [
        pd.concat([pd.DataFrame({"experiment": name, "seed": seed}, index=table.index), table], axis=1)
        for (name, seed), table in tables.items()
    ]
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _trust(counts: Mapping[str, pd.DataFrame], params: BootstrapParameters) -> dict[str, Any]:
    """Return intervals, spread over seeds and comparisons of the experiments' counts, ready for JSON."""
    pairs = compare(counts, params)
    return {
        "intervals": {name: plain(bootstrap_f1(found, params)) for name, found in counts.items()},
        "spread": {name: plain(seed_spread(found)) for name, found in counts.items()},
        "comparisons": [{"first": one, "second": two, **plain(found)} for (one, two), found in pairs.items()],
    }


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
