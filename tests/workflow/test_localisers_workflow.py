"""LAC, HR-Pro and TSP-Net in the workflow: stages as jobs, limits chosen for each fold, rows of the report, pfes spot."""

import json
import shutil

import numpy as np
import pytest

from pfes.base import store
from pfes.commands.spot import Wanted, spot
from pfes.training.model import load_model
from tests.conftest import snakemake

NAMES = ("lac", "hrpro_stage1", "hrpro", "tsp")

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def localised(run, tmp_path_factory):
    """The smoke run, continued with the methods of action localisation; what is done for journal stays."""
    folder = tmp_path_factory.mktemp("localised")
    results = shutil.ignore_patterns("evaluate", "figures", "summary.json", "report.html", "complete.txt")
    shutil.copytree(run.parents[1], folder, dirs_exist_ok=True, ignore=results)
    names = ",".join(("journal", *NAMES))
    done = snakemake(folder, "--rerun-triggers", "mtime", "--config", f"experiments={names}")
    assert done.returncode == 0, done.stderr
    return folder / "results/smoke"


def test_every_method_is_in_summary_tables_report_and_timelines(localised):
    summary = json.loads((localised / "summary.json").read_text())["experiments"]
    assert {"journal", *NAMES, "baseline"} == set(summary)
    table = store.read_table(localised / "evaluate/protocol_table.parquet", "protocol_table")
    assert set(table.loc[table["epochs"] == "oracle-limit", "source"]) == set(NAMES)
    report = (localised / "report.html").read_text()
    assert all(name in report for name in NAMES)
    assert all("lac" in path.read_text() for path in (localised / "timelines").glob("*.svg"))


def test_no_stage_of_any_fold_saw_its_subject_or_an_interval(localised):
    videos = store.read_table(localised / "dataset/videos.parquet", "videos").set_index("video_id")["subject"]
    for name in NAMES:
        for path in localised.glob(f"train/{name}/*/seed0/model.pt"):
            meta = load_model(path)[1]
            sources = json.dumps(meta["provenance"]["sources"])
            held_out = set(meta["held_out"])
            assert not held_out & set(meta["train_subjects"])
            assert not any(video_id in sources for video_id in videos.index[videos.isin(held_out)])
            assert "expressions.parquet" not in sources
            limits = json.loads(
                (localised / "spot" / path.parent.relative_to(localised / "train") / "limits.json").read_text()
            )
            assert not held_out & set(limits["subjects"])
            assert "expressions" not in json.dumps(limits["provenance"]["sources"])


def test_a_second_stage_stands_on_the_features_and_the_head_of_the_first(localised):
    for first, second in (("lac", "tsp"), ("hrpro_stage1", "hrpro")):
        for path in localised.glob(f"train/{second}/*/seed0/model.pt"):
            own = load_model(path)[0].state_dict()
            source = load_model(
                localised / "train" / first / path.parent.relative_to(localised / "train" / second) / "model.pt"
            )[0]
            for name, tensor in source.state_dict().items():
                assert (own[name.replace("head.", "head.first.")] == tensor).all(), name


def test_proposals_are_those_above_the_limits_of_their_fold(localised):
    for name in NAMES:
        for path in localised.glob(f"spot/{name}/*/seed0/proposals.parquet"):
            found = store.read_table(path, "proposals")
            every = store.read_table(path.with_name("all_proposals.parquet"), "proposals")
            limits = json.loads(path.with_name("limits.json").read_text())
            least = every["class"].map(
                {kind: 0.0 if limits[kind] is None else limits[kind] for kind in ("macro", "micro")}
            )
            expected = every[every["score"] >= least.astype(float)].reset_index(drop=True)
            assert found["onset"].tolist() == expected["onset"].tolist()


def test_a_recording_is_spotted_with_the_models_of_a_second_stage(localised, tmp_path):
    video = next(localised.glob("dataset/demo/*.mp4"))
    found = spot(video, tmp_path / "out", Wanted(localised, "tsp", overlay=False))
    assert np.isfinite(found.intensity).all()
    assert (found.proposals["onset"] <= found.proposals["offset"]).all()
