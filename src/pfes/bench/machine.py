"""What the benchmarks share: the machine in one line, its measured peak, and times taken side by side.

Times are processor time of the process, which other programs on the same cores disturb less than wall time.
"""

# mypy: allow-untyped-calls, allow-untyped-decorators

import os
import platform
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import cv2
import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from pfes.flow.tvl1_kernels import OPTIONS

STEPS = 32  # multiply-adds per value and visit in the arithmetic kernel


def machine() -> str:
    """Return one line that names processor, cores, system and the versions that set the speed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, numba {numba.__version__}, OpenCV {cv2.__version__}"
    )


def timed(
    runs: Mapping[str, Callable[[], Any]], repeats: int = 1, *, wall: Collection[str] = ()
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Run all of ``runs`` one after the other, ``repeats`` times; return the seconds and the last result of each.

    ``wall`` names runs that are to be measured in wall time, those of a GPU.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, run in runs.items():
            clock = time.perf_counter if name in wall else time.process_time
            start = clock()
            results[name] = run()
            seconds[name].append(clock() - start)
    return seconds, results


def speedup(reference: list[float], other: list[float]) -> float:
    """Return the median of the ratios of paired times."""
    return statistics.median(a / b for a, b in zip(reference, other, strict=True))


def peak(working_set: int = 1 << 18, seconds: float = 0.2) -> dict[str, float]:
    """Measure what one core reaches: ``gflops`` of float32 multiply-adds, ``gbytes`` per second of copying.

    ``working_set``: bytes that are copied to and fro, so that the cache level is that of the computation compared.
    The best of several tries counts.
    """
    values = np.ones(2048, np.float32)
    source, target = np.ones((2, max(working_set // 8, 1)), np.float32)
    visits = max(1, (1 << 22) // len(source))
    flops = _best(lambda: _multiply_add(values, np.float32(0.5), np.float32(0.5), 1000), seconds)
    copy = _best(lambda: _copy(source, target, np.float32(1), visits), seconds)
    return {"gflops": 2 * STEPS * 1000 * len(values) / flops / 1e9, "gbytes": 16 * len(source) * visits / copy / 1e9}


def _best(run: Callable[[], Any], seconds: float) -> float:
    """Return the shortest processor time of ``run`` among the tries of a while."""
    run()
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or best == np.inf:
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return max(best, 1e-9)


@njit(fastmath={"contract"}, error_model="numpy")
def _multiply_add(values: NDArray[np.float32], a: Any, b: Any, visits: int) -> None:
    for _ in range(visits):
        for j in range(values.shape[0]):
            x = values[j]
            for _step in range(STEPS):
                x = x * a + b
            values[j] = x


@njit(**OPTIONS)
def _copy(source: NDArray[np.float32], target: NDArray[np.float32], one: Any, visits: int) -> None:
    for _ in range(visits):
        for j in range(source.shape[0]):
            target[j] = one * source[j]
        for j in range(source.shape[0]):
            source[j] = one * target[j]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
