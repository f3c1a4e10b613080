"""Intensity over whole recordings: the curve of the labels, AUC counted pair by pair, and the rows of the table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pfes.intensity.recordings import auc, label_curve, recording_summary, recording_table

LABELS = pd.DataFrame({"video_id": "v", "onset": [2, 10, 12], "apex": [4, 10, 14], "offset": [8, 10, 16]})


def test_label_curve_is_drawn_by_hand():
    """A triangle of 2..4..8, a single frame at 10, a triangle of 12..14..16; 0 elsewhere."""
    expected = [0, 0, 0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0, 1, 0, 0, 0.5, 1, 0.5, 0, 0]
    np.testing.assert_allclose(label_curve(LABELS, 18), expected, atol=1e-12)
    assert label_curve(LABELS.iloc[:0], 3).tolist() == [0, 0, 0]


def test_the_higher_of_overlapping_labels_counts():
    both = pd.DataFrame({"onset": [0, 2], "apex": [2, 4], "offset": [4, 6]})
    np.testing.assert_allclose(label_curve(both, 7), [0, 0.5, 1, 0.5, 1, 0.5, 0])


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_auc_is_that_of_all_pairs_ties_half(rows):
    values, inside = np.array([value for value, _ in rows], float), np.array([flag for _, flag in rows])
    if inside.all() or not inside.any():
        assert np.isnan(auc(values, inside))
        return
    pairs = [(a > b) + 0.5 * (a == b) for a in values[inside] for b in values[~inside]]
    assert auc(values, inside) == pytest.approx(np.mean(pairs))


def test_frames_without_a_face_do_not_count_and_true_intensity_stands_apart():
    truth = {"v": label_curve(LABELS, 18) ** 2}
    values = truth["v"].copy()
    values[[0, 4, 17]] = np.nan
    rows = recording_table({("gru", 0): {"v": values}}, LABELS, {"v": "anna"}, truth).set_index("reference")
    seen = np.isfinite(values)
    assert rows.loc["true", "mae"] == 0
    assert rows.loc["true", "spearman"] == pytest.approx(1)
    expected = stats.spearmanr(values[seen], label_curve(LABELS, 18)[seen]).statistic
    assert rows.loc["triangle", "spearman"] == pytest.approx(expected)
    assert rows["auc"].nunique() == 1


def test_recording_without_a_face_or_an_expression():
    blank = {"v": np.full(18, np.nan), "w": np.arange(18.0)}
    rows = recording_table({("GIM", 0): blank}, LABELS, {"v": "anna", "w": "ben"})
    assert rows["video_id"].tolist() == ["w"]
    assert np.isnan(rows["auc"]).all()
    summary = recording_summary(rows)
    assert np.isnan(summary["mae"]).all()  # GIM has a scale of its own
    assert summary["recordings"].tolist() == [1]


def test_summary_has_means_and_the_spread_over_seeds():
    rows = recording_table(
        {("gru", seed): {"v": label_curve(LABELS, 18) + seed} for seed in (0, 1)}, LABELS, {"v": "anna"}
    )
    row = recording_summary(rows).iloc[0]
    assert (row["recordings"], row["seeds"]) == (1, 2)
    assert row["mae"] == pytest.approx(0.5)
    assert row["mae_seed_sd"] == pytest.approx(np.sqrt(0.5))
