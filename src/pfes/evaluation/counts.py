"""Counts first, ratios after: proposals against labelled instances under a protocol.

Conventions
-----------
Intervals are inclusive ``[onset, offset]``, 0-based, in sampled frames, int64; any origin and rate will do that is the
same for instances and proposals. The table ``videos`` says which videos count, ``expressions`` holds the instances,
``proposals`` the predictions; a row belongs to a video by ``video_id``. Where a proposal has no instance, or an instance
no proposal, the missing partner is -1.

Metrics
-------
tp, fp, fn  as the protocol says (pfes.evaluation.protocols); under ``strict``: matched, unmatched proposals, unmatched instances
precision = tp / (tp + fp), recall = tp / (tp + fn), f1 = 2 tp / (2 tp + fp + fn).
Counts are made per video and class and pooled by addition, over videos, folds and seeds; ``overall`` adds macro and
micro; the ratios are made last, from pooled counts. A ratio whose denominator is 0 is 0, also where nothing was to find
and nothing was found (the convention of mir_eval): in pooled counts, a class that is absent throughout.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import intervals
from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.evaluation.matching import Ints
from pfes.evaluation.protocols import FALSE_IS_THE_REST, PROTOCOLS, Matching, Side

COUNTS = ["tp", "fp", "fn"]
MATCH_COLUMNS = ("subject", "video_id", "class", "instance", "proposal", "iou")


@dataclass(frozen=True)
class Judged:
    """Proposals judged under a protocol.

    matches : MATCH_COLUMNS; a row per instance, then per counted proposal without instance, in the order of the tables.
        ``instance`` is that of the expressions, or -1; ``proposal`` is the row among the proposals of its video, from 0
        in the order of their table, or -1; ``iou`` is that of the pair as the protocol measures it, or 0.
    counts : subject, video_id, class, tp, fp, fn; a row per video and class, in the order of the videos
    counted : [M] which proposals count
    """

    matches: pd.DataFrame
    counts: pd.DataFrame
    counted: NDArray[np.bool_]


def judge(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    proposals: pd.DataFrame,
    protocol: str = "strict",
    iou: float = 0.5,
) -> Judged:
    """Judge every instance and every proposal.

    Parameters
    ----------
    videos
        Columns subject, video_id: the videos that count.
    expressions
        Columns video_id, instance, class, onset, offset.
    proposals
        Columns video_id, class, onset, offset and, where the protocol asks for an order, score (missing: all equal); and
        number, where they are a part of the proposals (see ``numbers``).
    protocol
        Key of pfes.evaluation.protocols.PROTOCOLS.
    iou
        Least IoU of a match, in (0, 1]; taken as the nearest fraction of a denominator of at most 1000.

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
    truth, found = _side(videos, expressions), _side(videos, proposals)
    matching = PROTOCOLS[protocol](truth, found, iou)
    counts = _count(videos, truth, found, matching, protocol)
    return Judged(_match_table(videos, expressions, proposals, matching), counts, matching.counted)


def numbers(proposals: pd.DataFrame) -> NDArray[np.int64]:
    """Return the place [M] of each proposal among those of its video: its column ``number`` where rows were left out."""
    if "number" in proposals:
        return proposals["number"].to_numpy(np.int64)
    return np.asarray(proposals.groupby("video_id", sort=False).cumcount(), np.int64)


