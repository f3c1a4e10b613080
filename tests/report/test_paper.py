"""Charts and tables of a run become files for a paper: whole, escaped, and twice the same."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.base import store
from pfes.drawing import charts, plotting
from pfes.evaluation.error_analysis import INSTANCE_KINDS, PROPOSAL_KINDS
from pfes.evaluation.metrics import read_proposals
from pfes.report import paper
from pfes.report.files import RunFiles
from pfes.report.tables import present, result_rows
from tests.report_runs import make_run

NAMES = ("$x_1", "_hidden & more")
ROWS = [
    {"experiment": name, "class": kind, "f1": 0.5, "low": 0.25, "high": 0.75, "iou": iou, "by": by, "group": f"{iou} s", "n": 2,
     "recall": 0.5, "precision": 0.25, "kind": "missed" if iou < 0.3 else "boundary"}
    for name in NAMES for kind in ("macro", "micro", "overall") for iou in (0.1, 0.5) for by in ("duration", "amplitude")
]  # fmt: skip
KINDS = ("intervals", "by_iou", "precision_recall", "recall_by", "errors")
TABLES = {kind: pd.DataFrame(ROWS) for kind in KINDS}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return make_run(tmp_path_factory.mktemp("run"), ("s_01",), per_subject=1)


@pytest.fixture(scope="module")
def written(files: RunFiles, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("paper")
    return {path.relative_to(folder).as_posix(): path for path in paper.write_paper(files, folder)}


def test_every_table_has_its_chart_and_a_missing_or_empty_one_has_none() -> None:
    names = [chart.name for chart in charts.charts(TABLES)]
    assert names == ["f1", "f1_by_iou", "precision_recall", "recall_by_duration", "recall_by_amplitude", "error_kinds"]
    assert charts.charts({}) == charts.charts({kind: table.iloc[:0] for kind, table in TABLES.items()}) == []


def test_names_of_experiments_are_shown_as_they_are() -> None:
    for chart in charts.charts(TABLES):
        text = plotting.svg(chart.figure)
        assert "$x_1" in text, chart.name
        assert "_hidden &amp; more" in text, chart.name


def test_forest_draws_each_value_between_its_bounds() -> None:
    axes = charts.forest(TABLES["intervals"].iloc[:1]).axes[0]
    bounds, value = (line.get_xdata() for line in axes.lines[:2])
    assert np.allclose(bounds, [0.25, 0.75]) and np.allclose(value, [0.5])


def test_bars_of_errors_add_up_to_their_number() -> None:
    axes = charts.error_kinds(TABLES["errors"].iloc[:5]).axes[0]
    assert sum(bar.get_width() for bar in axes.patches) == 5


def test_no_two_kinds_of_errors_look_alike() -> None:
    assert set(charts.KINDS) == {*INSTANCE_KINDS, *PROPOSAL_KINDS}
    assert len(set(charts.KINDS.values())) == len({hatch for _, hatch in charts.KINDS.values()}) == len(charts.KINDS)


def test_results_have_whole_counts_and_the_interval_over_subjects(tmp_path: Path) -> None:
    files = make_run(tmp_path / "run", ("s1", "s2"), per_subject=1)
    written = {path.name: path for path in paper.write_paper(files, tmp_path)}
    table = pd.read_csv(written["results.csv"])
    assert not {"f1_low", "f1_high", "n_seeds"} & set(table)  # of one seed there is no spread
    expected = store.read_table(files.statistics["intervals"], "intervals")
    both = table.merge(expected, on=["experiment", "class"], suffixes=("", "_of"))
    assert len(both) == len(table)
    assert np.allclose(both[["low", "high"]], both[["low_of", "high_of"]])
    first = table.iloc[0]
    line = next(line for line in written["results.tex"].read_text().splitlines() if "macro" in line)
    cells = [cell.strip() for cell in line.split("&")]
    assert cells[2:5] == [f"{first[name]:.0f}" for name in ("tp", "fp", "fn")]


def test_a_class_that_was_never_labelled_has_no_figure(files: RunFiles, tmp_path: Path) -> None:
    """Zero would say that some were missed; precision, of what was proposed, stays."""
    metrics = store.read_table(files.metrics, "metrics").assign(seed=0)
    metrics = metrics.assign(
        fn=metrics["fn"].mask(metrics["class"] == "micro", 0), tp=metrics["tp"].mask(metrics["class"] == "micro", 0)
    )
    rows = {row["class"]: row for row in result_rows(metrics[metrics["experiment"] == "learned"])}
    assert np.isnan(rows["micro"]["f1"]) and np.isnan(rows["micro"]["recall"]) and not rows["micro"]["best"]
    assert rows["macro"]["f1"] > 0
    kept = present("by_iou", pd.DataFrame({"class": ["macro", "micro"], "f1": [1.0, 0.0]}), metrics)
    assert kept["class"].tolist() == ["macro"]


def test_all_proposals_are_one_csv_for_statistics(files: RunFiles, written: dict[str, Path]) -> None:
    table = pd.read_csv(written["tables/proposals.csv"])
    wanted = sum(len(read_proposals(paths)) for paths in files.proposals.values())
    assert len(table) == wanted
    assert {"experiment", "seed", "subject", "video_id", "class", "native_onset", "onset_s", "score"} <= set(table)
    assert "tables/proposals.tex" not in written


def test_a_group_without_instances_is_left_out() -> None:
    table = TABLES["recall_by"].assign(n=0)
    assert charts.charts({"recall_by": table}) == []


def test_figures_are_svg_and_pdf_and_tables_csv_and_latex(written: dict[str, Path]) -> None:
    for name in ("f1", "error_kinds"):
        assert written[f"figures/{name}.svg"].read_text().startswith("<svg")
        assert written[f"figures/{name}.pdf"].read_bytes().startswith(b"%PDF")
    for name in ("results", "seeds", "intervals", "differences", "protocol_table", "dataset", "cost"):
        assert f"tables/{name}.csv" in written
        assert r"\toprule" in written[f"tables/{name}.tex"].read_text()


def test_csv_holds_every_digit_of_the_table(files: RunFiles, written: dict[str, Path]) -> None:
    table = store.read_table(files.statistics["intervals"], "intervals")
    pd.testing.assert_frame_equal(pd.read_csv(written["tables/intervals.csv"]), table, check_exact=True)


def test_latex_escapes_what_it_would_read_as_code() -> None:
    text = paper.latex(pd.DataFrame({"experiment": ["a_b & 50 %"], "f1": [1 / 3]}), "results")
    assert r"a\_b \& 50 \% & 0.333" in text
    assert r"\label{tab:results}" in text


def test_same_run_gives_the_same_files(files: RunFiles, written: dict[str, Path], tmp_path: Path) -> None:
    again = {path.relative_to(tmp_path).as_posix(): path for path in paper.write_paper(files, tmp_path)}
    assert {name: path.read_bytes() for name, path in again.items()} == {
        name: path.read_bytes() for name, path in written.items()
    }


def test_tables_of_clicks_are_whole_where_no_expression_is_an_instance() -> None:
    metrics = pd.DataFrame({"class": ["macro", "micro"], "tp": [0, 0], "fn": [0, 0]})
    table = pd.DataFrame({"class": ["macro", "micro"], "found": [3, 1]})
    assert len(present("clicks_found", table, metrics)) == 2
    assert len(present("by_iou", table, metrics)) == 0
