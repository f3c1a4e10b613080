"""How every stage of a run grows, first with the length of the recordings, then with their number.

The workflow runs whole, on copies of one recording, with the small network of the demo. Processor time and memory are those that
Snakemake measured of each job. What a job costs before it has done anything (Python, libraries) is in them: an exponent is that of
the last two sizes, where it weighs least.
"""

import shutil
import sys
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import yaml

from pfes.base.place import ROOT
from pfes.bench.memory import repeated
from pfes.bench.scale import snakemake
from pfes.media.decode import recording_clock
from pfes.media.encode import encode
from pfes.workflow.estimate import processor_seconds

SUBJECTS = 2
EXPERIMENTS = ["journal", "training_free"]
EPOCHS = 3
SHORT = 100  # frames
EVERY_FRAMES = 60  # one expression in so many frames


def bench_growth(recording: Path | str, frames: Sequence[int], recordings: Sequence[int]) -> dict[str, pd.DataFrame]:
    """Return two tables, ``frames`` (two recordings, of growing length) and ``recordings`` (of 100 frames, growing number).

    Returns
    -------
    A row per rule of the workflow; columns ``s N`` (processor time of all its jobs) for each size N, ``s ~`` (exponent of the last
    two), ``MB N`` (of its largest job), ``MB ~``.
    """
    return {
        "frames": growth_table({count: _measured(recording, count, SUBJECTS) for count in frames}),
        "recordings": growth_table({count: _measured(recording, SHORT, count) for count in recordings}),
    }


def _measured(recording: Path | str, frames: int, recordings: int) -> pd.DataFrame:
    """Run the workflow; return processor time, s, and memory, MB, by rule."""
    print(f"{recordings} recordings of {frames} frames", file=sys.stderr, flush=True)
    with TemporaryDirectory(prefix="pfes-growth-") as place:
        folder = Path(place)
        _write_project(folder, recording, frames, recordings)
        snakemake(folder)
        return by_rule(folder / "results/growth/benchmarks")


def _write_project(folder: Path, recording: Path | str, frames: int, recordings: int) -> None:
    fps = recording_clock(recording).fps
    encode(folder / "0.mp4", islice(repeated(str(recording), frames), frames), fps)
    videos, labels = [], []
    for index in range(recordings):
        path, subject = folder / f"{index}.mp4", f"s{index % SUBJECTS}"
        if index:
            shutil.copy(folder / "0.mp4", path)
        videos.append({"subject": subject, "video": f"v{index:04d}", "path": str(path)})
        labels += [
            {"subject": subject, "video": f"v{index:04d}", "class": name, "onset": onset, "offset": onset + length}
            for number, onset in enumerate(range(10, frames - 30, EVERY_FRAMES))
            for name, length in [("macro", 25) if number % 2 else ("micro", 11)]
        ]
    pd.DataFrame(videos).to_csv(folder / "videos.csv", index=False)
    pd.DataFrame(labels).to_csv(folder / "expressions.csv", index=False)
    config = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    config |= {"run": "growth", "experiments": EXPERIMENTS}
    config["dataset"] = {"name": "generic", "videos": "videos.csv", "expressions": "expressions.csv"}
    config["training"]["epochs"] = EPOCHS
    shutil.copytree(ROOT / "config/experiments", folder / "config/experiments")
    shutil.copy(ROOT / "config/config.yaml", folder / "config/config.yaml")
    (folder / "project.yaml").write_text(yaml.safe_dump(config))


def by_rule(benchmarks: Path) -> pd.DataFrame:
    """Return processor time of all jobs, s, and memory of the largest one, MB, of each rule of a run."""
    jobs = pd.concat(
        pd.read_csv(path, sep="\t", na_values="-").assign(
            stage=path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        )
        for path in sorted(benchmarks.rglob("*.tsv"))
    )
    return jobs.assign(used=processor_seconds(jobs)).groupby("stage").agg(s=("used", "sum"), MB=("max_rss", "max"))


def growth_table(measured: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """Return the columns of ``bench_growth`` from what was measured at each size."""
    sizes = list(measured)
    columns: dict[str, pd.Series] = {}
    for what in ("s", "MB"):
        columns |= {f"{what} {size}": table[what] for size, table in measured.items()}
        before, last = list(pairwise(sizes))[-1]
        columns[f"{what} ~"] = np.log(measured[last][what] / measured[before][what]) / np.log(last / before)
    return pd.DataFrame(columns).sort_values(f"s {sizes[-1]}", ascending=False)
