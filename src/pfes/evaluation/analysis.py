"""Stage evaluate, second part: the tables of a run that say where its figures come from and what each choice is worth.

Every table is Parquet, kind and file name as in TABLES, a row per experiment and what the columns say; counts are pooled
over the seeds of an experiment. All are made under the protocol of the configuration but ``protocol_table`` (all of them)
and ``errors`` (always ``strict``, where an error has one meaning).

    intervals         experiment, class, f1, low, high (bootstrap over subjects), mean, sd, n_seeds, seed_low, seed_high (over seeds)
    differences       first, second, class, difference (F1 of second - first), low, high, p
    protocol_table    see pfes.evaluation.protocol_table
    by_iou            experiment, class, iou, tp, fp, fn, precision, recall, f1
    recall_by         experiment, class, by (duration, amplitude or subject), group, n, recall
    precision_recall  experiment, class, score, tp, fp, fn, precision, recall, f1
    apex_errors       experiment, class, n, median_frames (of |error|), mean_share (of |error| / duration)
    errors            experiment, seed and pfes.evaluation.error_analysis.ERROR_COLUMNS
    clicks_found, review, click_matches   see pfes.evaluation.clicks; of all proposals, whatever the protocol
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pfes.base import store
from pfes.base.records import RESULT_CLASSES
from pfes.evaluation.breakdown import (
    AMPLITUDES_PX,
    DURATIONS_S,
    apex_errors,
    durations,
    f1_over_iou,
    precision_recall,
    recall_by,
    recall_by_subject,
    true_amplitudes,
)
from pfes.evaluation.clicks import click_tables
from pfes.evaluation.counts import Judged, judge
from pfes.evaluation.error_analysis import find_errors, video_causes
from pfes.evaluation.metrics import Files, JudgedRun, Key, stack
from pfes.evaluation.protocol_table import Kept, Runs, protocol_table

TABLES = (
    "intervals", "differences", "protocol_table", "by_iou", "recall_by", "precision_recall", "apex_errors", "errors",
    "clicks_found", "review", "click_matches",
)  # fmt: skip

Property = tuple[pd.Series, Sequence[float], str]  # of each instance, edges of its bins, unit


@dataclass(frozen=True)
class AnalysisFiles:
    """What an analysis may use beside the proposals.

    Attributes
    ----------
    dataset
        Name of the adapter; published rows are shown beside casme2 and samm_lv only.
    chosen
        experiment -> how its epoch was chosen, ``fixed`` (default) or ``inner``.
    kept
        Files of kind ``epoch_proposals`` of the experiments that kept their epochs: they give the oracles, and ``fixed``
        (the last one) where the epoch was chosen otherwise.
    flow
        video_id -> file of kind ``flow``, for the causes of errors.
    truth
        video_id -> file of kind ``truth`` of rendered videos, for recall by amplitude.
    unlimited
        Files of kind ``proposals`` without a least score, of the experiments that choose it; they give an oracle.
    """

    dataset: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)
    kept: Files = field(default_factory=dict)
    flow: Mapping[str, Path | str] = field(default_factory=dict)
    truth: Mapping[str, Path | str] = field(default_factory=dict)
    unlimited: Files = field(default_factory=dict)


def analyse_run(run: JudgedRun, out: Mapping[str, Path | str], files: AnalysisFiles = AnalysisFiles()) -> None:
    """Write the tables of TABLES to the path of each kind in ``out``."""
    videos, expressions, runs, judged, params = run.videos, run.expressions, run.proposals, run.judged, run.params
    strict = judged if params.protocol == "strict" else {
        key: judge(videos, expressions, table, "strict", params.iou) for key, table in runs.items()
    }  # fmt: skip
    choices, kept = epoch_choices(run, files.chosen, files.kept)
    every = {
        name: {
            seed: pd.concat([store.read_table(path, "proposals") for path in paths]) for seed, paths in seeds.items()
        }
        for name, seeds in files.unlimited.items()
    }
    causes = video_causes(files.flow)
    values: dict[str, Property] = {"duration": (durations(videos, expressions), DURATIONS_S, "s")}
    if files.truth:
        values["amplitude"] = (true_amplitudes(expressions, files.truth), AMPLITUDES_PX, "px")
    errors = {
        key: find_errors(expressions, runs[key], one.matches, causes, iou=params.iou) for key, one in strict.items()
    }
    tables = {
        **run.trust.tables(),
        "protocol_table": protocol_table(
            videos, expressions, choices, kept, unlimited=every, dataset=files.dataset, iou=params.iou
        ),
        "by_iou": _each(runs, lambda own: f1_over_iou(videos, expressions, own, params.protocol)),
        "recall_by": _recall_by(judged, values),
        "precision_recall": _each(
            runs, lambda own: precision_recall(videos, expressions, own, params.protocol, params.iou)
        ),
        "apex_errors": _apex_errors(judged, expressions, runs),
        "errors": stack(errors),
        **click_tables(
            videos, expressions, run.clicks, _by_experiment(run.everything), strict, params.review_s, params.bootstrap
        ),
    }
    for kind in TABLES:
        store.write_table(out[kind], kind, tables[kind], run.made)


def _by_experiment(runs: Mapping[Key, pd.DataFrame]) -> dict[str, dict[int, pd.DataFrame]]:
    found: dict[str, dict[int, pd.DataFrame]] = {}
    for (name, seed), table in runs.items():
        found.setdefault(name, {})[seed] = table
    return found


def epoch_choices(run: JudgedRun, chosen: Mapping[str, str], kept: Files) -> tuple[dict[str, Runs], Kept]:
    """Return epoch choice -> experiment -> seed -> proposals, and the proposals of kept epochs; see ``protocol_table``."""
    runs = _by_experiment(run.proposals)
    choices: dict[str, dict[str, dict[int, pd.DataFrame]]] = {"fixed": {}, "inner": {}}
    for name, seeds in runs.items():
        choices[chosen.get(name, "fixed")][name] = dict(seeds)
    by_epoch = {name: {seed: read_epochs(paths) for seed, paths in files.items()} for name, files in kept.items()}
    for name, found in by_epoch.items():
        if name not in runs or chosen.get(name) == "inner":
            choices["fixed"][name] = {seed: own[max(own)] for seed, own in found.items()}
    return dict(choices), by_epoch


def read_epochs(paths: Iterable[Path | str]) -> dict[int, pd.DataFrame]:
    """Return epoch -> proposals from the ``epoch_proposals`` of all folds; an epoch without a proposal has an empty table."""
    paths = list(paths)
    table = pd.concat([store.read_table(path, "epoch_proposals") for path in paths], ignore_index=True)
    epochs = store.describe(paths[0])["provenance"]["parameters"]["epochs"]
    return {epoch: table[table["epoch"] == epoch].drop(columns="epoch").reset_index(drop=True) for epoch in epochs}


def _each(runs: Mapping[Key, pd.DataFrame], table: Callable[[list[pd.DataFrame]], pd.DataFrame]) -> pd.DataFrame:
    """Stack a table of each experiment, made from the proposals of its seeds."""
    made = {name: table(list(seeds.values())) for name, seeds in _by_experiment(runs).items()}
    return pd.concat([found.assign(experiment=name)[["experiment", *found.columns]] for name, found in made.items()])


def _recall_by(judged: Mapping[Key, Judged], values: Mapping[str, Property]) -> pd.DataFrame:
    tables = []
    for name in _names(judged):
        own = [found.matches for (other, _), found in judged.items() if other == name]
        matches = pd.concat(own)
        for by, (of_instance, edges, unit) in values.items():
            found = recall_by(matches, of_instance, edges)
            groups = [_group(low, high, unit) for low, high in zip(found["low"], found["high"], strict=True)]
            tables.append(found.assign(experiment=name, by=by, group=groups))
        found = recall_by_subject(matches)
        tables.append(found.assign(experiment=name, by="subject", group=found["subject"]))
        for table in tables[-len(values) - 1 :]:
            table["n"] = table["n_instances"] // len(own)
    return pd.concat(tables, ignore_index=True)[["experiment", "class", "by", "group", "n", "recall"]]


def _group(low: float, high: float, unit: str) -> str:
    if np.isinf(high):
        return f"at least {low:g} {unit}"
    return f"{low:g} to {high:g} {unit}"


def _apex_errors(
    judged: Mapping[Key, Judged], expressions: pd.DataFrame, runs: Mapping[Key, pd.DataFrame]
) -> pd.DataFrame:
    rows = []
    for name in _names(judged):
        keys = [key for key in judged if key[0] == name and "apex" in runs[key]]
        parts = [apex_errors(judged[key].matches, expressions, runs[key]) for key in keys]
        errors = pd.concat(parts) if parts else pd.DataFrame(columns=["class", "error_frames", "error"])
        for kind in RESULT_CLASSES:
            own = errors if kind == "overall" else errors[errors["class"] == kind]
            frames, share = own["error_frames"].abs().median(), own["error"].mean()
            rows.append(
                {"experiment": name, "class": kind, "n": len(own), "median_frames": frames, "mean_share": share}
            )
    return pd.DataFrame(rows).astype({"median_frames": "float64", "mean_share": "float64"})


def _names(judged: Mapping[Key, Judged]) -> list[str]:
    return list(dict.fromkeys(name for name, _ in judged))
