"""The comparison of experiments, on counts whose F1 can be worked out by hand."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pfes.base import store
from pfes.base.errors import InputError
from pfes.evaluation import comparison

SUBJECTS = ("a", "b", "c", "d")


def counts_of(experiment, tp, seed=0, subjects=SUBJECTS, wrong=2):
    """Per subject: ``tp`` macro hits and ``wrong`` of each error; micro: one hit, no error."""
    rows = []
    for number, subject in enumerate(subjects):
        rows.append((experiment, seed, subject, f"{subject}_1", "macro", tp + number % 2, wrong, wrong))
        rows.append((experiment, seed, subject, f"{subject}_1", "micro", 1, 0, 0))
    return pd.DataFrame(rows, columns=["experiment", "seed", "subject", "video_id", "class", "tp", "fp", "fn"])


def row(table, experiment, kind="macro"):
    return table[(table["experiment"] == experiment) & (table["class"] == kind)].iloc[0]


def test_f1_is_pooled_over_seeds_and_subjects():
    """Seed 0: tp 2, 3, 2, 3 = 10, 8 + 8 errors; seed 1: 18. Pooled 28 tp and 32 errors: F1 = 56 / (56 + 32)."""
    table = comparison.compare(pd.concat([counts_of("journal", 2), counts_of("journal", 4, seed=1)]))
    found = row(table, "journal")
    assert found["f1"] == pytest.approx(56 / 88)
    assert found["seeds"] == 2
    assert [found["seed_low"], found["seed_high"]] == pytest.approx([20 / 36, 36 / 52])
    assert found["seed_sd"] == pytest.approx(np.std([20 / 36, 36 / 52], ddof=1))
    assert found["low"] <= found["f1"] <= found["high"]


def test_the_difference_is_from_the_reference_and_has_its_sign():
    both = pd.concat([counts_of("hard", 0), counts_of("journal", 6)])
    found = row(comparison.compare(both), "hard")
    assert found["reference"] == "journal"
    assert found["difference"] == pytest.approx(4 / 20 - 52 / 68)
    assert found["difference_low"] <= found["difference"] <= found["difference_high"] < 0
    other = row(comparison.compare(both, "hard"), "journal")
    assert other["difference"] == pytest.approx(-found["difference"])


def test_an_experiment_equal_to_the_reference_differs_by_nothing():
    found = row(comparison.compare(pd.concat([counts_of("journal", 3), counts_of("same", 3)])), "same")
    assert (found["difference"], found["difference_low"], found["difference_high"], found["p"]) == (0, 0, 0, 1)


def test_the_reference_comes_first_and_is_compared_with_nothing():
    table = comparison.compare(pd.concat([counts_of(name, 2) for name in ("as_released", "journal", "baseline")]))
    assert table["experiment"].drop_duplicates().tolist() == ["journal", "as_released", "baseline"]
    assert table["class"].tolist() == ["macro", "micro", "overall"] * 3
    assert table[["difference", "p"]].isna().all(axis=1).tolist() == [True] * 3 + [False] * 6
    assert list(table.columns) == list(comparison.COLUMNS)


def test_without_journal_the_first_experiment_is_the_reference():
    table = comparison.compare(pd.concat([counts_of("conference", 2), counts_of("hard", 2)]))
    assert set(table["reference"]) == {"conference"}


def test_one_subject_has_no_interval():
    found = row(comparison.compare(counts_of("journal", 2, subjects=("a",))), "journal")
    assert np.isnan(found["low"])
    assert found["f1"] == pytest.approx(4 / 8)


def test_what_cannot_be_compared_is_named():
    with pytest.raises(InputError, match="no experiment was evaluated"):
        comparison.compare(counts_of("journal", 2).iloc[:0])
    with pytest.raises(InputError, match="reference 'gim' was not evaluated; expected one of journal"):
        comparison.compare(counts_of("journal", 2), "gim")
    with pytest.raises(InputError, match="differ in their subjects, d"):
        comparison.compare(pd.concat([counts_of("journal", 2), counts_of("hard", 2, subjects=SUBJECTS[:3])]))


def test_the_file_reads_back_and_the_terminal_shows_every_experiment(tmp_path):
    counts = pd.concat([counts_of("journal", 4), counts_of("labels_hard", 1)])
    store.write_table(tmp_path / "counts.parquet", "counts", counts, {})
    table = comparison.write_comparison(tmp_path / "counts.parquet", tmp_path / "comparison.parquet")
    again = store.read_table(tmp_path / "comparison.parquet", "comparison")
    pd.testing.assert_frame_equal(again, table)
    text = shown(table)
    assert "labels_hard" in text
    assert f"{row(table, 'labels_hard')['f1']:.3f}" in text
    assert f"{row(table, 'labels_hard', 'overall')['difference']:+.3f}" in text


def test_the_table_fits_a_terminal_of_80_columns_uncut():
    names = ("journal", "loss_without_reward", "supervised_demo")
    table = comparison.compare(pd.concat([counts_of(name, 2, seed) for name in names for seed in (0, 1, 2)]))
    text = shown(table)
    assert "…" not in text
    for name in names:
        assert name in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def shown(table):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(comparison.comparison_table(table))
    return console.export_text()
