"""Time and memory of every learned method on one long video, on features: what its own head costs beside SpotFormer.

Features are noise smoothed over a third of a second, with a macro and a micro point per 300 frames. A method that goes on from another one's
head gets a random one. Seconds are processor time on the CPU and wall time, waited for, on a GPU; curves and proposals are made
on the CPU everywhere. Every method is a process of its own, so that its peak memory is its own.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.bench.train import clock_of, in_process, peak_mb, random_video
from pfes.methods.base import LearnedMethod
from pfes.methods.registry import METHODS, learned, spot_parameters, training_parameters
from pfes.network.parameters import ModelParameters
from pfes.training.engine import train
from pfes.training.features import curves_of
from pfes.training.model import SpottingModel, choose_device

EPOCHS = 3  # the last is timed: some methods compile in the second
HALF = 8  # frames on each side of a point that a method with intervals is told
LEARNED = tuple(name for name, method in METHODS.items() if isinstance(method, LearnedMethod))


def bench_methods(frames: int, width: int, device: str = "auto", names: Sequence[str] = LEARNED) -> pd.DataFrame:
    """Measure the methods ``names`` on a video of ``frames`` frames, features of ``width`` channels.

    Returns
    -------
    One row per method: ``first_s`` (what is set up, and the first epoch), ``epoch_s`` (the third: one step, and what the
    method asks the network before), ``curves_s``, ``proposals_s``, number of ``proposals``, ``memory_mb`` (peak; of the GPU where there is one).

    Raises
    ------
    InputError
        A method that is not known or has nothing to train, no such device, or a video of no frame.
    """
    if frames < 1 or width < 1:
        raise InputError(f"bench methods: frames {frames}, width {width}; expected both at least 1")
    chosen = choose_device(device).type
    tasks = [{"frames": frames, "width": width, "device": chosen, "method": learned(name).name} for name in names]
    return pd.DataFrame([{"method": task["method"], **in_process("pfes.bench.methods", task)} for task in tasks])


def measure(task: dict[str, Any]) -> dict[str, float]:
    """Measure one method in this process."""
    method, device = learned(task["method"]), choose_device(task["device"])
    video = random_video(task["frames"], task["frames"])
    noise = np.random.default_rng(0).normal(size=(task["frames"], task["width"]))
    features = gaussian_filter1d(noise, 5, axis=0).astype(np.float32)
    video = replace(video, snippets=features / features.std())
    if method.labels == "intervals":
        apexes, kinds = video.point_frames, [CLASSES[c] for c in video.point_classes]
        ends = {"onset": np.maximum(apexes - HALF, 0), "apex": apexes, "offset": apexes + HALF}
        table = pd.DataFrame({"video_id": "bench", **ends, "class": kinds})
        video = replace(video, targets=method.targets(table, "bench", len(features)))
    params = training_parameters({"method": method.name, "cached": "bench", "epochs": EPOCHS, "device": device.type})
    model_params = ModelParameters(width=task["width"])
    clock = clock_of(device)
    moments = [clock()]
    trained = train(
        [video], model_params, params, 0, lambda row, model: moments.append(clock()),
        source=SpottingModel(model_params, (method.builds_on or (method.name,))[0]),
    )  # fmt: skip
    moments.append(clock())
    curves = curves_of(trained.model, video.snippets, video.valid)
    moments.append(clock())
    proposals = method.propose(curves, spot_parameters({}), 30.0)
    moments.append(clock())
    first, _, epoch, _, making, proposing = np.diff(moments).tolist()
    return {
        "first_s": first, "epoch_s": epoch, "curves_s": making, "proposals_s": proposing, "proposals": len(proposals),
        "memory_mb": peak_mb(device),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
