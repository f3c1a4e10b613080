"""``pfes run`` around Snakemake: what it starts, whom it refuses, what it removes; Snakemake itself runs in test_kills."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from pfes.base.errors import InputError
from pfes.commands import cli
from pfes.commands import run as command
from pfes.commands.run import CLAIM, MARK, Claim, run_name, tidy

SLEEPER = "import time; time.sleep(60)"


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "mine"
    folder.mkdir(parents=True)
    return folder.relative_to(tmp_path)


def claim(results, pid=2**22 + 1, host=None, run_id="abc"):
    made = Claim(run_id, host or socket.gethostname(), pid, "2026-01-01 00:00:00")
    (results / CLAIM).write_text(json.dumps(asdict(made)))
    return made


def sleeper(run_id):
    return subprocess.Popen([sys.executable, "-c", SLEEPER], env=os.environ | {MARK: run_id})


def test_a_living_run_is_refused_in_one_line(results):
    with sleeper("abc") as process:
        claim(results, process.pid)
        with pytest.raises(InputError) as raised:
            list(tidy(results))
        process.kill()
    said = (
        f"results/mine: a run works there, process {process.pid} on {socket.gethostname()} since 2026-01-01 00:00:00; "
    )
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_a_process_number_that_was_given_anew_is_no_run(results):
    """The process lives, but it is not of the run: its environment says so, whatever clocks and numbers say."""
    with sleeper("another") as process:
        claim(results, process.pid)
        assert list(tidy(results)) == [f"going on where process {process.pid} ended, which began 2026-01-01 00:00:00"]
        assert process.poll() is None
        process.kill()


def test_a_run_of_another_host_is_refused(results):
    claim(results, host="login2")
    with pytest.raises(InputError, match=r"process \d+ on login2 since .* remove results/mine/.run.json"):
        list(tidy(results))


def test_orphans_are_ended_and_only_they(results):
    with sleeper("abc") as orphan, sleeper("other") as stranger:
        claim(results)
        time.sleep(0.2)
        assert list(tidy(results))[0] == "ended 1 processes of the run that began 2026-01-01 00:00:00"
        assert orphan.poll() is not None
        assert stranger.poll() is None
        stranger.kill()


def test_locks_of_this_run_are_removed_and_those_of_others_stay(results, tmp_path):
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/mine/report.html\n")
    (locks / "1.output.lock").write_text("results/mine2/report.html\n")
    claim(results)
    assert list(tidy(results))[-1].endswith("; its lock is removed")
    assert [path.name for path in locks.iterdir()] == ["1.output.lock"]


def test_a_lock_that_nobody_claims_is_left_to_a_person(results, tmp_path):
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/mine/report.html\n")
    with pytest.raises(InputError, match="not begun with pfes run, and no process on .* -- --unlock"):
        list(tidy(results))


def test_temporary_files_of_dead_processes_are_swept(results):
    claim(results)
    for name in (f".a.{2**22 + 1}.part.h5", ".b.x.part.h5", f".c.{os.getpid()}.part.parquet", "a.h5"):
        (results / name).touch()
    assert list(tidy(results))[-1] == "removed 1 unfinished temporary files"
    assert sorted(path.name for path in results.iterdir()) == [".b.x.part.h5", f".c.{os.getpid()}.part.parquet", "a.h5"]


def test_the_file_of_a_killed_process_whose_parent_has_not_asked_is_removed(results):
    """It is still in the system's list, as a zombie."""
    writer = sleeper("abc")
    path = results / f".a.{writer.pid}.part.h5"
    path.touch()
    writer.kill()
    while psutil.Process(writer.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert list(tidy(results)) == ["removed 1 unfinished temporary files"]
    assert not path.exists()
    writer.wait()


def test_a_damaged_claim_is_named(results):
    (results / CLAIM).write_text("{")
    with pytest.raises(InputError, match=r"\.run\.json: cannot be read"):
        list(tidy(results))


def test_a_results_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("a file, not a folder")
    (tmp_path / "my.yaml").write_text("run: mine\n")
    with pytest.raises(InputError, match="results/mine: cannot be written"):
        command.run([tmp_path / "my.yaml"])


def test_the_name_of_a_run_is_that_of_the_last_who_says_it(tmp_path):
    (tmp_path / "a.yaml").write_text("run: first\n")
    (tmp_path / "b.yaml").write_text("seeds: [1]\n")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    assert run_name(files) == "first"
    assert run_name(files, ["--config", "run=second", "seeds=2"]) == "second"
    assert run_name([]) == "my_run"


def test_the_profile_is_the_one_beside_the_configuration_else_that_of_a_laptop(tmp_path, monkeypatch):
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        command.subprocess, "run", lambda words, **_: calls.append(words) or subprocess.CompletedProcess(words, 0)
    )
    (tmp_path / "my.yaml").write_text("run: mine\n")
    assert command.run([tmp_path / "my.yaml"], ["-n"]) == 0
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text("executor: slurm\n")
    command.run([tmp_path / "my.yaml"], ["-n"])
    command.run([tmp_path / "my.yaml"], ["-n", "--workflow-profile", "other"])
    profiles = [words[words.index("--workflow-profile") + 1] for words in calls]
    assert profiles == [str(command.ROOT / "workflow/profiles/default"), str(tmp_path / "profile"), "other"]
    assert [words.count("--cores") for words in calls] == [1, 0, 0]
    assert [words.count("--workflow-profile") for words in calls] == [1, 1, 1]