def ratios_by_class(counts: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Pool counts and make ratios.

    Parameters
    ----------
    counts
        Columns class, tp, fp, fn, any number of rows per class; see ``judge``.

    Returns
    -------
    dict
        macro, micro and overall: each tp, fp, fn (int) and precision, recall, f1 (float).
    """
    pooled = {name: counts.loc[counts["class"] == name, COUNTS].to_numpy(np.int64).sum(axis=0) for name in CLASSES}
    pooled["overall"] = np.sum(list(pooled.values()), axis=0)
    return {name: ratios(*(int(value) for value in row)) for name, row in pooled.items()}


def score(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    proposals: pd.DataFrame,
    protocol: str = "strict",
    iou: float = 0.5,
) -> dict[str, dict[str, float]]:
    """Judge and pool: ``totals`` of ``judge``, with the same parameters."""
    return totals(expressions, proposals, judge(videos, expressions, proposals, protocol, iou))


def totals(expressions: pd.DataFrame, proposals: pd.DataFrame, judged: Judged) -> dict[str, dict[str, float]]:
    """Return macro, micro and overall as ``ratios_by_class``, each with n_proposals (those counted) and n_instances."""
    number = {
        "n_proposals": _per_class(proposals.loc[judged.counted, "class"]),
        "n_instances": _per_class(expressions["class"]),
    }
    summary = ratios_by_class(judged.counts)
    return {name: {**row, **{key: of_class[name] for key, of_class in number.items()}} for name, row in summary.items()}


def ratios(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Return the counts with precision, recall and f1; a ratio without denominator is 0."""
    return {
        "tp": tp, "fp": fp, "fn": fn,
        "precision": _ratio(tp, tp + fp), "recall": _ratio(tp, tp + fn), "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }  # fmt: skip


def stated(row: Mapping[str, float]) -> dict[str, float | None]:
    """Return a row of ``ratios`` for a file: recall and f1 are None where no instance is there, for 0 would say that all were missed."""
    return {**row, **({} if row["tp"] + row["fn"] else {"recall": None, "f1": None})}


def _side(videos: pd.DataFrame, table: pd.DataFrame) -> Side:
    video = pd.Index(videos["video_id"]).get_indexer(pd.Index(table["video_id"])).astype(np.int64)
    subject = pd.factorize(videos["subject"])[0].astype(np.int64)
    return Side(
        intervals=intervals.as_intervals(table["onset"], table["offset"]),
        video=video,
        kind=pd.Index(CLASSES).get_indexer(pd.Index(table["class"])).astype(np.int64),
        subject=subject[video],
        score=table["score"].to_numpy(np.float64) if "score" in table else np.zeros(len(table)),
    )


def _count(videos: pd.DataFrame, truth: Side, found: Side, matching: Matching, protocol: str) -> pd.DataFrame:
    table = videos.loc[videos.index.repeat(len(CLASSES)), ["subject", "video_id"]].reset_index(drop=True)
    table["class"] = np.tile(np.array(CLASSES, object), len(videos))
    of_truth, of_found = (side.video * len(CLASSES) + side.kind for side in (truth, found))
    tp = _tally(of_truth[matching.pairs.instance], len(table))
    unmatched = matching.counted.copy()
    unmatched[matching.pairs.proposal] = False
    rest = _tally(of_found[matching.counted], len(table)) - tp
    fp = rest if protocol in FALSE_IS_THE_REST else _tally(of_found[unmatched], len(table))
    return table.assign(tp=tp, fp=fp, fn=_tally(of_truth, len(table)) - tp)


def _match_table(
    videos: pd.DataFrame, expressions: pd.DataFrame, proposals: pd.DataFrame, matching: Matching
) -> pd.DataFrame:
    pairs = matching.pairs
    number = numbers(proposals)
    hits = expressions[["video_id", "class", "instance"]].assign(proposal=-1, iou=0.0).reset_index(drop=True)
    hits.loc[pairs.instance, "proposal"] = number[pairs.proposal]
    hits.loc[pairs.instance, "iou"] = pairs.iou
    alone = np.setdiff1d(np.flatnonzero(matching.counted), pairs.proposal)
    false = proposals.iloc[alone][["video_id", "class"]].assign(instance=-1, proposal=number[alone], iou=0.0)
    table = pd.concat([part for part in (hits, false) if len(part)] or [hits], ignore_index=True)
    table = table.assign(subject=table["video_id"].map(videos.set_index("video_id")["subject"]))
    return table[list(MATCH_COLUMNS)].astype({"instance": "int64", "proposal": "int64", "iou": "float64"})


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


def _tally(group: Ints, size: int) -> Ints:
    return np.bincount(group, minlength=size).astype(np.int64)


def _per_class(classes: pd.Series) -> Mapping[str, int]:
    number = {name: int((classes == name).sum()) for name in CLASSES}
    return {**number, "overall": sum(number.values())}


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else 0.0
