"""What a new user gets wrong, or meets first: one clear sentence, and nothing left behind."""

import re
import subprocess
import sys

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

import pfes
from pfes.base import store
from pfes.base.progress import listening, watched
from pfes.base.schema import settings_of
from pfes.base.text import duration
from pfes.commands import progress
from pfes.commands.cli import app
from pfes.commands.labels import counts
from pfes.workflow.plan import read_config
from pfes.workflow.settings import Settings
from pfes.workflow.sizes import SIZES
from tests.conftest import ROOT, write_video


def command(*arguments):
    """Run ``pfes`` as main does: an InputError is a line, its text is returned with the output."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0 or "Traceback" not in done.output
    return done.exit_code, f"{done.output}{done.exception or ''}"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder that is the working folder, far from any checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_version():
    assert command("--version") == (0, f"pfes {pfes.__version__}\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spot": {"macro": {"min_score": 7}}}, "spot.macro.min_score: 7 is greater than the maximum of 1.2"),
        ({"spot": {"thresholds": [0.2, 20]}}, "spot.thresholds.1: 20 is greater than the maximum of 1"),
        ({"spot": {"micro": {"max_s": -0.5}}}, "spot.micro.max_s: -0.5 is less than or equal to the minimum of 0"),
        ({"training": {"loss": {"temperature": 0}}}, "training.loss.temperature: 0 is less than or equal"),
        ({"training": {"gim": {"hard_epochs": -1}}}, "training.gim.hard_epochs: -1 is less than the minimum"),
        ({"model": {"width": 33, "heads": 2}}, "width 33 is not a multiple of 2 heads"),
    ],
)
def test_an_impossible_setting_is_refused_before_any_work(here, changes, message):
    (here / "bad.yaml").write_text(yaml.safe_dump({"dataset": {"name": "demo"}, **changes}))
    status, said = command("check", "bad.yaml", "--no-estimate")
    assert status != 0
    assert message in said


def test_every_number_has_a_least_value():
    kinds = {"integer", "number"}
    for setting in settings_of(Settings()):
        schema = setting.schema
        numeric = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
        if "array" in numeric:
            schema = schema["items"] if "items" not in schema["items"] else schema["items"]["items"]
            numeric = {schema.get("type", "")}
        if numeric & kinds and "enum" not in schema:
            assert {"minimum", "exclusiveMinimum"} & set(schema), setting.path


def test_check_and_init_need_no_config_folder(here):
    assert command("check", ROOT / "config/demo.yaml", "--no-estimate")[0] == 0
    (here / "videos").mkdir()
    (here / "videos/a.mp4").touch()
    status, said = command("init", "my_lab", "--dataset", "generic", "--root", "videos", "--size", "small")
    assert status == 0
    assert "to fill in or correct, my_lab/videos.csv: who is seen in each recording" in said
    config = read_config("my_lab/generic.yaml")
    assert config["run"] == "my_lab"
    assert config["model"]["width"] == SIZES["small"]["model"]["width"]


def test_a_size_keeps_what_a_dataset_sets(here):
    command("init", "samm", "--dataset", "samm_lv", "--root", ".", "--size", "medium")
    config = read_config("samm/samm_lv.yaml")
    assert (config["model"]["width"], config["training"]["loss"]["contrast"], config["spot"]["micro"]["min_score"]) == (
        96,
        2e-6,
        0.3,
    )
    status, said = command("init", "other", "--dataset", "samm_lv", "--root", ".", "--size", "tiny")
    assert status != 0
    assert "--size tiny: expected one of small, medium, paper" in said
    assert not (here / "other").exists()


@pytest.mark.parametrize("given", ["gone.mp4", "README.md"])
def test_what_is_no_video_is_told_at_once_and_leaves_nothing(here, given):
    (here / "README.md").write_text("# a text\n")
    status, said = command("spot", given, "--out", "out")
    assert status != 0
    assert given in said
    assert "0 frames" not in said
    assert not (here / "out").exists()


def test_the_results_of_another_recording_are_named_and_kept(here):
    """A second recording with the same --out: no word of --overwrite, which would lose the first one's."""
    for name in ("a.mp4", "b.mp4"):
        write_video(here / name, [0.0, 0.04, 0.08])
    (here / "out").mkdir()
    origin = {"stage": "faces", "sources": {"videos/a.mp4": "0"}}
    store.refuse(here / "out/faces.h5", "faces", "a test", origin)
    (here / "out/proposals.csv").write_text("video_id\n")
    said = command("spot", "b.mp4", "--out", "out")[1]
    assert "out holds the results of another recording, videos/a.mp4; choose another folder with --out" in said
    assert "replace it with --overwrite" in command("spot", "a.mp4", "--out", "out")[1]


def test_a_negative_rate_is_refused(here):
    assert command("spot", "a.mp4", "--out", "out", "--fps", "-3")[0] == 2


