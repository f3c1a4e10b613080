"""The workflow as a user runs it: a small demo end to end, the same at one and two cores, and bad input that loses nothing else."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pfes.base import store
from pfes.base.records import PROPOSAL_COLUMNS
from pfes.commands.run import interpreter
from pfes.training.model import load_model
from pfes.workflow.plan import plan_file
from tests.conftest import ROOT, snakemake


def test_the_summary_has_every_class_and_the_baseline(run):
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["run"], summary["protocol"], summary["seeds"]) == ("smoke", "strict", [0])
    assert set(summary["experiments"]) == {"journal", "baseline"}
    n_instances = len(store.read_table(run / "dataset/expressions.parquet", "expressions"))
    for result in summary["experiments"].values():
        assert set(result) == {"macro", "micro", "overall"}
        assert set(result["overall"]) == {"tp", "fp", "fn", "precision", "recall", "f1"}
        assert result["overall"]["tp"] + result["overall"]["fn"] == n_instances


def test_every_proposal_of_the_smoke_run_is_counted(run):
    """Its limits are open, so that there is something to count: an empty run would prove nothing."""
    summary = json.loads((run / "summary.json").read_text())
    found = pd.concat(
        [store.read_table(path, "proposals") for path in run.glob("spot/journal/*/seed0/proposals.parquet")]
    )
    counts = summary["experiments"]["journal"]["overall"]
    assert len(found) > 0
    assert list(found.columns) == list(PROPOSAL_COLUMNS)
    assert counts["tp"] + counts["fp"] == len(found)


@pytest.mark.slow
@pytest.mark.long
def test_one_core_gives_the_same_proposals(run, tmp_path):
    """Same seed, other number of cores, a fold rendered and computed anew: the file is the same byte by byte."""
    path = "results/smoke/spot/journal/s01/seed0/proposals.parquet"
    done = snakemake(tmp_path, path, cores=1)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / path).read_bytes() == (run.parents[1] / path).read_bytes()


def test_a_second_run_has_nothing_to_do(run):
    done = snakemake(run.parents[1])
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_models_fold_never_saw_its_subject(run):
    """What the model says, and what its job could open: no file of the held-out subject is among the rule's inputs."""
    videos = store.read_table(run / "dataset/videos.parquet", "videos")
    for path in run.glob("train/journal/*/seed0/model.pt"):
        _, meta = load_model(path)
        assert meta["held_out"] == [path.parts[-3]]
        assert not set(meta["held_out"]) & set(meta["train_subjects"])
        held_out = set(videos.loc[videos["subject"].isin(meta["held_out"]), "video_id"])
        assert held_out
        assert not any(video_id in source for video_id in held_out for source in meta["provenance"]["sources"])


@pytest.mark.slow
def test_a_fold_may_hold_out_several_subjects(run, tmp_path):
    """Lists of subjects from the config; the stages up to snippets are those of the other run."""
    smoke = yaml.safe_load((ROOT / "tests/smoke.yaml").read_text())
    folds = {"scheme": "lists", "lists": {"first": ["s01", "s02"], "second": ["s03"]}}
    (tmp_path / "lists.yaml").write_text(yaml.safe_dump({**smoke, "folds": folds}))
    results = shutil.ignore_patterns(".snakemake", "train", "features", "spot", "evaluate", "summary.json", "*.html")
    shutil.copytree(run.parents[1], tmp_path / "copy", ignore=results)
    options = ["--rerun-triggers", "mtime", "--until", "spot", "--nolock"]
    done = snakemake(tmp_path / "copy", *options, configfile=tmp_path / "lists.yaml")
    assert done.returncode == 0, done.stderr
    models = sorted((tmp_path / "copy/results/smoke").glob("train/journal/*/seed0/model.pt"))
    assert [path.parts[-3] for path in models] == ["first", "second"]
    _, meta = load_model(models[0])
    assert (meta["held_out"], meta["train_subjects"]) == (["s01", "s02"], ["s03"])
    found = store.read_table(tmp_path / "copy/results/smoke/spot/journal/first/seed0/proposals.parquet", "proposals")
    assert set(found["subject"]) <= {"s01", "s02"}


