"""What can be known from clicks alone: which are found, what is proposed besides, and what a review of it costs.

Conventions
-----------
A *click* is the one known frame of an expression; where an expression has onset and offset as well, its point, or else its
apex, stands for the click. Frames are sampled frames, intervals inclusive. A click is *found* by a proposal of its class that
contains it; one to one, the proposal of highest score first, each taking the free click nearest to its apex (of two as near,
the earlier). Taking fewer proposals of lowest score therefore changes no pair of the others.

Metrics
-------
recall = clicks found / clicks. Proposals, and those that found no click, are counted per minute of recording.
Review: a reviewer looks at proposals from the highest score down; each costs its length and ``review_s`` seconds. The recall
against minutes says what is found by then; ``minutes_80`` is when the recall reaches .8, ``saved_80`` the share of the
recordings' length that is saved by then (negative: watching it all is quicker). NaN where .8 is not reached.
Boundary error: mean of |onset of the proposal - onset|, and of offsets, s, over the pairs of IoU >= .5 of expressions
that have an interval.
Figures pool the seeds of an experiment. Intervals are bootstrapped over subjects as in ``statistics``: of one person, who has
a subject for each recording (datasets.by_recording), over recordings.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base.intervals import as_intervals
from pfes.base.records import RESULT_CLASSES
from pfes.evaluation.counts import MATCH_COLUMNS, Judged, numbers
from pfes.evaluation.matching import find_overlaps
from pfes.evaluation.parameters import BootstrapParameters
from pfes.evaluation.statistics import bounds, draws

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WANTED = 0.8  # recall at which the time of a review is told
POINTS = 100  # of a curve of recall against minutes, at most
CLICKS = ["subject", "video_id", "class", "instance", "frame", "interval"]
MATCHES = [*CLICKS, "proposal"]


def all_clicks(videos: pd.DataFrame, expressions: pd.DataFrame, clicks: pd.DataFrame) -> pd.DataFrame:
    """Return one click per expression, columns CLICKS; ``interval`` says whether it has onset and offset."""
    apex = _apex(expressions).astype("Float64")
    frame = expressions["point"].astype("Float64").fillna(apex) if "point" in expressions else apex
    parts = [
        table.assign(subject=table["video_id"].map(videos.set_index("video_id")["subject"]))[CLICKS]
        for table in (
            expressions.assign(frame=frame.round().astype("int64"), interval=True),
            clicks.assign(interval=False),
        )
    ]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def match_clicks(clicks: pd.DataFrame, proposals: pd.DataFrame) -> Ints:
    """Return for each click the row of the proposal that finds it, or -1: [I]; see Conventions.

    ``clicks`` has video_id, class, frame; ``proposals`` video_id, class, onset, apex, offset, score.
    """
    found = np.full(len(clicks), -1, np.int64)
    frames = clicks["frame"].to_numpy(np.int64)
    places = clicks.reset_index(drop=True).groupby(["video_id", "class"], sort=False).indices
    order = np.argsort(-_score(proposals), kind="stable")
    columns = [proposals[name].to_numpy() for name in ("video_id", "class", "onset", "offset")]
    columns.insert(3, _apex(proposals).to_numpy())
    for row in order:
        video_id, kind, onset, apex, offset = (column[row] for column in columns)
        own = places.get((video_id, kind), np.empty(0, np.int64))
        free = own[(found[own] < 0) & (frames[own] >= onset) & (frames[own] <= offset)]
        if len(free):
            found[min(free, key=lambda click: (abs(frames[click] - apex), frames[click]))] = row
    return found


def _score(proposals: pd.DataFrame) -> Floats:
    """Return the scores [M], all equal where the table has none."""
    return proposals["score"].to_numpy(np.float64) if "score" in proposals else np.zeros(len(proposals))


def _apex(table: pd.DataFrame) -> pd.Series:
    """Return the apex of intervals, the midpoint where the table has none."""
    return table["apex"] if "apex" in table else (table["onset"] + table["offset"]) // 2


def match_table(clicks: pd.DataFrame, proposals: pd.DataFrame) -> pd.DataFrame:
    """Return ``clicks`` with the column ``proposal``: its place among the proposals of the video, or -1."""
    found = match_clicks(clicks, proposals)
    return clicks.assign(proposal=np.where(found >= 0, np.append(numbers(proposals), -1)[found], -1))[MATCHES]


def match_without_interval(
    expressions: pd.DataFrame, clicks: pd.DataFrame, proposals: pd.DataFrame, iou: float
) -> Ints:
    """Return for each click without interval the row of the proposal that finds it, or -1: [I].

    A proposal that reaches an interval of its class at ``iou`` finds none: it is that expression's.
    """
    alone = np.ones(len(proposals), bool)
    if len(expressions) and len(proposals):
        pairs = pd.concat([table[["video_id", "class"]] for table in (expressions, proposals)])
        key = pd.factorize(pd.MultiIndex.from_frame(pairs))[0].astype(np.int64)
        truth, found = (as_intervals(table["onset"], table["offset"]) for table in (expressions, proposals))
        near = find_overlaps(truth, key[: len(expressions)], found, key[len(expressions) :], iou)
        alone[near.proposal] = False
    rows = np.flatnonzero(alone)
    taken = match_clicks(clicks, proposals.iloc[rows])
    return np.where(taken >= 0, np.append(rows, -1)[taken], -1)


def not_counted(
    expressions: pd.DataFrame, clicks: pd.DataFrame, proposals: pd.DataFrame, iou: float
) -> NDArray[np.bool_]:
    """Return which proposals [M] an F1 leaves out: those of expressions that have no interval to be compared with.

    Where no expression has an interval at all, none is counted.
    """
    if expressions.empty and len(clicks):
        return np.ones(len(proposals), bool)
    taken = match_without_interval(expressions, clicks, proposals, iou)
    return np.isin(np.arange(len(proposals)), taken)


def outcomes(
    videos: pd.DataFrame, expressions: pd.DataFrame, clicks: pd.DataFrame, proposals: pd.DataFrame, iou: float
) -> pd.DataFrame:
    """Return what became of the clicks without interval as rows of ``counts.Judged.matches``, their IoU 0.

    Where no expression has an interval, the proposals that find no click are rows too.
    """
    taken = match_without_interval(expressions, clicks, proposals, iou)
    place = np.append(numbers(proposals), -1)
    table = clicks[["video_id", "class", "instance"]].assign(proposal=place[taken], iou=0.0)
    if expressions.empty and len(clicks):
        rest = np.setdiff1d(np.arange(len(proposals)), taken)
        false = proposals.iloc[rest][["video_id", "class"]].assign(instance=-1, proposal=place[rest], iou=0.0)
        table = pd.concat([part for part in (table, false) if len(part)], ignore_index=True)
    subject = table["video_id"].map(videos.set_index("video_id")["subject"])
    return table.assign(subject=subject)[list(MATCH_COLUMNS)]


def click_table(
    videos: pd.DataFrame,
    clicks: pd.DataFrame,
    runs: Sequence[pd.DataFrame],
    errors: pd.DataFrame,
    review_s: float,
    params: BootstrapParameters = BootstrapParameters(),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what an experiment finds of the clicks, and its recall against the minutes of a review.

    Parameters
    ----------
    videos : subject, video_id, n_frames, sampled_fps; those refused have no frames.
    clicks : CLICKS; runs : the proposals of each seed; errors : of ``boundary_errors``, all seeds.
    review_s : what a look at a proposal costs besides its length, s.

    Returns
    -------
    table : a row per class and overall: clicks, found (means of a seed), recall, proposals_per_minute,
        unmatched_per_minute, onset_error_s, offset_error_s, each with ``_low`` and ``_high``; pairs, recorded_minutes,
        minutes_80, saved_80.
    curve : a row per class and place on the curve: class, score, minutes, recall, low, high.
    """
    subjects = sorted(set(videos["subject"]))
    seconds = videos["n_frames"] / videos["sampled_fps"].replace(0, np.nan)
    recorded_s = seconds.fillna(0).groupby(videos["subject"]).sum()
    minutes = np.array([float(recorded_s[name]) / 60 * len(runs) for name in subjects], np.float64)
    rate = videos.set_index("video_id")["sampled_fps"]
    taken = draws(len(subjects), params)
    rows, curves = [], []
    for kind in RESULT_CLASSES:
        own = clicks if kind == "overall" else clicks[clicks["class"] == kind]
        ordered = _ordered(own, runs, kind, rate, review_s)
        ordered["subject"] = ordered["video_id"].map(videos.set_index("video_id")["subject"])
        of_subject = {
            name: _per_subject(part["subject"], subjects) for name, part in (("clicks", own), ("proposals", ordered))
        }
        found = _per_subject(ordered.loc[ordered["found"], "subject"], subjects)
        total = of_subject["clicks"] * len(runs)
        figures: dict[str, tuple[Floats, Floats]] = {
            "recall": (found, total),
            "proposals_per_minute": (of_subject["proposals"], minutes),
            "unmatched_per_minute": (of_subject["proposals"] - found, minutes),
        }
        pairs = errors if kind == "overall" else errors[errors["class"] == kind]
        count = _per_subject(pairs["subject"], subjects)
        for name in ("onset_error_s", "offset_error_s"):
            summed = pairs.groupby("subject")[name].sum().astype("float64").reindex(subjects, fill_value=0.0)
            figures[name] = (summed.to_numpy(np.float64), count)
        row: dict[str, float | str] = {"class": kind, "clicks": len(own), "found": found.sum() / max(len(runs), 1)}
        for name, (above, below) in figures.items():
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), _share(above, below, taken, params), strict=True))
        curve = _curve(ordered, subjects, total, taken, params).assign(**{"class": kind})
        curve["minutes"] /= max(len(runs), 1)
        recorded = float(minutes.sum() / max(len(runs), 1))
        reached = curve.loc[curve["recall"] >= WANTED - 1e-9, "minutes"]
        needed = float(reached.iloc[0]) if len(reached) else np.nan
        saved = 1 - needed / recorded if recorded else np.nan
        rows.append({**row, "pairs": len(pairs), "recorded_minutes": recorded, "minutes_80": needed, "saved_80": saved})
        curves.append(curve[["class", "score", "minutes", "recall", "low", "high"]])
    return pd.DataFrame(rows), pd.concat(curves, ignore_index=True)


