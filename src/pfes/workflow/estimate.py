"""About how long a run takes on this machine, and how much disk it fills.

Seconds come from the benchmark files of the run where a stage has run already (``results/<run>/benchmarks``), else from
a short calibration: the stage's own code on a still face (scikit-image's astronaut) or, for training, on noise. Wall
time supposes that no other program runs and that all cores are busy, which holds while there are more videos and folds
than cores. Disk is an upper bound: files are compressed.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from skimage import data

from pfes.base.config import build
from pfes.base.records import WINDOW
from pfes.datasets.folds import Fold
from pfes.faces.align import ROIS
from pfes.faces.landmarks import FaceParameters, find_faces
from pfes.flow.sw_mro import FlowParameters, solver
from pfes.methods.base import TrainingVideo
from pfes.methods.registry import learned, training_parameters
from pfes.network.parameters import ModelParameters
from pfes.training.engine import train
from pfes.training.model import SpottingModel
from pfes.workflow.resources import VIDEO_MB, training

FIRST_LOOKS_S, LOOK_S = 15.5, 30.0  # of Snakemake at a job
CALIBRATED = "calibration of some seconds"
FRAMES = {"faces": 24, "train": 64}  # of the calibration
POINTS = 68


@dataclass(frozen=True)
class StageCost:
    """Processor time of one stage, s, what it writes, where the time comes from, and the memory of a job, MB; ``gpu``: one job at a time."""

    name: str
    seconds: float
    bytes: float
    source: str
    gpu: bool = False
    mem_mb: float = VIDEO_MB


@dataclass(frozen=True)
class Estimate:
    """Costs of all stages on ``cores`` cores."""

    stages: tuple[StageCost, ...]
    cores: int

    @property
    def seconds(self) -> float:
        """Processor time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def wall_seconds(self) -> float:
        """Time until the run ends; jobs on a GPU wait for each other."""
        return sum(stage.seconds / (1 if stage.gpu else self.cores) for stage in self.stages)

    @property
    def bytes(self) -> float:
        """Size of all files."""
        return sum(stage.bytes for stage in self.stages)


def estimate(
    config: Mapping[str, Any],
    experiments: Mapping[str, Mapping[str, Any]],
    videos: pd.DataFrame,
    folds: Sequence[Fold],
    run: Path,
) -> Estimate:
    """Return the cost of a run from its configuration, its experiments' and the table ``videos``."""
    good = videos[videos["refused"].isna()]
    frames = int(good["n_frames"].sum())
    floats = np.dtype(np.float32).itemsize
    window_bytes = 2 * WINDOW * floats
    seconds, source = _per_frame(run, "faces", good) or (_faces_seconds(config), CALIBRATED)
    faces = StageCost("faces", seconds * frames, frames * 2 * POINTS * floats, source)
    seconds, source = _per_frame(run, "flow", good) or (_flow_seconds(config), CALIBRATED)
    roi_bytes = window_bytes * len(ROIS)
    flow = StageCost("flow and snippets", seconds * frames, frames * (roi_bytes + 10 * window_bytes), source)
    trained = [_training(name, own, good, folds, len(config["seeds"]), run) for name, own in experiments.items()]
    return Estimate((faces, flow, *trained), _cores())


def _training(
    name: str, config: Mapping[str, Any], videos: pd.DataFrame, folds: Sequence[Fold], seeds: int, run: Path
) -> StageCost:
    """Return the cost of all trainings of an experiment, its features included."""
    frames = videos.groupby("subject")["n_frames"].sum()
    passes = sum(float(frames.reindex(fold.train).fillna(0).sum()) for fold in folds) * seeds
    params = build(ModelParameters, config["model"])
    models = len(folds) * seeds
    weights = 4 * sum(parameter.numel() for parameter in SpottingModel(params).parameters())
    size = models * (weights + float(frames.sum()) * params.width * 4)
    benchmarks = _seconds(run / "benchmarks" / "train" / name, wall=_on_gpu(config))
    if len(benchmarks):
        seconds, source = float(np.mean(benchmarks)) * models, f"benchmarks of {len(benchmarks)} jobs"
    else:
        seconds = _train_seconds(config) * passes * config["training"]["epochs"]
        source = CALIBRATED
    longest = max(map(int, videos["n_frames"]), default=0)
    return StageCost(
        f"training {name}", seconds, size, source, _on_gpu(config), training(config, int(frames.sum()), longest).mem_mb
    )


# ------------------------------------------------------------------------------------------------ from the benchmarks


