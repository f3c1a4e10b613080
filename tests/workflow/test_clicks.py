"""A run from clicks alone: no onset or offset on disk, the same weights, and what can be known of it."""

import json

import pandas as pd
import pytest
import torch
import yaml

from pfes.base import store
from pfes.training.model import load_model
from tests.conftest import ROOT, snakemake


def weights(run):
    return {path.parts[-3]: load_model(path)[0].state_dict() for path in run.glob("train/journal/*/seed0/model.pt")}


@pytest.mark.slow
def test_clicks_alone_train_to_the_same_weights_as_with_intervals(run):
    """The smoke demo as somebody's own recordings, first with intervals and a click each, then with the clicks alone."""
    folder = run.parents[1]
    videos, truth = (store.read_table(run / f"dataset/{name}.parquet", name) for name in ("videos", "expressions"))
    sheet = truth[["subject", "video", "class"]].assign(point=truth["native_apex"])
    whole = sheet.assign(onset=truth["native_onset"], offset=truth["native_offset"])
    videos.assign(path=[str((folder / path).resolve()) for path in videos["path"]])[["subject", "video", "path"]].to_csv(
        folder / "videos.csv", index=False
    )
    config = yaml.safe_load((ROOT / "tests/smoke.yaml").read_text()) | {
        "dataset": {"name": "generic", "videos": "videos.csv", "expressions": "expressions.csv"},
        "points": {"mode": "given"},
    }
    (folder / "clicks.yaml").write_text(yaml.safe_dump(config))
    trained = []
    for table in (whole, sheet):
        table.to_csv(folder / "expressions.csv", index=False)
        done = snakemake(folder, configfile=folder / "clicks.yaml")
        assert done.returncode == 0, done.stderr
        trained.append(weights(run))
    with_intervals, alone = trained
    assert len(alone) == videos["subject"].nunique()
    for fold, state in alone.items():
        for name, tensor in state.items():
            assert torch.equal(tensor, with_intervals[fold][name]), (fold, name)
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
