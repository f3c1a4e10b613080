"""How many flows a second the batched solver gives on a GPU, and how far they are from the CPU's.

Seconds are wall time between two synchronisations of the device, images already there; a batch is ``windows`` windows of 16
flows, made of the scenes of ``scenes``.
"""

import time
from collections.abc import Sequence
from statistics import median

import numpy as np
import pandas as pd
import torch

from pfes.bench import scenes
from pfes.flow.tvl1 import tvl1_window
from pfes.flow.tvl1_cuda import solve

FLOWS = 16  # of a window


def bench_gpu(
    sizes: Sequence[int], repeats: int = 5, *, windows: int = 64, device: str = "cuda", amplitude: float = 2.0
) -> pd.DataFrame:
    """Return one row per size: ``size``, ``flows``, ``flows_per_s`` (median), ``gbytes`` (peak memory), ``max_px``.

    ``max_px`` is the largest difference to the CPU's flow over one window. ``device`` may be ``cpu``, for tests.
    """
    rows = []
    for size in sizes:
        pairs = [scenes.scene(scenes.face(size), amplitude, seed=seed) for seed in range(FLOWS)]
        window = np.stack([pairs[0][0], *(moving for _, moving, _ in pairs)])
        batch = torch.from_numpy(np.repeat(window[None], windows, axis=0)).to(device)
        seconds = []
        for _ in range(repeats + 1):  # the first one compiles
            _synchronise(device)
            start = time.perf_counter()
            flow = solve(batch)
            _synchronise(device)
            seconds.append(time.perf_counter() - start)
        difference = float(np.abs(flow[0].cpu().numpy() - tvl1_window(window)).max())
        memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")
        rate = windows * FLOWS / median(seconds[1:])
        rows.append(
            {"size": size, "flows": windows * FLOWS, "flows_per_s": rate, "gbytes": memory, "max_px": difference}
        )
    return pd.DataFrame(rows)


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
