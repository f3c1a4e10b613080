"""The lines of R, SPSS and Python in docs/clicks.md run on the tables that pfes events writes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.exchange.spss import write_sav
from pfes.spotting.events import EVENT_COLUMNS, summary

PAGE = (Path(__file__).parents[1] / "docs/clicks.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Folder with tables/events.csv and summary.csv of six subjects in two conditions; the second has more events."""
    folder = tmp_path_factory.mktemp("statistics")
    (folder / "tables").mkdir()
    rng = np.random.default_rng(0)
    videos = [
        {"subject": f"s{i}", "video": condition, "usable_s": 60.0, "condition": condition}
        for i in range(6)
        for condition in ("calm", "film")
    ]
    rows = []
    for video in videos:
        for _ in range(4 if video["condition"] == "calm" else 9):
            row = {name: rng.uniform(0.1, 1) for name in EVENT_COLUMNS}
            rows.append({**row, **video, "class": "macro", "usable_share": 0.95, "yaw_deg": 3.0})
    events = pd.DataFrame(rows)
    kept = events[[*EVENT_COLUMNS, "condition"]].assign(side="left", region="brow")
    for name, table in (("events", kept), ("summary", summary(events, pd.DataFrame(videos), ["condition"]))):
        table.to_csv(folder / f"tables/{name}.csv", index=False)
        write_sav(folder / f"tables/{name}.sav", table)
    return folder


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[0]


def test_the_python_lines_run(tables):
    done = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=tables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"calm +4\.0\s+film +9\.0", done.stdout)
    assert re.search(r"pvalue=(np\.float64\()?0\.03125", done.stdout)  # six pairs that all differ the same way


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="no R is installed (apt-get install r-base-core)")
def test_the_lines_of_r_run(tables):
    done = subprocess.run(["Rscript", "-e", block("r")], cwd=tables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"calm +4\s+.*film +9", done.stdout, re.DOTALL) and "Wilcoxon" in done.stdout


@pytest.mark.skipif(shutil.which("pspp") is None, reason="no PSPP is installed (apt-get install pspp)")
def test_the_lines_of_spss_run(tables):
    (tables / "page.sps").write_text(block("spss"))
    done = subprocess.run(["pspp", "page.sps"], cwd=tables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"calm *\| *4\.00.*film *\| *9\.00", done.stdout, re.DOTALL)
