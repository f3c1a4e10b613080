"""`pfes init` and `pfes check` as a user runs them: what is found, what is wrong, and with which exit status."""

import re

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from pfes.base.errors import InputError
from pfes.base.place import ROOT
from pfes.commands.cli import app
from pfes.commands.starter import write_starter
from pfes.datasets.folds import Fold
from pfes.workflow.check import check, ranges, size
from pfes.workflow.estimate import Estimate, StageCost, estimate
from pfes.workflow.plan import read_config
from tests.conftest import snakemake
from tests.layouts import images, workbook

LABELS = "subject,video,onset,apex,offset,class\nanna,a,2,5,30,macro\nben,b,3,,9,micro\n"


@pytest.fixture
def own(tmp_path):
    """Two subjects with one folder of 40 images each, sheets beside them."""
    root = tmp_path / "our lab ä"
    for name in ("anna a", "ben b"):
        images(root / name, [f"img{n}.png" for n in range(40)])
    (root / "videos.csv").write_text("subject,video,path,fps\nanna,a,anna a,30\nben,b,ben b,30\n")
    (root / "expressions.csv").write_text(LABELS)
    return root


def pfes(*arguments):
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(argument) for argument in arguments])


def started(folder, root, dataset="generic"):
    return write_starter(folder, dataset, root)[0]


def test_few_data_and_a_class_that_is_not_there_are_said(own, tmp_path):
    (own / "expressions.csv").write_text(LABELS.replace("ben,b,3,,9,micro\n", ""))
    findings = check(started(tmp_path / "new", own), costs=False)
    assert [text.partition(":")[0].partition(".")[0] for text in findings.cautions] == [
        "Few data", "No micro-expression is labelled",
    ]  # fmt: skip
    said = pfes("check", tmp_path / "new/generic.yaml", "--no-estimate").output
    assert "Few data: 1 labelled expression of 1 subject" in said.replace("\n", " ")
    assert "1 problem\n" in re.sub(r" +\n", "\n", said)


def test_a_new_configuration_passes_the_check(own, tmp_path):
    done = pfes("init", tmp_path / "new", "--dataset", "generic", "--root", own)
    assert done.exit_code == 0, done.output
    done = pfes("check", tmp_path / "new/generic.yaml", "--no-estimate")
    assert done.exit_code == 0, done.output
    assert "nothing wrong was found" in done.output
    for text in ("80 frames", "1 macro, 1 micro", "apex: no apex: midpoint", "leave-one-subject-out"):
        assert text in done.output


def test_a_new_configuration_says_what_may_be_changed(own, tmp_path):
    text = started(tmp_path / "our study ä", own).read_text()
    assert text.count("#") >= 6
    assert yaml.safe_load(text)["run"] == "our_study_ä"
    assert yaml.safe_load(text)["dataset"]["videos"] == str(own / "videos.csv")


def test_recordings_without_sheets_get_sheets_to_fill_in(own, tmp_path):
    for name in ("videos.csv", "expressions.csv"):
        (own / name).unlink()
    done = pfes("init", tmp_path / "new", "--dataset", "generic", "--root", own)
    assert done.exit_code == 0, done.output
    sheet = pd.read_csv(tmp_path / "new/videos.csv")
    assert sheet["subject"].tolist() == ["anna a", "ben b"]
    assert (tmp_path / "new/expressions.csv").read_text() == "subject,video,onset,apex,offset,class\n"
    sheet.assign(fps=30).to_csv(tmp_path / "new/videos.csv", index=False)
    done = pfes("check", tmp_path / "new/generic.yaml", "--no-estimate")
    assert done.exit_code == 1
    assert "no expression is labelled: there is nothing to train journal from" in done.output
    assert "(experiments: [training_free])" in done.output  # brackets are text
    begun = snakemake(tmp_path, "-n", configfile=tmp_path / "new/generic.yaml")
    assert begun.returncode != 0
    assert "nothing to train journal from" in begun.stdout  # before any work


def test_in_folders_by_person_the_folder_is_the_subject(own, tmp_path):
    for name in ("videos.csv", "expressions.csv"):
        (own / name).unlink()
    (own / "anna a").rename(own / "first")
    for person, kept in (("anna", "first"), ("ben", "ben b")):
        (own / person).mkdir()
        (own / kept).rename(own / person / kept)
    sheet = pd.read_csv(write_starter(tmp_path / "new", "generic", own)[1])
    assert sheet[["subject", "video"]].to_numpy().tolist() == [["anna", "first"], ["ben", "ben b"]]


