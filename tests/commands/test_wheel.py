"""Install without a clone: the built wheel in a fresh environment, in a folder of its own, does what the checkout does."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT

SHIPPED = ("Snakefile", "rules", "workflow", "config", "envs")
pytestmark = pytest.mark.slow


def build(source, out, kind):
    """Build a wheel or sdist of a folder with the setuptools of this environment; nothing is downloaded."""
    code = f"from setuptools import build_meta as b; print(b.build_{kind}({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist of the checkout, and the wheel that is built from the sdist alone."""
    folder = tmp_path_factory.mktemp("built")
    kept = [*SHIPPED, "src", "docs", "tests", "setup.py", "MANIFEST.in", "pyproject.toml", "README.md", "LICENSE",
            "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "constraints.txt", "Makefile"]  # fmt: skip
    copy = folder / "checkout"
    copy.mkdir()
    for name in kept:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored) if (ROOT / name).is_dir() else shutil.copy(
            ROOT / name, copy
        )
    sdist = build(copy, folder, "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return sdist, build(folder / sdist.name.removesuffix(".tar.gz"), folder, "wheel")


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A fresh environment with the wheel; what it depends on is that of this environment. A folder with space and umlaut."""
    folder = tmp_path_factory.mktemp("user") / "my stüdy"
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env").glob("lib/python*/site-packages"))
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(site)
    (site / "dependencies.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )  # a line of another folder runs no .pth of it
    return folder


def pfes(folder, *arguments, status=0):
    """Run the installed command in ``folder``."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [folder / "env/bin/python", "-m", "pfes.commands.cli", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_wheel_and_sdist_hold_every_file_of_the_workflow(built):
    sdist, wheel = built
    files = [
        path for name in SHIPPED for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"))
    ]
    wanted = {path.relative_to(ROOT).as_posix() for path in files if path.is_file() and "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        prefix = "pfes/_workflow/"
        assert {name.removeprefix(prefix) for name in archive.namelist() if name.startswith(prefix)} == wanted
        assert not any(name.startswith("pfes/bench/") for name in archive.namelist())
    with tarfile.open(sdist) as archive:
        assert wanted <= {name.partition("/")[2] for name in archive.getnames()}


def test_the_package_that_runs_is_the_installed_one(installed):
    done = subprocess.run(
        [installed / "env/bin/python", "-c", "from pfes.base.place import ROOT; print(ROOT)"],
        cwd=installed, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_init_check_and_a_dry_run_need_no_checkout(installed, shared_data):
    root = shared_data / "videos"
    assert "next: pfes check" in pfes(installed, "init", "study", "--dataset", "generic", "--root", root)
    said = pfes(installed, "check", "study/generic.yaml", "--no-estimate", status=1)
    assert "no expression is labelled" in said
    sheet = pd.read_csv(installed / "study/videos.csv")
    rows = [(name, name, 60, 70, 100, "macro") for name in sheet["subject"] if name.startswith("expressions_")]
    pd.DataFrame(rows, columns=["subject", "video", "onset", "apex", "offset", "class"]).to_csv(
        installed / "study/expressions.csv", index=False
    )
    (installed / "config/experiments").mkdir(parents=True)
    (installed / "config/experiments/mine.yaml").write_text("description: own\nbase: kc_16\ntraining: {epochs: 1}\n")
    said = pfes(installed, "run", "study/generic.yaml", "--config", "experiments=mine", "--dry-run", "--cores", "1")
    assert re.search(r"\btrain +6\b", said), said  # one per subject, of the experiment in the project's own folder


def test_spot_finds_candidates(installed, shared_data):
    pfes(installed, "spot", shared_data / "videos/single_face.mp4", "--out", "out", "--no-overlay")
    assert (installed / "out/proposals.csv").is_file()


def test_a_whole_run_ends_with_its_report(installed):
    """The workflow as the wheel has it, on the smallest demo; its settings are those of the smoke run."""
    shutil.copy(ROOT / "tests/smoke.yaml", installed)
    pfes(installed, "run", "smoke.yaml", "--cores", "2")
    assert "report:" in pfes(installed, "summary", "results/smoke")
    assert (installed / "results/smoke/report.html").is_file()
    before = (installed / "results/smoke/report.html").stat().st_mtime_ns
    pfes(installed, "run", "smoke.yaml", "--cores", "2")
    assert (installed / "results/smoke/report.html").stat().st_mtime_ns == before  # nothing was to be done
