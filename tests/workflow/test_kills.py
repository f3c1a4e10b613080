"""``pfes run`` after kill -9 of a worker, of Snakemake, or of everything, at seeded moments: it goes on by itself, and loses nothing."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from pfes.commands.run import CLAIM
from tests.conftest import ROOT
from tests.same import same_results

SMOKE = ROOT / "tests" / "smoke.yaml"
KINDS = ("worker", "snakemake", "group")


def begin(folder, *arguments):
    """Start ``pfes run`` in ``folder``, as the leader of a process group."""
    command = [sys.executable, "-m", "pfes.commands.cli", "run", SMOKE, "--", "--cores", "2", *arguments]
    log = (folder / "said.txt").open("a")
    return subprocess.Popen(
        [str(part) for part in command], cwd=folder, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
    )


def workers(folder):
    """Return the processes that run a script of a job in ``folder``."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder) and any(".snakemake/scripts" in part for part in process.cmdline()):
                found.append(process)
    return found


def kill_one(folder, process, kind, moment):
    """Kill what ``kind`` says, ``moment`` s after a job was first seen to run; return whether the run was still going."""
    before = {worker.pid for worker in workers(folder)}  # orphans, which the run will end
    while process.poll() is None and not {worker.pid for worker in workers(folder)} - before:
        time.sleep(0.05)
    time.sleep(moment)
    if process.poll() is not None:
        return False
    if kind == "worker":
        while process.poll() is None and not (victims := workers(folder)):
            time.sleep(0.02)
        if process.poll() is not None:
            return False
        with suppress(psutil.Error):
            random.Random(moment).choice(victims).kill()
        time.sleep(1)
        process.terminate()  # it would go on with all other jobs
    elif kind == "snakemake":
        with suppress(OSError):
            os.kill(json.loads((folder / "results/smoke" / CLAIM).read_text())["pid"], signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def chain(folder, seed, count):
    """Kill up to ``count`` times while one run is made, and let it end; return what was killed, by kind."""
    folder.mkdir()
    shutil.copytree(ROOT / "config", folder / "config")
    generator, killed = random.Random(seed), Counter()
    for _ in range(10 * count):
        process = begin(folder)
        if killed.total() == count:
            break
        kind = generator.choice(KINDS)
        if kill_one(folder, process, kind, generator.uniform(0.0, 2.5)):
            killed[kind] += 1
        elif process.poll() == 0:
            break
    assert process.wait() == 0, (folder / "said.txt").read_text()[-5000:]
    return killed


def check(folder, run):
    """Nothing is lost, and nothing is left behind."""
    results = folder / "results/smoke"
    assert same_results(run, results) > 25
    assert not list(results.rglob(".*.part*"))
    assert not list(results.rglob("checkpoint.pt"))
    assert not (results / CLAIM).exists()
    assert not list((folder / ".snakemake/locks").glob("*")) if (folder / ".snakemake/locks").exists() else True
    assert not workers(folder)


def test_killed_until_done(run, tmp_path, total):
    killed = Counter()
    for seed in range(total):
        killed += chain(tmp_path / f"chain{seed}", seed, min(20, total - killed.total()))
        check(tmp_path / f"chain{seed}", run)
        print(f"chain {seed}: {dict(killed)}", flush=True)
        if killed.total() >= total:
            break
    assert killed.total() >= total


def pytest_generate_tests(metafunc):
    """Twenty kills among the slow tests, two hundred among the faults."""
    if "total" in metafunc.fixturenames:
        few, many = (
            pytest.param(20, marks=pytest.mark.slow),
            pytest.param(200, marks=[pytest.mark.slow, pytest.mark.long, pytest.mark.faults]),
        )
        metafunc.parametrize("total", [few, many])


@pytest.mark.slow
def test_a_second_run_is_refused_and_sigterm_leaves_nothing_behind(tmp_path):
    """Of two runs at once the second says who works there; the first, asked to end, ends its jobs and its claim."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    process = begin(tmp_path)
    while not workers(tmp_path):
        assert process.poll() is None, (tmp_path / "said.txt").read_text()
        time.sleep(0.1)
    second = subprocess.run(
        [sys.executable, "-m", "pfes.commands.cli", "run", str(SMOKE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 2
    pid = json.loads((tmp_path / "results/smoke" / CLAIM).read_text())["pid"]
    assert f"results/smoke: a run works there, process {pid} on " in second.stderr
    assert second.stderr.count("\n") == 1
    process.terminate()
    assert process.wait(timeout=60) != 0
    assert not workers(tmp_path)
    assert not list((tmp_path / "results").rglob(".*.part*"))
    assert not (tmp_path / "results/smoke" / CLAIM).exists()
