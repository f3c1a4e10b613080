"""F1 over IoU, precision and recall over score, recall by kind of instance, apex error: on drawings and known numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.evaluation import counts
from pfes.evaluation.breakdown import (
    apex_errors,
    durations,
    f1_over_iou,
    precision_recall,
    recall_by,
    recall_by_subject,
    true_amplitudes,
)
from tests.timelines import drawn, table, videos


def test_f1_falls_where_the_threshold_passes_the_iou() -> None:
    truth = drawn("a1", macro=("..##########..",))
    found = drawn("a1", macro=("..######......",))  # 6 of 10
    rows = f1_over_iou(videos("a1"), truth, [found])
    macro = rows[rows["class"] == "macro"].set_index("iou")["f1"]
    assert macro.to_dict() == {round(tenth / 10, 1): float(tenth <= 6) for tenth in range(1, 10)}


def test_counts_are_pooled_over_seeds() -> None:
    truth = drawn("a1", macro=("..####..",))
    rows = f1_over_iou(videos("a1"), truth, [truth, table([])], ious=[0.5])
    assert rows.loc[rows["class"] == "macro", ["tp", "fp", "fn"]].to_numpy().tolist() == [[1, 0, 1]]


def test_the_curve_goes_from_the_surest_proposal_to_all() -> None:
    truth = drawn("a1", macro=("..####..####",))
    found = drawn("a1", macro=("..####......", "##..........", "........####")).assign(score=[0.9, 0.5, 0.1])
    rows = precision_recall(videos("a1"), truth, [found])
    macro = rows[rows["class"] == "macro"]
    assert macro[["score", "precision", "recall"]].to_numpy().tolist() == [
        [0.9, 1.0, 0.5], [0.5, 0.5, 0.5], [0.1, 2 / 3, 1.0],
    ]  # fmt: skip


def test_a_long_curve_keeps_both_ends() -> None:
    found = table([("a1", "macro", 10 * row, 10 * row + 5) for row in range(200)]).assign(score=np.linspace(0, 1, 200))
    rows = precision_recall(videos("a1"), drawn("a1", macro=("####",)), [found])
    assert rows["score"].nunique() == 50
    assert (rows["score"].min(), rows["score"].max()) == (0.0, 1.0)


def test_no_proposals_give_no_curve() -> None:
    assert len(precision_recall(videos("a1"), drawn("a1", macro=("####",)), [table([])])) == 0


def test_recall_by_duration() -> None:
    # at 10 frames a second: .4 s found, .4 s missed, .5 s found, 1 s missed
    truth = drawn("a1", macro=("####............................", "......####......................"))
    truth = pd.concat(
        [truth, drawn("a1", macro=("............#####...............", "..................##########...."))]
    )
    truth = truth.assign(instance=range(4))
    found = drawn("a1", macro=("####........#####...............",))
    known = videos("a1").assign(sampled_fps=10.0)
    matches = counts.judge(known, truth, found).matches
    rows = recall_by(matches, durations(known, truth), (0, 0.5, 1, np.inf))
    macro = rows[rows["class"] == "macro"]
    assert macro[["n_instances", "found"]].to_numpy().tolist() == [[2, 1], [1, 1], [1, 0]]
    assert macro["recall"].tolist() == [0.5, 1.0, 0.0]
    assert rows.loc[rows["class"] == "micro", "recall"].isna().all()


def test_an_instance_of_unknown_property_is_in_no_bin() -> None:
    truth = drawn("a1", macro=("####",))
    matches = counts.judge(videos("a1"), truth, truth).matches
    values = pd.Series([np.nan], index=pd.MultiIndex.from_tuples([("a1", 0)]))
    assert recall_by(matches, values, (0, 1))["n_instances"].sum() == 0


def test_recall_by_subject_counts_a_subject_without_a_hit() -> None:
    truth = table([("a1", "macro", 0, 9), ("b1", "macro", 0, 9), ("b1", "micro", 20, 29)])
    found = table([("b1", "micro", 20, 29)])
    rows = recall_by_subject(counts.judge(videos("a1", "b1"), truth, found).matches).set_index(["subject", "class"])
    assert rows["recall"].dropna().to_dict() == {
        ("a", "macro"): 0.0, ("a", "overall"): 0.0, ("b", "macro"): 0.0, ("b", "micro"): 1.0, ("b", "overall"): 0.5,
    }  # fmt: skip


def test_apex_error_over_duration() -> None:
    truth = table([("a1", "macro", 0, 9), ("a1", "macro", 20, 29)]).assign(apex=pd.array([4, None], "Int64"))
    found = table([("a1", "macro", 20, 29), ("a1", "macro", 0, 9)]).assign(apex=[25, 2])
    rows = apex_errors(counts.judge(videos("a1"), truth, found).matches, truth, found)
    assert rows[["instance", "proposal", "error_frames", "error"]].to_numpy().tolist() == [[0, 1, -2.0, 0.2]]


def test_the_true_amplitude_is_the_largest_displacement_within_the_instance(tmp_path: Path) -> None:
    moved = np.zeros((20, 68, 2), np.float32)
    moved[5, 3] = (3, 4)
    moved[15, 0] = (9, 0)
    arrays = {"intensity": np.zeros(20), "landmarks": moved, "expression": moved}
    store.write(tmp_path / "a1.h5", "truth", arrays, provenance.record("test", {}))
    truth = table([("a1", "macro", 0, 9), ("b1", "macro", 0, 9)])
    values = true_amplitudes(truth, {"a1": tmp_path / "a1.h5"})
    assert values["a1", 0] == pytest.approx(5)
    assert np.isnan(values["b1", 1])
