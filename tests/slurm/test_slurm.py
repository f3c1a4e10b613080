"""The workflow on a real SLURM of one node, through the shipped profile: equal to a local run; what is ended comes again with more."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pfes.commands.run import interpreter
from tests.conftest import ROOT
from tests.same import same_results
from tests.slurm.cluster import PARTITION, cluster, missing

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
# What a site has to say, and looks that are frequent enough for jobs of seconds.
SITE = [
    "--slurm-no-account", "--default-resources", f"slurm_partition={PARTITION}", "--slurm-init-seconds-before-status-checks",
    "3", "--seconds-between-status-checks", "2", "--latency-wait", "10", "--slurm-keep-successful-logs",
]  # fmt: skip


@pytest.fixture(scope="module")
def slurm():
    """The folder of SLURM's own logs."""
    with cluster() as folder:
        yield folder


@pytest.fixture(scope="module")
def ended(slurm, tmp_path_factory):
    """Two jobs that SLURM ends, begun first since a time limit is a minute at least."""
    folder = tmp_path_factory.mktemp("ended")
    command = [interpreter(), "-m", "snakemake", "--snakefile", Path(__file__).with_name("Snakefile"), "--directory", folder,
               "--workflow-profile", PROFILE, *SITE]  # fmt: skip
    with (folder / "snakemake.log").open("w") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT)
    yield folder, process
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def on_slurm(ended, tmp_path_factory):
    """The folder in which the lines of docs/cluster.md were followed, the training that was cancelled meanwhile, and what was said.

    Their dataset is the demo of the smoke run, so that there is a local run to compare with.
    """
    folder = tmp_path_factory.mktemp("smoke")
    (folder / "my_lab").mkdir()
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copy(ROOT / "tests/smoke.yaml", folder / "my_lab/generic.yaml")
    said = ""
    for line in told():
        print(f"$ {line}", flush=True)
        if line.startswith("nohup"):
            cancelled = run_and_cancel(folder, line)
            said += (folder / "run.log").read_text()
            print((folder / "run.log").read_text())
            continue
        done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout
    return folder, cancelled, said


def told():
    """Return the commands of pfes in docs/cluster.md as they stand there; the dataset is the demo, and the log is not followed."""
    block = (ROOT / "docs/cluster.md").read_text().split("```")[1]
    lines = [line for line in block.splitlines() if "bin/pfes" in line and "--dataset" not in line]
    here = f"{interpreter()} -m pfes.commands.cli"
    return [line.replace(".venv/bin/pfes", here).replace("results/my_lab", "results/smoke") for line in lines]


def run_and_cancel(folder, line):
    """Run ``line`` to its end; cancel the first training that is seen to run, and return its number."""
    cancelled, deadline = None, time.monotonic() + 1500
    process = subprocess.Popen(line.removesuffix("&").replace("nohup", "exec nohup"), shell=True, cwd=folder)
    while process.poll() is None and time.monotonic() < deadline:
        cancelled = cancelled or _cancel("rule_train", folder)
        time.sleep(0.5)
    process.terminate()
    assert process.wait() == 0, (folder / "run.log").read_text()[-5000:]
    assert cancelled is not None, "no training was caught while it ran"
    return cancelled


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
    """Three recordings, three trainings, three tests of models, the list of recordings and the results: 11 jobs, one of them twice."""
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+)", on_slurm[2])
    assert len(submitted) == 12


def test_a_cancelled_training_comes_again_and_ends(on_slurm):
    assert job(on_slurm[1])["JobState"] == "CANCELLED"
    assert len(re.findall("Trying to restart job", on_slurm[2])) == 1
    assert len(list((on_slurm[0] / "results/smoke/train").glob("*/*/*/model.pt"))) == 3


def test_jobs_over_time_and_memory_come_again_with_more(slurm, ended):
    folder, process = ended
    assert process.wait(timeout=600) == 0, (folder / "snakemake.log").read_text()[-5000:]
    attempts = {path.stem: path.read_text() for path in folder.glob("*.txt")}
    assert attempts["time"] == "attempt=1 \nattempt=2 runtime=2 done\n"
    assert attempts["memory"] == "attempt=1 attempt=2 mem_mb=1200 done\n"
    said = (slurm / "slurmd.log").read_text()
    assert re.search(r"exceeded memory limit \(\d+ > 314572800\), being killed", said)
    assert "DUE TO TIME LIMIT" in said


def job(number):
    """Return what SLURM says of a job."""
    said = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True, check=True).stdout
    return dict(part.split("=", 1) for part in said.split() if "=" in part)
