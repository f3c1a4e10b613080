"""What a run shows in a terminal: which jobs run, a training's epoch, and the time left."""

import os
import pty
import re
import shutil
import subprocess
import sys

import pytest

from snakemake_logger_plugin_pfes import MOST_JOBS, Run, epoch
from tests.conftest import ROOT


@pytest.fixture
def run():
    """A run whose clock is set by ``run.now``."""
    made = Run(clock=lambda: made.now)
    made.now = 100.0
    return made


def test_nothing_is_said_of_the_time_left_before_a_job_has_ended(run):
    run.planned({"faces": 4, "total": 4})
    run.started(1, "faces", ["s01_v01"], [])
    run.now += 10
    assert run.lines() == ["faces s01_v01, 10 s"]


def test_the_time_left_is_that_of_the_rules_at_the_pace_of_the_run(run):
    """Two at a time: faces 10 s each, of six two are done and two half way; flow is not yet known."""
    run.planned({"faces": 6, "flow": 6})
    for number in (1, 2):
        run.started(number, "faces", [f"v{number}"], [])
    run.now += 10
    for number in (1, 2):
        run.ended(number, well=True)
        run.started(number + 2, "faces", [f"v{number + 2}"], [])
    run.now += 5
    assert run.lines()[:2] == ["faces v3, 5 s", "faces v4, 5 s"]
    assert run.time_left() == "at least 15 s left"  # (4 jobs of 10 s, less 2 of 5 s) / 2
    run.left["flow"] = 0
    assert run.time_left() == "some 15 s left"


def test_a_job_that_failed_is_still_to_be_done_and_says_nothing_of_its_time(run):
    run.planned({"faces": 2})
    run.started(1, "faces", ["a"], [])
    run.now += 1
    run.ended(1, well=False)
    assert run.time_left() == "" and run.left["faces"] == 2
    run.started(1, "faces", ["a"], [])
    run.now += 10
    run.ended(1, well=True)
    assert run.time_left() == "some 10 s left"


def test_of_many_jobs_the_oldest_are_named(run):
    run.planned({"spot": 30})
    for number in range(12):
        run.started(number, "spot", [f"fold{number}"], [])
        run.now += 1
    assert run.lines()[0] == "spot fold0, 12 s"
    assert run.lines()[-1] == f"and {12 - MOST_JOBS} more"


def test_the_epoch_is_the_last_of_the_log(run, tmp_path):
    log = tmp_path / "train.log"
    log.write_text(
        "".join(f"2026-11-26 pfes.training.engine: epoch {k} of 24: loss 0.1, 4.4 s\n" for k in range(1, 13))
    )
    assert epoch(log) == "epoch 12 of 24"
    run.started(7, "train", ["journal", "s01", "0"], [str(log)])
    assert run.lines() == ["train journal s01 0, epoch 12 of 24, 0 s"]
    assert epoch(tmp_path / "none.log") == epoch(None) == ""


def test_snakemake_shows_it_in_a_terminal(tmp_path):
    """A workflow of two jobs: while the second runs its name, its epoch and the time left stand there."""
    (tmp_path / "Snakefile").write_text(
        "rule all:\n    input: expand('{n}.txt', n=[1, 2]), 'mark'\n\nrule mark:\n    output: touch('mark')\n\n"
        "rule train:\n    output: '{n}.txt'\n    log: '{n}.log'\n"
        "    shell: 'echo epoch 3 of 9 > {log}; sleep 1.5; touch {output}'\n"
    )
    shutil.copy(ROOT / "workflow/profiles/default/config.yaml", tmp_path / "config.yaml")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", str(tmp_path), "--cores", "1"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert (tmp_path / "mark").is_file() and "Touching" not in text
    assert "train 1, epoch 3 of 9" in text and "train 2, epoch 3 of 9" in text
    assert re.search(r"some [12] s left", text)


def test_jobs_that_failed_before_their_logs_are_named_without_a_traceback(tmp_path):
    """Of twelve that fail at once some are told before Snakemake has made their log."""
    (tmp_path / "Snakefile").write_text(
        "rule all:\n    input: expand('{n}.h5', n=range(12))\n\n"
        "rule faces:\n    output: '{n}.h5'\n    log: 'logs/{n}.log'\n    shell: 'rm -f {log}; exit 3'\n"
    )
    shutil.copy(ROOT / "workflow/profiles/default/config.yaml", tmp_path / "config.yaml")
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", str(tmp_path), "--cores", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Failed faces" in done.stderr and "Traceback" not in done.stderr, done.stderr