def test_recordings_that_are_their_own_subjects_are_asked_about(own, tmp_path):
    said = "Each recording has its own name as its subject"
    path = started(tmp_path / "new", own)
    assert not [text for text in check(path, costs=False).cautions if text.startswith(said)]
    sheet = pd.read_csv(own / "videos.csv")
    sheet.assign(subject=sheet["video"]).to_csv(own / "videos.csv", index=False)
    (own / "expressions.csv").write_text(LABELS.replace("anna", "a").replace("ben", "b"))
    assert [text for text in check(path, costs=False).cautions if text.startswith(said)]


def test_without_training_there_need_be_no_label(own, tmp_path):
    path = started(tmp_path / "new", own)
    (own / "expressions.csv").write_text(LABELS.splitlines()[0] + "\n")
    path.write_text(path.read_text() + "\nexperiments: [training_free]\n")
    findings = check(path, costs=False)
    assert not findings.problems
    assert [text.partition(":")[0] for text in findings.cautions] == ["No expression is labelled"]
    begun = snakemake(tmp_path, "-n", configfile=path)
    assert begun.returncode == 0, begun.stderr


def test_of_all_recordings_what_is_ordinary_is_said_once(own, tmp_path):
    """So that the names of recordings have room in a terminal of 80 columns."""
    lines = (
        CliRunner(env={"COLUMNS": "80"})
        .invoke(app, ["check", str(started(tmp_path / "new", own)), "--no-estimate"])
        .output.splitlines()
    )
    heads = next(line for line in lines if "recording " in line and "frames" in line)
    assert "turned" not in heads and "bits" not in heads
    assert any("of all: turned no, bits 8, pixel 1" in line for line in lines)


def casme2(root):
    """Two subjects, three videos, one of them without labels; an offset of 0 and an apex of 0 in the labels."""
    for name in ("s15/15_0101disgustingteeth", "s16/16_0508funny", "s16/16_0401girlcrash"):
        images(root / "rawpic" / name, [f"img{n:03d}.jpg" for n in range(1, 61)])
    kind = ("4", "others", "macro-expression", "fear")
    rows = [[1, "disgust1_1", 5, 8, 0, *kind], [2, "happy5_1", 3, 0, 25, *kind], [2, "happy5_2", 3, 9, 25, *kind]]
    workbook(root / "code_final.xlsx", rows, [[15, "s15", 1], [16, "s16", 2]], [[101, "disgust1"], [508, "happy5"]])
    return root


def test_an_official_release_needs_its_folder_only(tmp_path):
    path = started(tmp_path / "new", casme2(tmp_path / "my CASME2"), "casme2")
    assert "apex-symmetric" in path.read_text()  # the comments of the shipped file are kept
    done = pfes("check", path, "--no-estimate")
    assert done.exit_code == 0, done.output
    for text in ("s16_0401", "3 macro, 0 micro", "onset + 20", "apex 0", "overlaps another of its class"):
        assert text in done.output


@pytest.mark.parametrize("dataset", ["samm_lv", "casme3"])
def test_every_release_has_a_configuration(dataset, tmp_path):
    (tmp_path / "root").mkdir()
    config = read_config(started(tmp_path / "new", tmp_path / "root", dataset))
    assert config["dataset"]["name"] == dataset
    assert config["dataset"]["root"] == str(tmp_path / "root")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "anna a").rename(root / "moved"), "video anna_a: .*anna a: no such file or folder"),
        (lambda root: [(root / f"anna a/img{n}.png").unlink() for n in range(24)], "video anna_a: 16 frames when sampled"),
        (lambda root: (root / "expressions.csv").write_text(LABELS.replace("30", "40")), "label in row 2: .*frame 39"),
        (lambda root: (root / "expressions.csv").write_text(LABELS.split("ben")[0]), "fold anna: none of its training"),
    ],
)  # fmt: skip
def test_what_would_go_wrong_is_a_problem(own, tmp_path, change, message):
    change(own)
    path = started(tmp_path / "new", own)
    assert any(pd.Series(check(path, costs=False).problems).str.match(message))
    done = pfes("check", path, "--no-estimate")
    assert done.exit_code == 1
    assert "nothing wrong" not in done.output


