"""Evaluation: proposals against labelled instances, counts first, ratios after.

Conventions
-----------
Intervals are inclusive ``[onset, offset]``, 0-based, in sampled frames, int64. The table ``videos`` says which videos
count, ``expressions`` holds the instances, ``proposals`` the predictions; a row belongs to a video by ``video_id``.
Where a proposal has no instance, or an instance no proposal, the missing partner is -1.

Metrics
-------
tp  instances that are matched to a proposal, which is also the number of proposals matched to an instance
fp  proposals that are not matched
fn  instances that are not matched
precision = tp / (tp + fp), recall = tp / (tp + fn), f1 = 2 tp / (2 tp + fp + fn).
Counts are made per video and class and pooled by addition, over videos, folds and seeds; ``overall`` adds macro and
micro; the ratios are made last, from pooled counts. A ratio whose denominator is 0 is 0, also where nothing was to find
and nothing was found (the convention of mir_eval): in pooled counts, a class that is absent throughout.

Protocols
---------
strict
    A proposal may match an instance of its video and class if their inclusive IoU is at least the threshold, compared
    as integers, so that an IoU of exactly .5 counts. The matching is one-to-one, of the greatest number of pairs and,
    among those, of the greatest total IoU. Every video counts, also one without instances and one that was refused
    (its instances are missed). Every proposal counts.

Differences of ``strict`` from other scorers
--------------------------------------------
- MEGC 2020: there an instance is found if any proposal overlaps it enough, so that one proposal may find two instances.
  For the macro-expressions of CAS(ME)^2 and a MEGC 2021 entry (TSMSNet) that rule gives F1 .2440, this one .2289.
- The GIM release: it matches greedily by score, which can lose pairs (a proposal that fits two instances may take the
  one that another proposal needed) and so only lower F1; it measures the IoU of ``[onset, offset)``; it does not count
  predictions of a class that the test subject has no instance of and chooses the epoch on the test subject, which can
  only raise F1.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pfes import intervals, provenance, store
from pfes.errors import InputError
from pfes.intervals import Intervals
from pfes.records import CLASSES

NO_SEED = -1  # the seed of an experiment without randomness, such as the training-free baseline: it is counted once
COUNTS = ["tp", "fp", "fn"]
MATCH_COLUMNS = ("subject", "video_id", "class", "instance", "proposal", "iou")

Pairs = NDArray[np.int64]


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
        Table ``matches``: experiment, seed and the columns of ``outcomes``.
    out_summary
        JSON {run, protocol, seeds, experiments: {NAME: {macro|micro|overall: {tp, fp, fn, precision, recall, f1}}}}.
        The counts of an experiment are the sums over its seeds and its ratios are made from these sums; where
        experiments differ in their number of seeds, compare the ratios, not the counts. NO_SEED is not among ``seeds``.
    run
        Name of the run.
    protocol, iou
        As of ``outcomes``.

    Raises
    ------
    InputError
        As of ``outcomes``; or a video has proposals in two files of one experiment and seed.
    """
    videos = store.read_table(videos_path, "videos")
    expressions = store.read_table(expressions_path, "expressions")
    files = {(name, seed): list(paths) for name, seeds in proposals.items() for seed, paths in seeds.items()}
    matches = {key: outcomes(videos, expressions, read_proposals(paths), protocol, iou) for key, paths in files.items()}
    counts = {key: count_outcomes(videos, found) for key, found in matches.items()}
    metrics = {key: _metric_rows(summarise(found)) for key, found in counts.items()}
    origin = _origin(files, protocol, iou, [videos_path, expressions_path])
    store.write_table(out_matches, "matches", _stack(matches), origin)
    store.write_table(out_counts, "counts", _stack(counts), origin)
    store.write_table(out_metrics, "metrics", _stack(metrics), origin)
    pooled = _stack(counts)
    summary = {
        "run": run,
        "protocol": protocol,
        "seeds": sorted({seed for _, seed in files if seed != NO_SEED}),
        "experiments": {name: summarise(pooled[pooled["experiment"] == name]) for name in proposals},
    }
    with store.atomic(out_summary) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def summarise(counts: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Pool counts and make ratios.

    Parameters
    ----------
    counts
        Columns class, tp, fp, fn, any number of rows per class; see ``count``.

    Returns
    -------
    dict
        macro, micro and overall: each tp, fp, fn (int) and precision, recall, f1 (float in [0, 1]).
    """
    pooled = {name: counts.loc[counts["class"] == name, COUNTS].to_numpy(np.int64).sum(axis=0) for name in CLASSES}
    pooled["overall"] = np.sum(list(pooled.values()), axis=0)
    return {name: ratios(*(int(value) for value in row)) for name, row in pooled.items()}


def ratios(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Return the counts with precision, recall and f1; a ratio without denominator is 0."""
    return {
        "tp": tp, "fp": fp, "fn": fn,
        "precision": _ratio(tp, tp + fp), "recall": _ratio(tp, tp + fn), "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }  # fmt: skip


def count(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    proposals: pd.DataFrame,
    protocol: str = "strict",
    iou: float = 0.5,
) -> pd.DataFrame:
    """Count hits and errors per video and class.

    Returns
    -------
    DataFrame
        Columns subject, video_id, class, tp, fp, fn; one row for every video and class, in the order of ``videos``.

    See Also
    --------
    outcomes : parameters and errors.
    """
    return count_outcomes(videos, outcomes(videos, expressions, proposals, protocol, iou))


def count_outcomes(videos: pd.DataFrame, matches: pd.DataFrame) -> pd.DataFrame:
    """Count a table of ``outcomes`` per video and class; see ``count``."""
    kinds = np.select([matches["instance"] < 0, matches["proposal"] < 0], ["fp", "fn"], "tp")
    group = _groups(matches, videos) if len(matches) else np.empty(0, np.int64)
    table = videos.loc[videos.index.repeat(len(CLASSES)), ["subject", "video_id"]].reset_index(drop=True)
    table["class"] = np.tile(np.array(CLASSES, object), len(videos))
    for name in COUNTS:
        table[name] = np.bincount(group[kinds == name], minlength=len(table)).astype(np.int64)
    return table


def outcomes(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    proposals: pd.DataFrame,
    protocol: str = "strict",
    iou: float = 0.5,
) -> pd.DataFrame:
    """Say of every instance and every proposal whether, and by what, it is matched.

    Parameters
    ----------
    videos
        Columns subject, video_id: the videos that count.
    expressions
        Columns video_id, instance, class, onset, offset.
    proposals
        Columns video_id, class, onset, offset.
    protocol
        Key of PROTOCOLS.
    iou
        Least IoU of a match, in (0, 1]; taken as the nearest fraction of a denominator of at most 1000.

    Returns
    -------
    DataFrame
        Columns MATCH_COLUMNS: a row per instance, then per unmatched proposal, in the order of the tables.
        ``instance`` is that of the expressions, or -1; ``proposal`` is the row among the proposals of its video, from
        0 in the order of their table, or -1; ``iou`` is that of the pair, or 0.

    Raises
    ------
    InputError
        An unknown protocol, class or video, two rows of ``videos`` of one video_id, frames that are not whole
        numbers, onset after offset, or ``iou`` out of its range.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is unknown; expected one of {', '.join(PROTOCOLS)}")
    _check(videos, expressions, "expressions")
    _check(videos, proposals, "proposals")
    truth = intervals.as_intervals(expressions["onset"], expressions["offset"])
    found = intervals.as_intervals(proposals["onset"], proposals["offset"])
    pairs = _match_groups(
        truth, _groups(expressions, videos), found, _groups(proposals, videos), PROTOCOLS[protocol], iou
    )
    return _outcome_table(videos, expressions, proposals, pairs, _pair_iou(truth[pairs[:, 0]], found[pairs[:, 1]]))


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


def match(instances: Intervals, proposals: Intervals, iou: float = 0.5) -> Pairs:
    """Match instances [N, 2] and proposals [M, 2] one to one: most pairs, then greatest total IoU.

    Parameters
    ----------
    instances, proposals
        Inclusive intervals of one video and class.
    iou
        Least IoU of a pair, in (0, 1].

    Returns
    -------
    array
        Pairs [K, 2] of (row of instance, row of proposal), in the order of the instances.

    Examples
    --------
    >>> match(np.array([[0, 9], [10, 19]]), np.array([[0, 4], [12, 19], [30, 39]])).tolist()
    [[0, 0], [1, 1]]
    """
    allowed = _reaches(instances, proposals, iou)
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    near = np.ix_(rows, columns)
    # A pair weighs more than all IoU of a matching together, so that the number of pairs comes first.
    weight = np.where(allowed[near], min(allowed.shape) + 1 + intervals.iou(instances[rows], proposals[columns]), 0.0)
    chosen = np.stack(linear_sum_assignment(weight, maximize=True), axis=1)
    pairs = np.stack([rows[chosen[:, 0]], columns[chosen[:, 1]]], axis=1)
    return pairs[allowed[pairs[:, 0], pairs[:, 1]]]


Matcher = Callable[[Intervals, Intervals, float], Pairs]
PROTOCOLS: Mapping[str, Matcher] = {"strict": match}


def _reaches(first: Intervals, second: Intervals, iou: float) -> NDArray[np.bool_]:
    """Return whether IoU >= iou [N, M], in integers: intersection x denominator >= union x numerator."""
    if not 0 < iou <= 1:
        raise InputError(f"IoU threshold is {iou}, expected more than 0 and at most 1")
    limit = Fraction(iou).limit_denominator(1000)
    onset = np.maximum(first[:, None, 0], second[None, :, 0])
    offset = np.minimum(first[:, None, 1], second[None, :, 1])
    intersection = np.maximum(offset - onset + 1, 0)
    union = intervals.lengths(first)[:, None] + intervals.lengths(second)[None, :] - intersection
    return (intersection > 0) & (intersection * limit.denominator >= union * limit.numerator)


def _match_groups(
    truth: Intervals,
    truth_group: Pairs,
    found: Intervals,
    found_group: Pairs,
    matcher: Matcher,
    iou: float,
) -> Pairs:
    """Match within each group (a video and class) and return pairs [K, 2] of rows of the whole tables."""
    truth_order, found_order = np.argsort(truth_group, kind="stable"), np.argsort(found_group, kind="stable")
    pairs = [matcher(truth[:0], found[:0], iou)]  # checks iou also where no group has both
    for group in np.intersect1d(truth_group, found_group):
        rows = truth_order[slice(*np.searchsorted(truth_group[truth_order], [group, group + 1]))]
        columns = found_order[slice(*np.searchsorted(found_group[found_order], [group, group + 1]))]
        local = matcher(truth[rows], found[columns], iou)
        pairs.append(np.stack([rows[local[:, 0]], columns[local[:, 1]]], axis=1))
    return np.concatenate(pairs)


def _outcome_table(
    videos: pd.DataFrame, expressions: pd.DataFrame, proposals: pd.DataFrame, pairs: Pairs, iou: NDArray[np.float64]
) -> pd.DataFrame:
    number = proposals.groupby("video_id", sort=False).cumcount().to_numpy(np.int64)
    hits = expressions[["video_id", "class", "instance"]].assign(proposal=-1, iou=0.0).reset_index(drop=True)
    hits.loc[pairs[:, 0], "proposal"] = number[pairs[:, 1]]
    hits.loc[pairs[:, 0], "iou"] = iou
    alone = np.setdiff1d(np.arange(len(proposals)), pairs[:, 1])
    false = proposals.iloc[alone][["video_id", "class"]].assign(instance=-1, proposal=number[alone], iou=0.0)
    table = pd.concat([part for part in (hits, false) if len(part)] or [hits], ignore_index=True)
    table = table.assign(subject=table["video_id"].map(videos.set_index("video_id")["subject"]))
    return table[list(MATCH_COLUMNS)].astype({"instance": "int64", "proposal": "int64", "iou": "float64"})


def _pair_iou(first: Intervals, second: Intervals) -> NDArray[np.float64]:
    intersection = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0]) + 1
    return intersection / (intervals.lengths(first) + intervals.lengths(second) - intersection)


def _groups(table: pd.DataFrame, videos: pd.DataFrame) -> Pairs:
    """Return the number [N] of the video and class of each row: its row in the table of counts."""
    video = pd.Index(videos["video_id"]).get_indexer(pd.Index(table["video_id"]))
    return (video * len(CLASSES) + pd.Index(CLASSES).get_indexer(pd.Index(table["class"]))).astype(np.int64)


def _check(videos: pd.DataFrame, table: pd.DataFrame, name: str) -> None:
    twice = videos["video_id"][videos["video_id"].duplicated()]
    if len(twice):
        raise InputError(f"videos: {twice.iloc[0]} stands there twice; expected one row per video")
    unknown = table["video_id"][~table["video_id"].isin(videos["video_id"])]
    if len(unknown):
        raise InputError(f"{name}: video {unknown.iloc[0]} is not among the {len(videos)} videos; is a video missing?")
    wrong = table["class"][~table["class"].isin(CLASSES)]
    if len(wrong):
        raise InputError(f"{name}: class {wrong.iloc[0]!r} is unknown; expected one of {', '.join(CLASSES)}")
    for column in ("onset", "offset"):
        if len(table) and not pd.api.types.is_integer_dtype(table[column]):
            raise InputError(f"{name}: {column} is of type {table[column].dtype}, expected whole frames")
    reversed_ = table[table["onset"] > table["offset"]]
    if len(reversed_):
        row = reversed_.iloc[0]
        raise InputError(f"{name}: onset {row['onset']} after offset {row['offset']} in video {row['video_id']}")


def _origin(
    files: Mapping[tuple[str, int], list[Path | str]], protocol: str, iou: float, tables: list[Path | str]
) -> dict[str, Any]:
    """Describe an evaluation; the files of folds share their name, so each is known by experiment, seed and digest."""
    digests = {
        f"{name}/{seed}": [provenance.file_digest(path) for path in paths] for (name, seed), paths in files.items()
    }
    return provenance.record("evaluate", {"protocol": protocol, "iou": iou, "proposals": digests}, tables)


def _stack(tables: Mapping[tuple[str, int], pd.DataFrame]) -> pd.DataFrame:
    """Join one table per (experiment, seed), these two as the first columns."""
    parts = [
        pd.concat([pd.DataFrame({"experiment": name, "seed": seed}, index=table.index), table], axis=1)
        for (name, seed), table in tables.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _metric_rows(summary: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    return pd.DataFrame([{"class": name, **values} for name, values in summary.items()])


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else 0.0