def test_sigterm_ends_a_stage_and_what_it_was_writing(tmp_path):
    """Status 143, a line in the log, no temporary file: what a time limit and scancel do to a job."""
    source = (
        "import time; from pfes.base import logs, store\n"
        "with logs.stage('log.txt'), store.atomic('a.bin') as temporary:\n"
        "    temporary.write_bytes(b'half'); open('ready', 'w').close(); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", source], cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        process.terminate()
        assert process.wait(10) == 143
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "ready"]
    assert "ended from outside (SIGTERM)" in (tmp_path / "log.txt").read_text()


def test_configurations_come_first_and_the_rest_is_snakemakes():
    words = [
        Path("a.yaml"),
        Path("b.yml"),
        Path("results/mine/summary.json"),
        Path("-n"),
        Path("--config"),
        Path("run=x"),
    ]
    assert cli._parted(words) == (words[:2], ["results/mine/summary.json", "-n", "--config", "run=x"])


@pytest.mark.parametrize(
    ("source", "status", "stays"), [("", 0, False), ("import os; os.kill(os.getpid(), 9)", -9, True)]
)
def test_the_claim_goes_with_a_run_that_ended_and_stays_after_one_that_was_killed(
    tmp_path, monkeypatch, source, status, stays
):
    """What a killed Snakemake leaves (jobs, lock) is found by the claim."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text("run: mine\n")
    monkeypatch.setattr(command, "_snakemake", lambda *_: [sys.executable, "-c", source])
    assert command.run([tmp_path / "my.yaml"]) == status
    assert (tmp_path / "results/mine" / CLAIM).exists() == stays


def environment(folder, monkeypatch):
    """Make this process one of a Python environment in ``folder``."""
    venv.create(folder)
    monkeypatch.setattr(sys, "prefix", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "bin/python"))


def test_an_environment_whose_path_holds_a_space_is_reached_through_a_link(tmp_path, monkeypatch):
    environment(tmp_path / "my envirönment", monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    found = [command.interpreter() for _ in range(2)]  # the second finds the link
    line = f"{found[0]} -c 'import sys; print(sys.executable, sys.prefix)'"  # as Snakemake does, without quotes
    said = subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout
    assert said == f"{found[0]} {found[0].parents[1]}\n"
    assert found[0] == found[1]
    assert found[0].parents[1].resolve() == tmp_path / "my envirönment"


def test_where_the_folder_of_caches_has_a_space_too_the_link_is_a_temporary_one(tmp_path, monkeypatch):
    environment(tmp_path / "my env", monkeypatch)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my caches"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert command.interpreter().is_relative_to(tmp_path / "temporary")


def test_a_link_that_leads_elsewhere_is_not_followed(tmp_path, monkeypatch):
    environment(tmp_path / "my env", monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "caches"))
    link = command.interpreter().parents[1]
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"my env: Snakemake cannot run .* make the environment in another folder"):
        command.interpreter()


def test_a_folder_in_which_others_can_put_a_link_is_not_used(tmp_path, monkeypatch):
    environment(tmp_path / "my env", monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    command.interpreter().parents[2].chmod(0o777)
    assert command.interpreter().is_relative_to(tmp_path / "temporary")


def test_any_other_environment_is_named_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/env-3.11_ü/bin/python3")
    assert str(command.interpreter()) == "/opt/env-3.11_ü/bin/python3"