@pytest.mark.parametrize("content", [b"# a text\n", b"a: 1\nb: 2\n", b""])
def test_a_wrong_model_is_refused_without_advice_to_open_it_unsafely(here, content):
    (here / "model.pt").write_bytes(content)
    write_video(here / "a.mp4", [0.0, 0.04, 0.08])
    status, said = command("spot", "a.mp4", "--out", "out", "--model", "model.pt")
    assert status != 0
    assert "model.pt: not a pfes model" in said
    assert "weights_only" not in said
    assert not (here / "out").exists()


def test_a_file_of_torch_that_holds_code_is_refused(here):
    torch.save({"kind": "model", "run": print}, here / "model.pt")
    said = command("info", "model.pt")[1]
    assert "not a pfes model" in said
    assert "weights_only" not in said


def test_a_wrong_run_folder_is_named_with_the_runs_that_are_there(here):
    (here / "results/demo/dataset").mkdir(parents=True)
    assert "there is no such folder; expected the folder of a run" in command("summary", "nothing")[1]
    said = command("summary", "results")[1]
    assert "this is not the folder of a run" in said
    assert "there is results/demo" in said
    assert "the run has not come so far" in command("summary", "results/demo")[1]
    assert "the run has not come so far" in command("compare", "results/demo")[1]


PROPOSALS = "class,onset,apex,offset,native_onset,native_apex,native_offset,score\nmacro,10,20,30,11,21,31,0.7\n"


@pytest.mark.parametrize("name", ["video_id", "recording"])
def test_proposals_that_spot_wrote_are_exported(here, name):
    (here / "videos.csv").write_text("subject,video,path,fps,condition\nanna,film,film.mp4,30,happy\n")
    rows = [f"{head},{line}" for head, line in zip((name, "film"), PROPOSALS.splitlines(), strict=True)]
    (here / "found.csv").write_text("\n".join(rows) + "\n")
    status, said = command(
        "export", "--videos", "videos.csv", "--proposals", "found.csv", "--format", "csv", "--out", "out.csv"
    )
    assert status == 0, said
    assert pd.read_csv("out.csv")[["onset", "apex", "offset"]].to_numpy().tolist() == [[11, 21, 31]]
    assert (
        command("export", "--videos", "videos.csv", "--proposals", "found.csv", "--format", "elan", "--out", "eaf")[0]
        == 0
    )
    assert "score" not in pd.read_csv("out.csv")


def test_a_table_of_another_tool_is_refused_in_a_few_words(here):
    columns = ["frame", "face_id", "timestamp", *(f"eye_lmk_x_{i}" for i in range(700))]
    (here / "openface.csv").write_text(",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n")
    (here / "truth.csv").write_text("video,class,onset,offset\na,macro,1,20\n")
    said = command("evaluate", "--instances", "truth.csv", "--proposals", "openface.csv")[1]
    assert "698 more unknown columns" in said
    assert len(said) < 600


def test_row_numbers_of_a_release_are_a_few(tmp_path, shared_data):
    from pfes.commands.labels import write_labels

    found = write_labels("casme2", shared_data / "labels/code_final.xlsx", tmp_path)
    assert found == counts(tmp_path)
    assert max(len(re.findall(r"\d+", which)) for _, _, which in found) <= 25


def test_durations_are_told_in_their_unit():
    assert [duration(seconds) for seconds in (0, 59, 61, 3599, 5400)] == ["0 s", "59 s", "1.0 min", "60.0 min", "1.5 h"]


def test_a_listener_hears_how_far_a_stage_is_and_no_longer():
    heard = []
    with listening(lambda *what: heard.append(what)):
        assert list(watched("faces", "ab", 2)) == ["a", "b"]
    assert list(watched("faces", "c", 1)) == ["c"]
    assert heard == [("faces", 0, 2), ("faces", 1, 2), ("faces", 2, 2)]


def test_bars_show_stages_of_one_recording_and_problems_of_many(capsys):
    from rich.console import Console

    console = Console(force_terminal=True, width=100, record=True)
    with progress.bars(console, 1, True) as step:
        list(watched("optical flow", range(5), 5))
        step(None)
    assert "optical flow" in console.export_text(clear=True)
    with progress.bars(console, 2, True) as step:
        step("gone.mp4: no such file")
        step(None)
    said = console.export_text()
    assert "skipped: gone.mp4: no such file" in said
    assert "2/2" in said


@pytest.mark.parametrize(
    "line", ["check none.yaml", "spot none.mp4 --out out", "learn none.csv --out out", "info none.h5"]
)
def test_a_file_that_is_not_there_is_refused_at_once(here, line):
    """No numerical library is loaded for it, which would take seconds."""
    code = (
        "import sys\nfrom pfes.commands.cli import app\nfrom pfes.base.errors import InputError\n"
        "try:\n    app(sys.argv[1:])\nexcept InputError as error:\n    print(error)\n"
        "assert not {'numpy', 'pandas', 'torch', 'h5py'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *line.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{line.split()[1]}: no such file or folder\n"