def test_problems_of_the_configuration_itself_are_problems(own, tmp_path):
    path = started(tmp_path / "new", own)
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**config, "points": {"mode": "given"}}))
    (problem,) = check(path, costs=False).problems
    assert problem.startswith("experiment journal: points: mode given, but 2 of 2 instances have no click")
    path.write_text(yaml.safe_dump({**config, "folds": {"scheme": "groups", "groups": 3}}))
    with pytest.raises(InputError, match="folds.groups: 3, expected 2 to 2"):  # as the run says it
        check(path, costs=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seads: [1]", "unknown key 'seads'"),
        ("run: [", "cannot be read as YAML"),
        ("- a", "holds list, expected keys with values"),
        ("dataset: {videos: none.csv}", "none.csv: no such sheet"),
        ("dataset: {name: casme2}", "dataset.root is missing"),
        ("experiments: [nothing]", "nothing.yaml does not exist"),
    ],
)
def test_what_cannot_be_read_is_one_message(tmp_path, text, message):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        check(tmp_path / "my.yaml", costs=False)


def test_the_shipped_demo_passes_before_it_is_rendered():
    findings = check(ROOT / "config/demo.yaml", costs=False)
    assert findings.problems == ()
    assert findings.tables["videos"]["n_frames"].gt(0).all()


@pytest.mark.parametrize(
    ("dataset", "root", "message"),
    [
        ("fer2013", ".", "'fer2013' is not known; expected one of casme2, samm_lv, casme3, generic"),
        ("casme2", "none", "none: no such folder"),
        ("generic", "empty", "no video and no folder of images"),
        ("generic", "own", "generic.yaml is there already"),
    ],
)
def test_a_configuration_that_cannot_be_written_is_named(own, tmp_path, dataset, root, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "generic.yaml").write_text("mine")
    with pytest.raises(InputError, match=message):
        write_starter(tmp_path, dataset, own if root == "own" else tmp_path / root)
    assert (tmp_path / "generic.yaml").read_text() == "mine"


def test_costs_come_from_a_calibration_and_the_table_says_so(own, tmp_path):
    path = started(tmp_path / "new", own)
    small = {"model": {"width": 16}, "training": {"epochs": 2, "device": "cpu"}}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **small}))
    done = pfes("check", path)
    assert done.exit_code == 0, done.output
    assert done.output.count("calibration") == 3  # the table breaks the line after it
    cost = check(path).cost
    assert [stage.name for stage in cost.stages] == ["faces", "flow and snippets", "training journal"]
    assert all(stage.seconds > 0 and stage.bytes > 0 for stage in cost.stages)


def test_costs_come_from_the_benchmarks_of_a_run_where_there_are_some(tmp_path):
    """Video a took 20 core seconds of flow for 100 frames: 300 frames take 60 s. One of two trainings took 7 s: both take 14 s."""
    # Wall time, and what Snakemake saw: of flow the first 15.5 s.
    benchmarks = {"faces/a": (10, 5), "flow/a": (40, 7.75), "train/journal/s1/seed0": (14, 7)}
    for name, (wall, seen) in benchmarks.items():
        file = tmp_path / "benchmarks" / f"{name}.tsv"
        file.parent.mkdir(parents=True)
        file.write_text(f"s\tmax_rss\tcpu_time\n{wall}\t1.0\t{seen}\n")  # the cores were shared
    videos = pd.DataFrame(
        {
            "video_id": ["a", "b", "c"],
            "subject": ["s1", "s2", "s2"],
            "n_frames": [100, 200, 0],
            "refused": [None, None, "x"],
        }
    )
    config = read_config(ROOT / "config/demo.yaml")
    folds = [Fold("s1", ("s1",), ("s2",)), Fold("s2", ("s2",), ("s1",))]
    cost = estimate(config, {"journal": config}, videos, folds, tmp_path)
    assert [stage.seconds for stage in cost.stages] == [15.0, 60.0, 14.0]
    assert {stage.source for stage in cost.stages} == {"benchmarks of 1 jobs"}


def test_jobs_on_a_gpu_wait_for_each_other():
    stages = (StageCost("flow", 100.0, 1.0, ""), StageCost("training", 50.0, 1.0, "", gpu=True))
    assert Estimate(stages, cores=4).wall_seconds == 75.0


def test_a_full_disk_is_a_problem(own, tmp_path, monkeypatch):
    huge = Estimate((StageCost("flow", 1.0, 1e18, "test"),), 2)
    monkeypatch.setattr("pfes.workflow.check.estimate", lambda *arguments: huge)
    problems = check(started(tmp_path / "new", own)).problems
    assert len(problems) == 1
    assert "disk: the run needs up to 909494.7 TB" in problems[0]


def test_rows_and_sizes_are_written_for_people():
    assert ranges([5, 1, 2, 3, 9, 9]) == "1-3, 5, 9"
    assert ranges([]) == ""
    assert ranges(range(0, 200, 2)).endswith("78 and 60 more")
    assert [size(count) for count in (0, 1023, 1536, 3 * 1024**3)] == ["0 B", "1023 B", "1.5 kB", "3.0 GB"]
