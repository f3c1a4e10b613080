"""Experiments in the workflow: names from the command line, the fully supervised system end to end, the comparison."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pfes.base import store
from pfes.commands.cli import app
from pfes.decoding.start_end import DecodeParameters, decode
from pfes.methods.registry import spot_parameters
from pfes.training.model import load_model
from tests.conftest import snakemake


@pytest.fixture(scope="module")
def compared(run, tmp_path_factory):
    """The smoke run, continued with a small supervised experiment beside journal; what is done for journal stays."""
    folder = tmp_path_factory.mktemp("supervised")
    results = shutil.ignore_patterns("evaluate", "figures", "summary.json", "report.html", "complete.txt")
    shutil.copytree(run.parents[1], folder, dirs_exist_ok=True, ignore=results)
    (folder / "config/experiments/tiny.yaml").write_text(
        "base: supervised\n"
        "model: {dropout: 0, block_dropout: 0}\n"
        "training: {epochs: 16, learning_rate: 0.02, supervised: {segments: all, batch_segments: 4}}\n"
        "spot: {supervised: {apex_threshold: 0.0}}\n"
    )
    done = snakemake(folder, "--rerun-triggers", "mtime", "--config", "experiments=journal,tiny")
    assert done.returncode == 0, done.stderr
    return folder / "results/smoke"


def test_groups_and_seeds_may_come_from_the_command_line(run):
    done = snakemake(run.parents[1], "--dry-run", "--config", "experiments=kc", "seeds=[0,2]")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("journal", "kc_16", "kc_24", "kc_40", "kc_48"):
        for seed in (0, 2):
            is_there = (name, seed) == ("journal", 0)
            assert is_there or f"results/smoke/train/{name}/s01/seed{seed}/model.pt" in done.stdout
    assert "train/kc_32" not in done.stdout


def test_an_unknown_group_is_one_message(run):
    done = snakemake(run.parents[1], "--dry-run", "--config", "experiments=tables")
    assert done.returncode != 0
    assert "tables.yaml does not exist; expected one of" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_supervised_system_is_counted_like_the_others(compared):
    summary = json.loads((compared / "summary.json").read_text())["experiments"]
    found = pd.concat(
        [store.read_table(path, "proposals") for path in compared.glob("spot/tiny/*/seed0/proposals.parquet")]
    )
    counts = summary["tiny"]["overall"]
    assert counts["tp"] + counts["fp"] == len(found)  # may be none: a training this short need not agree on any
    assert counts["tp"] + counts["fn"] > 0
    assert "tiny" in (compared / "report.html").read_text()


@pytest.mark.slow
def test_supervised_proposals_are_decoded_from_the_outputs(compared):
    for path in compared.glob("spot/tiny/*/seed0/scores.h5"):
        scores = store.read(path, "scores")
        proposals = store.read_table(path.with_name("proposals.parquet"), "proposals")
        for name in [name for name in scores if name.startswith("outputs/")]:
            video_id, outputs = name.removeprefix("outputs/"), scores[name]
            intensity, classes = scores[f"intensity/{video_id}"], scores[f"class_scores/{video_id}"]
            np.testing.assert_allclose(outputs[:, [7, 6]], classes, atol=1e-6)
            np.testing.assert_allclose(classes.max(axis=1), intensity, atol=1e-6)
            params = _decoding(path)
            expected = decode(outputs, params, valid=scores[f"valid/{video_id}"] > 0)
            own = proposals[proposals["video_id"] == video_id]
            assert own["onset"].tolist() == expected["onset"].tolist()
            assert own["score"].tolist() == expected["score"].tolist()


def _decoding(scores_path):
    settings = json.loads((scores_path.parents[2] / "settings.json").read_text())
    return spot_parameters(settings["spot"]).of(DecodeParameters)


@pytest.mark.slow
def test_only_the_supervised_system_may_open_onsets_and_offsets(compared):
    done = snakemake(compared.parents[1], "--detailed-summary", "--config", "experiments=journal,tiny")
    opened = {"journal": set(), "tiny": set()}
    for line in done.stdout.splitlines():
        if line.startswith("results/smoke/train/"):
            inputs = next(cell for cell in line.split("\t") if "snippets/" in cell)
            opened[line.split("/")[3]].add("dataset/expressions.parquet" in inputs)
    assert opened == {"journal": {False}, "tiny": {True}}
    for experiment in opened:
        for path in compared.glob(f"train/{experiment}/*/seed0/model.pt"):
            sources = json.dumps(load_model(path)[1]["provenance"]["sources"])
            assert ("expressions.parquet" in sources) == (experiment == "tiny")


@pytest.mark.slow
def test_a_supervised_fold_never_saw_its_subject_either(compared):
    videos = store.read_table(compared / "dataset/videos.parquet", "videos")
    for path in compared.glob("train/tiny/*/seed0/model.pt"):
        _, meta = load_model(path)
        assert not set(meta["held_out"]) & set(meta["train_subjects"])
        held_out = videos.loc[videos["subject"].isin(meta["held_out"]), "video_id"]
        assert not any(video_id in source for video_id in held_out for source in meta["provenance"]["sources"])


@pytest.mark.slow
def test_the_comparison_and_its_figures_are_results(compared):
    table = store.read_table(compared / "evaluate/comparison.parquet", "comparison")
    assert table["experiment"].drop_duplicates().tolist() == ["journal", "tiny", "baseline"]
    summary = json.loads((compared / "summary.json").read_text())["experiments"]
    for row in table.to_dict("records"):
        assert row["f1"] == pytest.approx(summary[row["experiment"]][row["class"]]["f1"])
    for name in ("comparison", "consecutive", "apex_distance", "pseudo_labels/journal"):
        assert (compared / f"figures/{name}.svg").read_text().startswith("<svg")
    assert not (compared / "figures/pseudo_labels/tiny.svg").exists()  # it has none


@pytest.mark.slow
def test_pfes_compare_prints_and_writes_the_table(compared, tmp_path):
    done = CliRunner().invoke(app, ["compare", str(compared), "--out", str(tmp_path / "table.csv")])
    assert done.exit_code == 0, done.output
    assert "tiny" in done.output
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) == 9
    assert set(table["reference"]) == {"journal"}
