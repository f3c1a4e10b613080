"""The stage evaluate: folds and seeds pooled, a seedless experiment, the summary."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.evaluation import metrics as evaluation
from pfes.evaluation.counts import MATCH_COLUMNS
from pfes.evaluation.metrics import NO_SEED
from tests.timelines import table, videos

# A run ---------------------------------------------------------------------------------------------------------------


def write_run(folder: Path, files: dict[str, pd.DataFrame]) -> dict[str, Path]:
    origin = provenance.record("test", {})
    paths = {name: folder / f"{name}.parquet" for name in files}
    for name, frame in files.items():
        kind = name if name in ("videos", "expressions") else "proposals"
        store.write_table(paths[name], kind, frame, origin)
    return paths


def evaluate(folder: Path, paths: dict[str, Path], proposals: dict[str, dict[int, list[Path]]]) -> dict[str, object]:
    names = ("metrics.parquet", "counts.parquet", "matches.parquet", "summary.json")
    run = evaluation.judge_run(paths["videos"], paths["expressions"], proposals, evaluation.EvaluateParameters())
    return evaluation.write_evaluation(run, evaluation.Outputs(*(folder / name for name in names)), "demo")


def test_a_run_pools_folds_and_seeds_and_counts_a_seedless_experiment_once(tmp_path: Path) -> None:
    paths = write_run(
        tmp_path,
        {
            "videos": videos("a1", "b1"),
            "expressions": table([("a1", "macro", 0, 19), ("b1", "micro", 5, 14)]),
            "a_hit": table([("a1", "macro", 0, 19)]),
            "b_hit": table([("b1", "micro", 5, 14)]),
            "b_none": table([]),
            "flow": table([("a1", "macro", 50, 60), ("b1", "micro", 5, 14)]),
        },
    )
    learned = {0: [paths["a_hit"], paths["b_hit"]], 1: [paths["a_hit"], paths["b_none"]]}
    summary = evaluate(tmp_path, paths, {"gim": learned, "flow": {NO_SEED: [paths["flow"]]}})
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert {key: summary[key] for key in ("run", "protocol", "seeds")} == {
        "run": "demo",
        "protocol": "strict",
        "seeds": [0, 1],
    }
    assert summary["experiments"]["gim"]["overall"] == {  # type: ignore[index]
        "tp": 3, "fp": 0, "fn": 1, "precision": 1.0, "recall": 0.75, "f1": 6 / 7,
    }  # fmt: skip
    assert summary["experiments"]["flow"]["overall"]["tp"] == 1  # type: ignore[index]

    metrics = store.read_table(tmp_path / "metrics.parquet", "metrics")
    assert list(metrics.columns) == ["experiment", "seed", "class", "tp", "fp", "fn", "precision", "recall", "f1"]
    overall = metrics[metrics["class"] == "overall"].set_index(["experiment", "seed"])["f1"]
    assert overall.to_dict() == {("gim", 0): 1.0, ("gim", 1): 2 / 3, ("flow", NO_SEED): 0.5}

    counts = store.read_table(tmp_path / "counts.parquet", "counts")
    assert list(counts.columns) == ["experiment", "seed", "subject", "video_id", "class", "tp", "fp", "fn"]
    assert len(counts) == 3 * 2 * 2
    matches = store.read_table(tmp_path / "matches.parquet", "matches")
    assert list(matches.columns) == ["experiment", "seed", *MATCH_COLUMNS]
    missed = matches[(matches["seed"] == 1) & (matches["proposal"] < 0)]
    assert missed[["video_id", "class"]].to_numpy().tolist() == [["b1", "micro"]]


def test_a_run_in_which_nothing_is_found(tmp_path: Path) -> None:
    paths = write_run(
        tmp_path, {"videos": videos("a1"), "expressions": table([("a1", "macro", 0, 9)]), "none": table([])}
    )
    summary = evaluate(tmp_path, paths, {"gim": {0: [paths["none"]]}})
    assert summary["experiments"]["gim"]["macro"]["fn"] == 1  # type: ignore[index]
    assert summary["experiments"]["gim"]["macro"]["f1"] == 0  # type: ignore[index]


def test_a_class_without_an_instance_has_no_f1_and_no_recall(tmp_path: Path) -> None:
    """Its proposals are counted; a 0 would say that all of it was missed."""
    tables = {
        "videos": videos("a1"),
        "expressions": table([("a1", "macro", 0, 9)]),
        "found": table([("a1", "micro", 30, 39)]),
    }
    summary = evaluate(tmp_path, write_run(tmp_path, tables), {"gim": {0: [tmp_path / "found.parquet"]}})
    assert summary["experiments"]["gim"]["micro"] == {  # type: ignore[index]
        "tp": 0, "fp": 1, "fn": 0, "precision": 0.0, "recall": None, "f1": None,
    }  # fmt: skip


def test_a_video_in_two_files_of_one_seed_is_refused(tmp_path: Path) -> None:
    row = table([("a1", "macro", 0, 9)])
    paths = write_run(tmp_path, {"videos": videos("a1"), "expressions": row, "first": row, "second": row})
    with pytest.raises(InputError, match=r"video a1 is in .*first\.parquet too"):
        evaluate(tmp_path, paths, {"gim": {0: [paths["first"], paths["second"]]}})
    assert not (tmp_path / "summary.json").exists()