def _per_frame(run: Path, stage: str, videos: pd.DataFrame) -> tuple[float, str] | None:
    """Return seconds per sampled frame of the jobs that have run, and how many these are; None without any."""
    frames = videos.set_index("video_id")["n_frames"]
    done = {name: _seconds(run / "benchmarks" / stage, f"{name}.tsv") for name in frames.index}
    jobs = [name for name, found in done.items() if found]
    if not jobs or not frames[jobs].sum():
        return None
    return sum(sum(done[name]) for name in jobs) / int(frames[jobs].sum()), f"benchmarks of {len(jobs)} jobs"


def _seconds(folder: Path, pattern: str = "*.tsv", wall: bool = False) -> list[float]:
    """Return the processor seconds in Snakemake's benchmark files at or below ``folder``; the wall time if it has none."""
    found: list[float] = []
    for path in sorted(folder.rglob(pattern)):
        table = pd.read_csv(path, sep="\t", na_values="-").reindex(columns=["s", "cpu_time"]).astype(float)
        used = table["s"] if wall else processor_seconds(table)
        found += used.dropna().tolist()
    return found


def processor_seconds(jobs: pd.DataFrame) -> pd.Series:
    """Return the processor time of jobs, s, from columns ``s`` (wall time) and ``cpu_time`` of Snakemake's benchmark files.

    Snakemake looks every half second 31 times, then every 30 s, and writes what it saw last: of a job of 45 s the first 15.5. So what it
    saw is taken to have gone on at the same rate. The wall time where it saw nothing.
    """
    seen = jobs["s"].where(jobs["s"] < FIRST_LOOKS_S, FIRST_LOOKS_S + (jobs["s"] - FIRST_LOOKS_S) // LOOK_S * LOOK_S)
    return (jobs["cpu_time"] * jobs["s"] / seen).where(jobs["cpu_time"] > 0, jobs["s"])


# ------------------------------------------------------------------------------------------------ calibration


def _faces_seconds(config: Mapping[str, Any]) -> float:
    """Return the seconds per frame of face detection, without the second that its start takes."""
    marks: list[float] = []

    def frames() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        picture = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
        for index in range(FRAMES["faces"]):
            marks.append(time.perf_counter())
            yield index, np.roll(picture, index, axis=1)

    with _quiet():
        find_faces(frames(), build(FaceParameters, config["faces"]))
    return float(np.median(np.diff(marks)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what native libraries write to the terminal's stderr nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _flow_seconds(config: Mapping[str, Any]) -> float:
    """Return the seconds per frame of the flow of its window."""
    params = build(FlowParameters, config["flow"])
    grey = data.astronaut()[:, :, 1]
    top, left = 20, 150
    window = np.stack(
        [grey[top : top + params.size, left + k : left + k + params.size] for k in (0, 1, 0, 1) * 4 + (0,)]
    )
    solve = solver(params)
    list(solve([window[:2]]))  # compiles
    started = time.process_time()
    list(solve([window[:WINDOW]]))
    return time.process_time() - started


def _train_seconds(config: Mapping[str, Any]) -> float:
    """Return the seconds per frame of one training epoch; the first epoch, which starts the libraries, is left out."""
    generator = np.random.default_rng(0)
    count, model = FRAMES["train"], build(ModelParameters, config["model"])
    unlike_here = {
        "early_stop": None,
        "epoch_choice": "last",
        "tensorboard": False,
        "start": "random",
        "start_layers": "all",
    }  # need more than one video
    params = training_parameters({**config["training"], **unlike_here, "epochs": 2})
    shape: tuple[int, ...] = (count, WINDOW, 10, 2)
    source, method = None, learned(params.method)
    if params.cached is not None:
        shape, source = (count, model.width), SpottingModel(model, next(iter(method.builds_on), "journal"))
    label = pd.DataFrame(
        {"video_id": ["calibration"], "class": "macro", "onset": 0, "apex": count // 2, "offset": count - 1}
    )
    video = TrainingVideo(
        "calibration", "none", generator.normal(size=shape).astype(np.float32), np.ones(count, bool),
        np.array([count // 2]), np.array([0]),
        method.targets(label, "calibration", count) if method.labels == "intervals" else None,
    )  # fmt: skip
    clock = time.perf_counter if _on_gpu(config) else time.process_time
    marks: list[float] = []
    train([video], model, params, 0, lambda *_: marks.append(clock()), source=source)
    return (marks[1] - marks[0]) / count


def _on_gpu(config: Mapping[str, Any]) -> bool:
    return config["training"]["device"] != "cpu" and torch.cuda.is_available()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
