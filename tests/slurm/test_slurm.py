"""The workflow on a real SLURM of one node, through the shipped profile: equal to a local run; what is ended comes again with more."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.same import same_results
from tests.slurm.cluster import PARTITION, cluster, missing

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
# What a site has to say, and looks that are frequent enough for jobs of seconds.
SITE = [
    "--slurm-no-account", "--default-resources", f"slurm_partition={PARTITION}", "--slurm-init-seconds-before-status-checks",
    "3", "--seconds-between-status-checks", "2", "--latency-wait", "10", "--slurm-keep-successful-logs",
]  # fmt: skip


@pytest.fixture(scope="module")
def slurm():
    with cluster():
        yield


@pytest.fixture(scope="module")
def ended(slurm, tmp_path_factory):
    """Three jobs that are ended from outside, begun first since a time limit is a minute at least."""
    folder = tmp_path_factory.mktemp("ended")
    command = [sys.executable, "-m", "snakemake", "--snakefile", Path(__file__).with_name("Snakefile"), "--directory", folder,
               "--workflow-profile", PROFILE, *SITE, "--config", f"source={ROOT / 'src'}"]  # fmt: skip
    with (folder / "snakemake.log").open("w") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT)
    yield folder, process
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def on_slurm(ended, tmp_path_factory):
    """The folder of the smoke run on SLURM; one of its jobs, a training, is cancelled while it runs."""
    folder = tmp_path_factory.mktemp("smoke")
    shutil.copytree(ROOT / "config", folder / "config")
    command = [sys.executable, "-m", "pfes.commands.cli", "run", ROOT / "tests/smoke.yaml", "--",
               "--workflow-profile", PROFILE, *SITE]  # fmt: skip
    started = time.monotonic()
    with (folder / "snakemake.log").open("w") as log:
        process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    cancelled = None
    while process.poll() is None and time.monotonic() < started + 900:
        if cancelled is None:
            cancelled = _cancel("rule_train", folder)
        time.sleep(0.5)
    process.terminate()
    said = (folder / "snakemake.log").read_text()
    print(said)
    assert process.wait() == 0, said[-5000:]
    assert cancelled is not None, "no training was caught while it ran"
    return folder, cancelled, said


def _cancel(comment: str, folder: Path) -> str | None:
    """Cancel a running job of ``folder`` whose comment begins so, and return its number."""
    listed = subprocess.run(
        ["squeue", "--noheader", "--states=RUNNING", "--format=%A %Z %k"], capture_output=True, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        number, place, said = line.split(maxsplit=2)
        if (
            said.startswith(comment)
            and Path(place) == folder
            and list(folder.glob("results/smoke/logs/train/**/*.log"))
        ):
            subprocess.run(["scancel", number], check=True)
            return number
    return None


def test_results_are_those_of_a_local_run(on_slurm, run):
    """Every array, table and summary; files that hold times (log, cost, page) have the same shape."""
    results = on_slurm[0] / "results" / "smoke"
    assert same_results(run, results) > 25
    assert (results / "complete.txt").exists()


def test_short_jobs_go_together(on_slurm):
    """Three recordings, three trainings, three tests of models, the list of recordings and the results: 11 jobs and one again."""
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+)", on_slurm[2])
    assert 11 <= len(submitted) <= 13


def test_a_cancelled_training_comes_again_and_ends(on_slurm):
    assert re.search(rf"SLURM-job '{on_slurm[1]}' failed, SLURM status is: 'CANCELLED'", on_slurm[2])


def test_jobs_over_time_and_memory_come_again_with_more(ended):
    folder, process = ended
    process.wait(timeout=600)
    said = (folder / "snakemake.log").read_text()
    print(said)
    assert process.returncode == 0, said[-5000:]
    attempts = {path.stem: path.read_text().splitlines() for path in folder.glob("*.txt")}
    assert [line.split()[0] for line in attempts["time"]] == ["attempt=1", "attempt=2"]
    assert [line.split()[0] for line in attempts["memory"]] == ["attempt=1", "attempt=2"]
    assert attempts["time"][1].split()[1:] == ["runtime=2", "done"]
    assert "'TIMEOUT'" in said
    assert len(re.findall(r"SLURM status is: '(FAILED|OUT_OF_MEMORY|CANCELLED)'", said)) == 1
