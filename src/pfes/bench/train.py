"""How long a training step takes and how much memory it needs: a plain one against pfes, on the same numbers.

Conventions
-----------
A step is forward, losses, backward and optimiser on one video of random flow with one macro and one micro point per 300
frames, in stage 3 of the pseudo-labels. *plain*: eager, float32, the video padded with still frames to ``padded`` frames,
the length of the longest of CAS(ME)^2, as the released code does. *ours*: as the parameters of training say, unpadded.

Every measurement is a process of its own, so that its peak memory is its own; plain and ours take turns. Seconds are
processor time on the CPU (other programs disturb it little) and wall time on a GPU, synchronised; the first step of each
process, which starts the libraries, is left out.

Work: multiply-adds of SpotFormer's Linear layers and convolutions, measured with PyTorch's own counter on a small video
(attention products included), times 2 for the two operations each, times 3 for forward and backward. Its share of the
matrix peak is against a square product of 1,024 (CPU) or 8,192 (GPU) measured in the same process.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.methods.base import TrainingVideo
from pfes.methods.parameters import TrainingParameters
from pfes.network.parameters import ModelParameters
from pfes.network.spotformer import SpotFormer
from pfes.training.engine import begin
from pfes.training.model import SpottingModel, choose_device, reproducible
from pfes.training.step import features_of, on_device, step

LONGEST = 4416  # frames that the longest video of CAS(ME)^2 is padded to
CASME2 = {"videos": 97, "frames": 251_822, "folds": 22, "epochs": 100}
SYSTEMS = ("plain", "ours")


def bench_train(
    lengths: Sequence[int],
    width: int,
    repeats: int,
    *,
    device: str = "auto",
    padded: int = LONGEST,
    params: TrainingParameters = TrainingParameters(),
    systems: Sequence[str] = SYSTEMS,
) -> pd.DataFrame:
    """Measure training steps, one process each, plain and ours in turn.

    Parameters
    ----------
    lengths : of the videos, frames.
    width : of the network; heads of width / 4 channels.
    repeats : steps timed in each process after the first.
    padded : frames that the plain step is padded to; a longer video is not padded.
    params : of ours; ``device`` is replaced.

    Returns
    -------
    One row per length and system: ``device``, ``frames``, ``system``, ``seconds`` (median), ``frames_per_s``,
    ``memory_mb`` (peak), ``work_tflop``, ``peak_share`` of ``peak_tflops``, ``speedup`` over plain, ``run_hours`` of a
    leave-one-subject-out training on CAS(ME)^2 at that speed per frame (plain: per padded video).
    """
    if not lengths or min(lengths) < 1 or repeats < 1 or not set(systems) <= set(SYSTEMS):
        raise InputError(f"bench train: lengths {list(lengths)}, repeats {repeats}; expected both at least 1")
    chosen = choose_device(device).type
    rows = []
    for frames in lengths:
        for system in systems:
            own = params if system == "ours" else TrainingParameters(precision="fp32")
            task = {
                "frames": frames, "padded": max(frames, padded) if system == "plain" else frames, "width": width,
                "repeats": repeats, "params": asdict(replace(own, device=chosen)),
            }  # fmt: skip
            rows.append({"device": chosen, "frames": frames, "system": system, **in_process("pfes.bench.train", task)})
    table = pd.DataFrame(rows)
    plain = table[table["system"] == "plain"].set_index("frames")["seconds"]
    table["speedup"] = table["frames"].map(plain) / table["seconds"]
    table["run_hours"] = [_run_hours(row) for row in table.to_dict("records")]
    return table


def _run_hours(row: Mapping[Any, Any]) -> float:
    """Return hours of training on CAS(ME)^2, each fold on all but about one subject."""
    share = (CASME2["folds"] - 1) / CASME2["folds"]
    passes = CASME2["folds"] * CASME2["epochs"] * share
    steps = CASME2["videos"] if row["system"] == "plain" else CASME2["frames"] / row["frames"]
    return float(row["seconds"] * steps * passes / 3600)


def in_process(module: str, task: dict[str, Any]) -> dict[str, float]:
    """Return what ``measure`` of a ``module`` finds in a process of its own; raises InputError where that fails."""
    done = subprocess.run([sys.executable, "-m", module, json.dumps(task)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{module}: {task} ended with status {done.returncode}: {last}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(task: dict[str, Any]) -> dict[str, float]:
    """Measure the steps of one ``task`` in this process."""
    params = build(TrainingParameters, task["params"])
    device = choose_device(params.device)
    model_params = ModelParameters(width=task["width"])
    with reproducible(0, deterministic=params.deterministic):
        model = SpottingModel(model_params).to(device).train()
        state = begin(model, params, 0)
        features_from, batch = (
            features_of(model, params),
            on_device(random_video(task["frames"], task["padded"]), device),
        )
        clock = clock_of(device)
        seconds = []
        for _ in range(task["repeats"] + 1):
            started = clock()
            step(model, features_from, state.optimiser, [batch], 10, params, state.generator)
            seconds.append(clock() - started)
        memory_mb = peak_mb(device)  # before the product below needs its own
        low = params.precision == "bf16" or (params.precision == "auto" and device.type == "cuda")
        peak = matrix_peak(device, torch.bfloat16 if low else torch.float32)
    middle = float(np.median(seconds[1:]))
    work = step_flop(task["width"]) * task["padded"]
    return {
        "seconds": middle,
        "frames_per_s": task["frames"] / middle,
        "memory_mb": memory_mb,
        "work_tflop": work / 1e12,
        "peak_tflops": peak / 1e12,
        "peak_share": work / middle / peak,
    }


def random_video(frames: int, padded: int) -> TrainingVideo:
    """Return a video of random flow with a point every 150 frames, followed by still frames up to ``padded``."""
    generator = np.random.default_rng(0)
    snippets = np.zeros((padded, 17, 10, 2), np.float32)
    snippets[:frames] = generator.normal(size=(frames, 17, 10, 2))
    points = np.arange(min(50, frames // 2), frames, 150)
    return TrainingVideo("bench", "none", snippets, np.arange(padded) < frames, points, np.arange(len(points)) % 2)


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return a clock, s: of the processor, or of the wall with a GPU waited for."""
    if device.type != "cuda":
        return time.process_time

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def peak_mb(device: torch.device) -> float:
    """Return the greatest memory so far, MB: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return operations per second of the best of five square matrix products."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    clock, seconds = clock_of(device), []
    for _ in range(6):
        started = clock()
        a @ b
        seconds.append(clock() - started)
    return float(2 * size**3 / min(seconds[1:]))


def step_flop(width: int) -> float:
    """Return floating-point operations of SpotFormer per frame of a training step, forward and backward."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        SpotFormer(width).eval()(torch.zeros(8, 17, 10, 2))
    return 3 * counter.get_total_flops() / 8


def machine() -> str:
    """Return one line that names the processor, the GPU and the versions that set the speed."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {gpu}, PyTorch {torch.__version__}, Python {platform.python_version()}"


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
