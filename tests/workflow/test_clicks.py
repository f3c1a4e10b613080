"""A run from clicks alone: no onset or offset on disk, and what can be known of it."""

import json
import shutil

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from pfes.base import store
from pfes.commands.cli import app
from tests.conftest import ROOT, snakemake


@pytest.mark.slow
def test_a_run_from_clicks_alone_says_what_can_be_known(run, tmp_path):
    """The smoke demo as somebody's own recordings: its apexes are the clicks, and no onset or offset is on disk."""
    folder = tmp_path / "copy"
    shutil.copytree(run.parents[1], folder)
    run = folder / "results/smoke"
    before = store.read_table(run / "points/journal/seed0.parquet", "points")
    videos, truth = (store.read_table(run / f"dataset/{name}.parquet", name) for name in ("videos", "expressions"))
    videos = videos.assign(path=[str((folder / path).resolve()) for path in videos["path"]])
    videos[["subject", "video", "path"]].to_csv(folder / "videos.csv", index=False)
    sheet = truth[["subject", "video", "class"]].assign(point=truth["native_apex"])
    sheet.to_csv(folder / "expressions.csv", index=False)
    config = yaml.safe_load((ROOT / "tests/smoke.yaml").read_text())
    config["dataset"] = {"name": "generic", "videos": "videos.csv", "expressions": "expressions.csv"}
    (folder / "clicks.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(folder, configfile=folder / "clicks.yaml")
    assert done.returncode == 0, done.stderr
    points = store.read_table(run / "points/journal/seed0.parquet", "points")
    assert points.drop(columns="frame").equals(before.drop(columns="frame"))
    assert points["frame"].tolist() == truth["apex"].tolist()
    assert store.read_table(run / "dataset/expressions.parquet", "expressions").empty
    found = store.read_table(run / "evaluate/clicks_found.parquet", "clicks_found")
    overall = found[(found["experiment"] == "journal") & (found["class"] == "overall")].iloc[0]
    assert overall["clicks"] == len(truth)
    proposed = [pd.read_parquet(path) for path in run.glob("spot/journal/*/seed0/proposals.parquet")]
    minutes = (videos["n_frames"] / videos["sampled_fps"]).sum() / 60
    assert overall["proposals_per_minute"] == pytest.approx(sum(map(len, proposed)) / minutes)
    counts = json.loads((run / "summary.json").read_text())["experiments"]["journal"]["overall"]
    assert (counts["tp"], counts["fp"], counts["fn"]) == (0, 0, 0)
    page = (run / "report.html").read_text()
    assert "there is no overlap to count, and no F1" in page and "minutes of review to recall .8" in page
    matches = store.read_table(run / "evaluate/matches.parquet", "matches")
    own = matches[matches["experiment"] == "journal"]
    assert (own["instance"] >= 0).sum() == len(truth)
    assert ((own["instance"] >= 0) & (own["proposal"] >= 0)).sum() == overall["found"]
    said = CliRunner().invoke(app, ["compare", str(run)])
    assert "so there is no F1 to compare" in str(said.exception)
    assert "Few data" in CliRunner().invoke(app, ["summary", str(run)]).output