def boundary_errors(
    videos: pd.DataFrame, expressions: pd.DataFrame, proposals: pd.DataFrame, judged: Judged
) -> pd.DataFrame:
    """Return subject, class, onset_error_s and offset_error_s (sizes) of every matched pair."""
    pairs = judged.matches[(judged.matches["instance"] >= 0) & (judged.matches["proposal"] >= 0)]
    truth = expressions.set_index(["video_id", "instance"]).reindex(
        pd.MultiIndex.from_frame(pairs[["video_id", "instance"]])
    )
    found = proposals.set_index([proposals["video_id"], pd.Index(numbers(proposals))])
    found = found.reindex(pd.MultiIndex.from_frame(pairs[["video_id", "proposal"]]))
    rate = pairs["video_id"].map(videos.set_index("video_id")["sampled_fps"]).to_numpy(np.float64)
    sizes = {
        f"{name}_error_s": np.abs(found[name].to_numpy(np.float64) - truth[name].to_numpy(np.float64)) / rate
        for name in ("onset", "offset")
    }
    return pairs[["subject", "class"]].assign(**sizes).reset_index(drop=True)


def _ordered(
    clicks: pd.DataFrame, runs: Sequence[pd.DataFrame], kind: str, rate: pd.Series, review_s: float
) -> pd.DataFrame:
    """Return the proposals of all seeds from the highest score down: video_id, score, seconds of a look, found a click."""
    parts = []
    for run in runs:
        own = run if kind == "overall" else run[run["class"] == kind]
        taken = match_clicks(clicks, own)
        found = np.isin(np.arange(len(own)), taken)
        looked = (own["offset"] - own["onset"] + 1) / own["video_id"].map(rate) + review_s
        looks = {"score": _score(own), "seconds": looked.astype(np.float64), "found": found}
        parts.append(pd.DataFrame({"video_id": own["video_id"], **looks}))
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def _per_subject(values: pd.Series, subjects: Sequence[str]) -> Floats:
    return np.asarray(values.value_counts().reindex(list(subjects), fill_value=0), np.float64)