def test_points_are_all_that_training_can_open_of_the_labels(run):
    """Rule train gets the marks of snippets, points, the list of videos and the stretches marked neutral; none tells of an interval.

    Points have no onset and no offset; of neutral stretches the demo marks none.
    """
    done = snakemake(run.parents[1], "--detailed-summary")
    lines = [line for line in done.stdout.splitlines() if line.startswith("results/smoke/train/")]
    assert lines
    for line in lines:
        inputs = next(cell for cell in line.split("\t") if "snippets/" in cell).split(",")
        tables = ("results/smoke/dataset/videos.parquet", "results/smoke/dataset/neutral.parquet")
        assert all(
            name.startswith(("results/smoke/subjects/snippets/", "results/smoke/points/", *tables)) for name in inputs
        )
    assert store.read_table(run / "dataset/neutral.parquet", "neutral").empty
    assert not {"onset", "offset"} & set(store.read_table(run / "points/journal/seed0.parquet", "points").columns)


def test_every_file_says_where_it_comes_from(run):
    for path in [*run.glob("**/*.h5"), *run.glob("**/*.parquet")]:
        assert store.describe(path)["provenance"]["pfes"], path


def test_the_report_and_snakemakes_report_are_written(run):
    page = (run / "report.html").read_text()
    assert "journal" in page
    assert "baseline" in page
    done = snakemake(run.parents[1], "--report", "snakemake_report.html")
    assert done.returncode == 0, done.stderr
    assert (run.parents[1] / "snakemake_report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_killed_job_leaves_no_half_file(run, tmp_path):
    """SIGKILL for the whole process group while flow runs: no file under a final name is unreadable; the rest resumes."""
    shutil.copytree(run.parents[1] / "config", tmp_path / "config")
    for stage in ("dataset", "faces"):
        shutil.copytree(run / stage, tmp_path / "results/smoke" / stage)
    command = [interpreter(), "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--configfile",
               ROOT / "tests/smoke.yaml", "--cores", "2", "--until", "flow", "--rerun-triggers", "mtime"]  # fmt: skip
    process = subprocess.Popen(
        [str(part) for part in command], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 120
    flow = tmp_path / "results/smoke/flow"
    while not list(flow.glob("*/.*.part.h5")) and process.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, "the workflow ended before a job was caught while it wrote"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(flow.glob("*/.*.part.h5"))
    for path in flow.glob("*/[!.]*.h5"):
        store.read(path, "flow")
    snakemake(tmp_path, "--unlock")
    assert snakemake(tmp_path, "--until", "flow", "--rerun-triggers", "mtime").returncode == 0
    assert all(len(store.read(path, "flow")["flow"]) for path in flow.glob("*/[!.]*.h5"))
    assert len(list(flow.glob("*/[!.]*.h5"))) == 3


@pytest.fixture(scope="module")
def own_recordings(run, tmp_path_factory):
    """Three rendered videos as somebody's own recordings, with sheets; one sheet row points to a missing file."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(ROOT / "config", folder / "config")
    videos = store.read_table(run / "dataset/videos.parquet", "videos")
    labels = store.read_table(run / "dataset/expressions.parquet", "expressions")
    for path in videos["path"]:
        shutil.copy(run.parents[1] / path, folder)
    sheet = videos[["subject", "video"]].assign(path=[f"../{Path(path).name}" for path in videos["path"]])
    gone = pd.DataFrame([{"subject": sheet["subject"][0], "video": "gone", "path": "../gone.mp4"}])
    pd.concat([sheet, gone]).to_csv(folder / "config/videos.csv", index=False)
    labels[["subject", "video", "onset", "apex", "offset", "class"]].to_csv(
        folder / "config/expressions.csv", index=False
    )
    smoke = yaml.safe_load((ROOT / "tests/smoke.yaml").read_text())
    (folder / "own.yaml").write_text(yaml.safe_dump({**smoke, "run": "own", "dataset": {"name": "generic"}}))
    return folder


@pytest.mark.slow
def test_a_bad_video_loses_nothing_else_and_the_run_says_so(own_recordings):
    """All results are there; the exit status is not 0, and the message names the one video and why."""
    done = snakemake(own_recordings, configfile=own_recordings / "own.yaml")
    results = own_recordings / "results/own"
    assert done.returncode != 0
    assert "gone.mp4: no such file" in done.stderr + done.stdout
    assert "left out" in (results / "logs/complete.log").read_text() + done.stderr
    assert json.loads((results / "summary.json").read_text())["experiments"]["journal"]
    assert "no such file" in (results / "report.html").read_text()
    assert not (results / "complete.txt").exists()


def test_recordings_that_vanished_cost_nothing(own_recordings):
    """Their faces stay as they were, and no job starts."""
    config = yaml.safe_load((own_recordings / "own.yaml").read_text()) | {"run": "unmounted"}
    (own_recordings / "unmounted.yaml").write_text(yaml.safe_dump(config))
    with contextlib.chdir(own_recordings):
        plan = plan_file("unmounted.yaml")
    results = own_recordings / plan.run
    gone = next(name for name in plan.videos if "gone" in name)
    faces = results / "faces" / plan.keys["faces"] / f"{gone}.h5"
    store.write(faces, "faces", {"state": np.zeros(16, np.uint8)}, {})
    before = faces.read_bytes()
    done = snakemake(own_recordings, configfile=own_recordings / "unmounted.yaml")
    assert done.returncode != 0
    assert "1 of 4 recordings are no longer there" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    assert faces.read_bytes() == before
    assert set(results.rglob("*.h5")) == {faces}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, folder: config.update(sead=[1]), "unknown key 'sead'; did you mean 'seeds'?"),
        (lambda config, folder: config["dataset"].update(videos="config/none.csv"), "config/none.csv: no such sheet"),
        (lambda config, folder: config.update(experiments=["nothing"]), "nothing.yaml does not exist"),
        (lambda config, folder: config["dataset"].update(videos="one.csv", expressions="none.csv"), "one subject only"),
        (
            lambda config, folder: config.update(folds={"scheme": "lists"}),
            "in no list; expected every subject in exactly one",
        ),
    ],
)
def test_what_is_wrong_before_any_work_is_one_message(own_recordings, change, message):
    (own_recordings / "one.csv").write_text("subject,video,path\nanna,a,a.mp4\n")
    (own_recordings / "none.csv").write_text("subject,video,onset,offset,class\n")
    config = yaml.safe_load((own_recordings / "own.yaml").read_text())
    change(config, own_recordings)
    (own_recordings / "bad.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(own_recordings, "--dry-run", configfile=own_recordings / "bad.yaml")
    assert done.returncode != 0
    said = done.stderr + done.stdout  # a dry run says everything on stdout
    assert message in said
    assert "Traceback" not in said


def test_torch_loads_models_without_running_code(run):
    path = next(run.glob("train/journal/*/seed0/model.pt"))
    assert set(torch.load(path, weights_only=True)) == {"kind", "format", "state", "meta"}


def test_the_workflow_is_a_module_of_another_one_in_a_folder_without_configuration(tmp_path):
    """What is not configured is at its default, and experiments are those that come with pfes."""
    config = {"run": "mod", "dataset": {"name": "demo", "demo": {"subjects": 3, "videos": 1}}, "experiments": "kc_16"}
    (tmp_path / "Snakefile").write_text(
        f"module pfes:\n    snakefile: {str(ROOT / 'workflow/Snakefile')!r}\n    config: {config!r}\nuse rule * from pfes\n"
    )
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "results/mod/train/kc_16/s03/seed0/model.pt" in done.stdout + done.stderr


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_both_snakefiles_make_the_report_by_default(tmp_path, snakefile):
    done = snakemake(tmp_path, "--dry-run", "--snakefile", ROOT / snakefile)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ ?report +1 ?$", done.stdout + done.stderr, re.MULTILINE), done.stderr
