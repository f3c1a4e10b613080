"""Continuous intensity in the report: the table, the figure and the curve of every recording are those of the files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.base import store
from pfes.drawing import figures
from pfes.intensity.comparison import clip_table, summary_table
from pfes.intensity.pseudo import pseudo_intensity
from pfes.intensity.recordings import compare_recordings
from pfes.report import views as report_views
from pfes.report.files import IntensityFiles, RunFiles
from pfes.report.intensity import intensity_section
from tests.report.test_page import Reader, written
from tests.report_runs import ORIGIN, make_run

STEPS = 16
STREAM = np.linspace(0, 1, 300)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    """A made-up run with intensity: ``good`` follows the triangle, ``wrong`` is upside down, on two seeds."""
    folder = tmp_path_factory.mktemp("run")
    run = replace(make_run(folder, ("s01", "s02")), statistics={})
    curves = {}
    for system in ("good", "wrong"):
        curves[system] = [folder / f"{system}.parquet"]
        store.write_table(curves[system][0], "intensity_curves", curves_of(run, system), ORIGIN)
    tables = {
        (name, seed): store.read_table(paths[0], "intensity_curves")
        for name, paths in curves.items()
        for seed in (0, 1)
    }
    metrics = summary_table(clip_table(tables))
    store.write_table(folder / "intensity_metrics.parquet", "intensity_metrics", metrics, ORIGIN)
    store.write(folder / "stream.h5", "stream", {"intensity/s01_v1": STREAM}, ORIGIN)
    streams, outputs = {("good", 0): [folder / "stream.h5"]}, (folder / "r.parquet", folder / "recordings.parquet")
    compare_recordings(streams, run.videos, run.expressions, *outputs)
    files = IntensityFiles(folder / "intensity_metrics.parquet", outputs[1], curves, [folder / "stream.h5"])
    return replace(run, intensity=files)


def curves_of(run: RunFiles, system: str) -> pd.DataFrame:
    tau = np.linspace(0, 1, STEPS)
    parts = []
    for row in figures.rows(store.read_table(run.expressions, "expressions")):
        triangle = pseudo_intensity(tau, (row["apex"] - row["onset"]) / (row["offset"] - row["onset"]))
        parts.append(
            pd.DataFrame(
                {
                    "subject": row["subject"], "video_id": row["video_id"], "instance": row["instance"],
                    "class": row["class"], "step": np.arange(STEPS), "tau": tau, "triangle": triangle,
                    "frame": row["onset"] + tau * (row["offset"] - row["onset"]),
                    "predicted": triangle if system == "good" else 1 - triangle,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_table_shows_every_system_with_its_interval(files: RunFiles, tmp_path: Path) -> None:
    rows = Reader(written(files, tmp_path)).rows
    good = next(row for row in rows if row[0] == "good")
    assert good == ["good", "triangle", *["1.000 (1.000 to 1.000)"] * 2, "0.000 (0.000 to 0.000)", "0.000", "8"]
    wrong = next(row for row in rows if row[0] == "wrong")
    assert wrong[2] == "-1.000 (-1.000 to -1.000)"
    assert ["good", "micro", "triangle"] in [row[:3] for row in rows]


def test_whole_recordings_have_a_table(files: RunFiles, tmp_path: Path) -> None:
    """The stream is a ramp over 300 frames, macro 60 to 110, micro 180 to 192: its AUC counted pair by pair."""
    rows = Reader(written(files, tmp_path)).rows
    row = next(row for row in rows if row[:2] == ["good", "triangle"] and row[-1] == "1")
    inside = [*range(60, 111), *range(180, 193)]
    outside = sorted(set(range(300)) - set(inside))
    area = np.mean([a > b for a in inside for b in outside])
    assert row[2] == f"{area:.3f} ({area:.3f} to {area:.3f})"


def test_figure_is_drawn_into_the_page(files: RunFiles, tmp_path: Path) -> None:
    page = written(files, tmp_path)
    assert 'id="i-clips-' in page
    assert "triangle (labels)" in page
    assert '<a href="#intensity">' in page


def test_view_of_a_recording_holds_its_stream(files: RunFiles, tmp_path: Path) -> None:
    reader = Reader(written(files, tmp_path))
    kept = reader.view(0)["continuous"]
    values = np.array(kept["values"]) / report_views.LEVELS * kept["high"]
    np.testing.assert_allclose(values, STREAM, atol=0.5 / report_views.LEVELS + 1e-6)
    assert reader.view(1)["continuous"] is None


def test_run_without_intensity_says_nothing_of_it(files: RunFiles, tmp_path: Path) -> None:
    bare = replace(files, intensity=None)
    assert intensity_section(bare) is None
    page = written(bare, tmp_path)
    assert "Continuous intensity" not in page
    assert '"#intensity"' not in page
