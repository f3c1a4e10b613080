"""The tables that explain a run: one row per experiment and class, pooled over seeds, errors under strict."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.evaluation import analysis
from pfes.evaluation.analysis import AnalysisFiles
from pfes.evaluation.metrics import NO_SEED, Outputs, judge_run, write_evaluation
from pfes.evaluation.parameters import BootstrapParameters, EvaluateParameters
from pfes.evaluation.protocol_table import protocol_table
from pfes.evaluation.protocols import PROTOCOLS
from tests.timelines import table, videos

PARAMS = EvaluateParameters(bootstrap=BootstrapParameters(samples=100))
TRUTH = table([("a1", "macro", 0, 19), ("b1", "micro", 5, 14), ("b1", "macro", 40, 69)]).assign(apex=[10, 9, 50])


def write(folder: Path, kind: str, frame: pd.DataFrame, name: str | None = None) -> Path:
    path = folder / f"{name or kind}.parquet"
    store.write_table(path, kind, frame, provenance.record("test", {}))
    return path


def found(rows: list[tuple[str, str, int, int]]) -> pd.DataFrame:
    frame = table(rows)
    return frame.assign(apex=(frame["onset"] + frame["offset"]) // 2, score=np.linspace(0.9, 0.1, len(frame)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The tables of a run of two experiments, one with two seeds, of three videos (one without an instance)."""
    folder = tmp_path_factory.mktemp("run")
    known = videos("a1", "b1", "b2").assign(sampled_fps=30.0, n_frames=900)
    paths = [write(folder, "videos", known), write(folder, "expressions", TRUTH)]
    first = found([("a1", "macro", 0, 19), ("b1", "micro", 5, 14), ("b2", "micro", 3, 12)])
    second = found([("a1", "macro", 0, 19), ("b1", "micro", 30, 39)])
    other = found([("b1", "macro", 45, 69)])
    files = [write(folder, "proposals", frame, str(index)) for index, frame in enumerate((first, second, other))]
    proposals = {"gim": {0: [files[0]], 1: [files[1]]}, "flow": {NO_SEED: [files[2]]}}
    out = {kind: folder / "out" / f"{kind}.parquet" for kind in analysis.TABLES}
    analysis.analyse_run(judge_run(*paths, proposals, PARAMS), out, AnalysisFiles("generic"))
    return {kind: store.read_table(path, kind) for kind, path in out.items()}


def test_intervals_hold_f1_and_its_spread(run: dict[str, pd.DataFrame]) -> None:
    rows = run["intervals"].set_index(["experiment", "class"])
    assert rows.loc[("gim", "overall"), "f1"] == pytest.approx(6 / 11)  # tp 3, fp 2, fn 3 over two seeds
    assert rows.loc[("gim", "overall"), "n_seeds"] == 2
    assert rows.loc[("gim", "overall"), "mean"] == pytest.approx((4 / 6 + 2 / 5) / 2)
    assert rows.loc[("gim", "overall"), "low"] < 6 / 11 < rows.loc[("gim", "overall"), "high"]
    assert np.isnan(rows.loc[("flow", "overall"), "sd"])


def test_differences_are_of_the_second_experiment_from_the_first(run: dict[str, pd.DataFrame]) -> None:
    rows = run["differences"].set_index("class")
    assert set(zip(rows["first"], rows["second"], strict=True)) == {("gim", "flow")}
    assert rows.loc["overall", "difference"] == pytest.approx(2 / 4 - 6 / 11)


def test_protocols_stand_side_by_side_and_no_paper_beside_ones_own_videos(run: dict[str, pd.DataFrame]) -> None:
    rows = run["protocol_table"]
    assert len(rows) == 2 * len(PROTOCOLS)
    assert not rows["published"].any()


def test_f1_over_iou_has_nine_thresholds(run: dict[str, pd.DataFrame]) -> None:
    rows = run["by_iou"]
    flow = rows[(rows["experiment"] == "flow") & (rows["class"] == "macro")].set_index("iou")["f1"]
    assert len(flow) == 9
    assert flow[0.8] > flow[0.9] == 0  # 25 of 30


def test_recall_is_by_duration_and_subject(run: dict[str, pd.DataFrame]) -> None:
    rows = run["recall_by"].set_index(["experiment", "class", "by", "group"])
    assert rows.loc[("gim", "macro", "duration", "0.5 to 1 s"), ["n", "recall"]].tolist() == [1, 1.0]
    assert rows.loc[("gim", "macro", "duration", "1 to 2 s"), ["n", "recall"]].tolist() == [1, 0.0]
    assert rows.loc[("gim", "micro", "duration", "0.25 to 0.5 s"), ["n", "recall"]].tolist() == [1, 0.5]
    assert rows.loc[("gim", "overall", "subject", "a"), ["n", "recall"]].tolist() == [1, 1.0]


def test_apex_errors_are_of_matched_pairs(run: dict[str, pd.DataFrame]) -> None:
    rows = run["apex_errors"].set_index(["experiment", "class"])
    assert rows.loc[("flow", "macro"), ["n", "median_frames", "mean_share"]].tolist() == [1, 7.0, 7 / 30]
    assert rows.loc[("flow", "micro"), "n"] == 0


