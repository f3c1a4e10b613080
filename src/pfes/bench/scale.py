"""What the workflow costs before any job: parsing, the graph of jobs, and finding out that nothing is to be done.

Recordings are empty files, results are empty files that Snakemake was told are up to date: no job ever runs. Processor time and
memory are those of one ``snakemake -n`` each.
"""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import yaml

from pfes.base.place import ROOT

SUBJECTS_PER_FOLD = 2
FOLDERS = ("timelines", "paper/figures", "paper/tables")  # outputs that are folders
NAMES = ("journal", "conference", "as_released", "supervised", "fixed_soft", "lac", "sfnet")


def bench_scale(
    recordings: Iterable[int], folds: Iterable[int], experiments: Iterable[int], *, finished: bool = True
) -> pd.DataFrame:
    """Return one row per combination: jobs, processor time, s, and memory, MB, before the first job and, if asked, after the last."""
    rows = []
    for n_recordings, n_folds, n_experiments in product(recordings, folds, experiments):
        with TemporaryDirectory(prefix="pfes-scale-") as place:
            folder = Path(place)
            write_project(folder, n_recordings, n_folds, n_experiments)
            row: dict[str, Any] = {"recordings": n_recordings, "folds": n_folds, "experiments": n_experiments}
            done = snakemake(folder, "-n")
            total = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("total ")]
            row |= {"jobs": int(total[0]), "seconds": done.seconds, "memory_mb": done.memory_mb}
            if finished:
                _finish(folder)
                done = snakemake(folder, "-n")
                assert "Nothing to be done" in done.stdout, done.stdout[-2000:]
                row |= {"done_seconds": done.seconds, "done_memory_mb": done.memory_mb}
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def write_project(folder: Path, recordings: int, folds: int, experiments: int) -> None:
    """Write sheets, empty recordings and a configuration."""
    subjects = [f"s{i:05d}" for i in range(min(recordings, SUBJECTS_PER_FOLD * folds))]
    videos = [(subjects[i % len(subjects)], f"v{i:05d}", f"{i:05d}.mp4", 30) for i in range(recordings)]
    (folder / "config").mkdir()
    shutil.copytree(ROOT / "config/experiments", folder / "config/experiments")
    base = yaml.safe_load((ROOT / "config/experiments/journal.yaml").read_text())
    names = [f"own{i}" for i in range(experiments)]
    for name in names:
        (folder / f"config/experiments/{name}.yaml").write_text(yaml.safe_dump(base))
    shutil.copy(ROOT / "config/config.yaml", folder / "config/config.yaml")
    _write_csv(folder / "videos.csv", ("subject", "video", "path", "fps"), videos)
    labels = [(subject, video, 30, 60, "macro") for subject, video, *_ in videos]
    _write_csv(folder / "expressions.csv", ("subject", "video", "onset", "offset", "class"), labels)
    for *_, path, _ in videos:
        (folder / path).touch()
    dataset = {"name": "generic", "videos": "videos.csv", "expressions": "expressions.csv"}
    config = {"run": "scale", "dataset": dataset, "experiments": names, "folds": {"scheme": "groups", "groups": folds}}
    (folder / "project.yaml").write_text(yaml.safe_dump(config))


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


class _Measured:
    def __init__(self, stdout: str, usage: Any) -> None:
        self.stdout = stdout
        self.seconds, self.memory_mb = round(usage.ru_utime + usage.ru_stime, 2), round(usage.ru_maxrss / 1024)


def snakemake(folder: Path, *arguments: str) -> _Measured:
    """Run Snakemake to its end and return what it printed and used."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "project.yaml",
               "--cores", "1", "--quiet", "rules", "reason", "host", *arguments]  # fmt: skip
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    text = (folder / "said.txt").read_text()
    if status:
        raise RuntimeError(f"snakemake {' '.join(arguments)} failed:\n{text[-3000:]}")
    return _Measured(text, usage)


def _finish(folder: Path) -> None:
    """Make an empty file of every output, and let Snakemake note that all are up to date."""
    listed = snakemake(folder, "--summary").stdout.splitlines()
    results = [line.split("\t")[0] for line in listed if line.startswith("results/")]
    for name in results:
        path = folder / name
        if name.endswith(FOLDERS):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    snakemake(folder, "--touch", "--forceall")