def _share(above: Floats, below: Floats, taken: Floats, params: BootstrapParameters) -> tuple[float, float, float]:
    """Return sum of ``above`` [S] over sum of ``below`` [S] with its interval; NaN where there is nothing below."""
    if below.sum() == 0:
        return np.nan, np.nan, np.nan
    low, high = _interval(above[None], below, taken, params)
    return float(above.sum() / below.sum()), float(low[0]), float(high[0])


def _interval(above: Floats, below: Floats, taken: Floats, params: BootstrapParameters) -> tuple[Floats, Floats]:
    """Return the bounds [K] of the shares of ``above`` [K, S] over ``below`` [S] in draws of subjects [B, S]."""
    under = taken @ below
    drawn = (taken @ above.T)[under > 0] / under[under > 0, None]
    low, high = bounds(drawn, params.level, len(below))
    return low, high


def _curve(
    ordered: pd.DataFrame, subjects: Sequence[str], total: Floats, taken: Floats, params: BootstrapParameters
) -> pd.DataFrame:
    """Return the recall after so many minutes of review, with its interval; ``minutes`` are of all seeds together."""
    if ordered.empty or total.sum() == 0:
        return pd.DataFrame({name: np.empty(0) for name in ("score", "minutes", "recall", "low", "high")})
    place = pd.Index(subjects).get_indexer(pd.Index(ordered["subject"]))
    hits = np.zeros((len(ordered), len(subjects)))
    hits[np.arange(len(ordered)), place] = ordered["found"]
    last = ordered["score"].to_numpy() != ordered["score"].shift(-1).to_numpy()  # equal scores are looked at together
    ends = np.flatnonzero(last)
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(POINTS, len(ends))).round().astype(int))]
    above = hits.cumsum(axis=0)[ends]
    low, high = _interval(above, total, taken, params)
    minutes = ordered["seconds"].cumsum().to_numpy()[ends] / 60
    recall = above.sum(axis=1) / total.sum()
    return pd.DataFrame(
        {"score": ordered["score"].to_numpy()[ends], "minutes": minutes, "recall": recall, "low": low, "high": high}
    )