def test_errors_are_named_for_every_seed(run: dict[str, pd.DataFrame]) -> None:
    rows = run["errors"]
    own = rows[(rows["experiment"] == "gim") & (rows["seed"] == 0)]
    assert own[["video_id", "class", "kind", "cause"]].to_numpy().tolist() == [
        ["b1", "macro", "missed", ""],
        ["b2", "micro", "false alarm", ""],
    ]


def test_the_curve_ends_at_all_proposals(run: dict[str, pd.DataFrame]) -> None:
    rows = run["precision_recall"]
    last = rows[(rows["experiment"] == "gim") & (rows["class"] == "overall")].iloc[-1]
    assert last[["tp", "fp", "fn"]].tolist() == [3, 2, 3]


def test_the_summary_holds_intervals_and_comparisons_as_plain_json(tmp_path: Path) -> None:
    known = videos("a1").assign(sampled_fps=30.0, n_frames=900)
    paths = [write(tmp_path, "videos", known), write(tmp_path, "expressions", TRUTH[:1])]
    file = write(tmp_path, "proposals", found([("a1", "macro", 0, 19)]))
    names = ("metrics", "counts", "matches", "summary")
    outs = [tmp_path / f"out_{name}" for name in names]
    run = judge_run(*paths, {"x": {0: [file]}, "y": {0: [file]}}, PARAMS)
    write_evaluation(run, Outputs(*outs), "r")
    summary = json.loads(outs[-1].read_text())
    assert summary["intervals"]["x"]["macro"] == {"value": 1.0, "low": None, "high": None}  # one subject: no interval
    assert [(row["first"], row["second"]) for row in summary["comparisons"]] == [("x", "y")]
    assert summary["comparisons"][0]["overall"]["value"] == 0.0
    assert summary["spread"]["x"]["macro"]["n_seeds"] == 1


def test_a_perfect_single_experiment_leaves_tables_that_can_be_read(tmp_path: Path) -> None:
    known = videos("a1").assign(sampled_fps=30.0, n_frames=900)
    paths = [write(tmp_path, "videos", known), write(tmp_path, "expressions", TRUTH[:1])]
    file = write(tmp_path, "proposals", found([("a1", "macro", 0, 19)]))
    out = {kind: tmp_path / "out" / f"{kind}.parquet" for kind in analysis.TABLES}
    analysis.analyse_run(judge_run(*paths, {"x": {0: [file]}}, PARAMS), out, AnalysisFiles("casme2"))
    tables = {kind: store.read_table(path, kind) for kind, path in out.items()}
    assert len(tables["errors"]) == len(tables["differences"]) == 0
    assert tables["protocol_table"]["published"].sum() == 15
    assert tables["intervals"]["f1"].tolist() == [1.0, 0.0, 1.0]


def test_a_run_without_any_proposal_leaves_tables_that_can_be_read(tmp_path: Path) -> None:
    known = videos("a1").assign(sampled_fps=30.0, n_frames=900)
    paths = [write(tmp_path, "videos", known), write(tmp_path, "expressions", TRUTH[:1])]
    out = {kind: tmp_path / "out" / f"{kind}.parquet" for kind in analysis.TABLES}
    analysis.analyse_run(judge_run(*paths, {"x": {0: []}}, PARAMS), out)
    assert store.read_table(out["errors"], "errors")["kind"].tolist() == ["missed"]
    assert len(store.read_table(out["precision_recall"], "precision_recall")) == 0


def test_kept_epochs_give_the_oracle_and_the_last_epoch(tmp_path: Path) -> None:
    """Two subjects, one instance each: epoch 7 finds that of a, epoch 8 that of b; the epoch chosen on others is 7."""
    listed = pd.DataFrame({"video_id": ["a1", "b1"], "subject": ["a", "b"], "sampled_fps": 30.0, "n_frames": 900})
    expressions = found([("a1", "macro", 10, 40), ("b1", "macro", 10, 40)])
    right = {7: found([("a1", "macro", 10, 40)]), 8: found([("b1", "macro", 10, 40)])}
    paths = []
    for fold in ("a", "b"):
        tables = [own[own["video_id"] == f"{fold}1"].assign(epoch=epoch) for epoch, own in right.items()]
        path = tmp_path / f"{fold}.parquet"
        store.write_table(path, "epoch_proposals", pd.concat(tables), {"parameters": {"epochs": [7, 8, 9]}})
        paths.append(path)
    first = write(tmp_path, "proposals", right[7])
    inputs = write(tmp_path, "videos", listed), write(tmp_path, "expressions", expressions)
    run = judge_run(*inputs, {"x": {0: [first]}}, PARAMS)
    choices, kept = analysis.epoch_choices(run, {"x": "inner"}, {"x": {0: paths}})
    assert sorted(kept["x"][0]) == [7, 8, 9]
    assert choices["inner"]["x"][0]["video_id"].tolist() == ["a1"]
    assert len(choices["fixed"]["x"][0]) == 0  # the last epoch spotted nothing
    rows = protocol_table(listed, expressions, choices, kept)
    strict = rows[rows["protocol"] == "strict"].set_index("epochs")["overall"]
    assert strict.to_dict() == {"fixed": 0.0, "inner": pytest.approx(2 / 3), "oracle": 1.0, "oracle-class": 1.0}
