"""Fixtures that several test files share."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


def snakemake(folder, *arguments, cores=2, configfile=ROOT / "tests" / "smoke.yaml"):
    """Run the workflow with ``folder`` as the working directory, which gets the shipped configuration."""
    if not (folder / "config").exists():
        shutil.copytree(ROOT / "config", folder / "config")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", configfile,
        "--cores", cores, "--keep-going", "--rerun-incomplete", *arguments,
    ]  # fmt: skip
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a finished smoke run, made at two cores."""
    folder = tmp_path_factory.mktemp("two")
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr
    return folder / "results" / "smoke"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos, labels and predictions; a test that asks for it is skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no test data at {SHARED_DATA}")
    return SHARED_DATA