def click_tables(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    clicks: pd.DataFrame,
    runs: Mapping[str, Mapping[int, pd.DataFrame]],
    judged: Mapping[tuple[str, int], Judged],
    review_s: float,
    params: BootstrapParameters,
) -> dict[str, pd.DataFrame]:
    """Return the tables ``clicks_found``, ``review`` and ``click_matches`` of all experiments.

    ``runs`` holds all proposals, also those that an F1 does not count; ``judged`` those that it does, under ``strict``.
    """
    everything = all_clicks(videos, expressions, clicks)
    tables: dict[str, list[pd.DataFrame]] = {"clicks_found": [], "review": [], "click_matches": []}
    for name, seeds in runs.items():
        errors = pd.concat(
            [boundary_errors(videos, expressions, table, judged[name, seed]) for seed, table in seeds.items()],
            ignore_index=True,
        )
        for kind, table in zip(
            ("clicks_found", "review"),
            click_table(videos, everything, list(seeds.values()), errors, review_s, params),
            strict=True,
        ):
            tables[kind].append(table.assign(experiment=name)[["experiment", *table.columns]])
        for seed, table in seeds.items():
            found = match_table(everything, table)
            tables["click_matches"].append(found.assign(experiment=name, seed=seed)[["experiment", "seed", *MATCHES]])
    return {kind: pd.concat([p for p in parts if len(p)] or parts, ignore_index=True) for kind, parts in tables.items()}
