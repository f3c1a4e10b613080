"""The examples of CONTRIBUTING, followed literally in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pfes.base import store
from pfes.commands.run import interpreter
from tests.conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Example: add a method")[2]


def block(language: str) -> str:
    """Return the first block of code in ``language`` of the example, without its indentation."""
    return textwrap.dedent(re.findall(rf" *```{language}\n(.*?) *```", TEXT, re.DOTALL)[0])


@pytest.mark.slow
def test_the_method_of_contributing_goes_from_file_to_report(run: Path, tmp_path: Path) -> None:
    """The recordings and their flow are those of the smoke run."""
    checkout, folder = tmp_path / "checkout", tmp_path / "run"
    for name in ("src", "workflow", "rules", "config", "tests", "docs", "envs"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", checkout)
    (checkout / "src/pfes/methods/nearest.py").write_text(block("python"))
    (checkout / "config/experiments/nearest.yaml").write_text(block("yaml"))
    registry = checkout / "src/pfes/methods/registry.py"
    text = registry.read_text().replace("Supervised(), ", "Supervised(), Nearest(), ")
    registry.write_text(text.replace("\nMETHODS", "from pfes.methods.nearest import Nearest\n\nMETHODS", 1))
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    write = [sys.executable, "-m", "pfes.commands.cli", "config", "--write"]
    subprocess.run(write, cwd=checkout, env=environment, check=True)
    results = shutil.ignore_patterns("evaluate", "figures", "summary.json", "report.html", "complete.txt")
    shutil.copytree(run.parents[1], folder, ignore=results)
    shutil.copytree(checkout / "config", folder / "config", dirs_exist_ok=True)
    command = [
        interpreter(), "-m", "snakemake", "--snakefile", checkout / "Snakefile", "--directory", folder, "--configfile",
        checkout / "tests/smoke.yaml", "--config", "experiments=nearest", "--cores", "2",
        "--rerun-triggers", "mtime",
    ]  # fmt: skip
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    results = folder / "results/smoke"
    metrics = store.read_table(results / "evaluate/metrics.parquet", "metrics")
    assert set(metrics["experiment"]) == {"nearest", "baseline"}
    log = store.read_table(next(results.glob("train/nearest/*/seed0/log.parquet")), "log")
    assert log["total"].iloc[-1] < log["total"].iloc[0]
    assert "nearest" in (results / "report.html").read_text(encoding="utf-8")
