"""How long the flow solvers take and how far off they are, measured side by side on known displacement.

Conventions
-----------
A scene is a pair (reference, moving) of uint8 images and its true flow, float32 [H, W, 2], px, (x, y), defined by
moving(x + u(x)) = reference(x). Displacements are sums of smooth bumps (sigma 8 to 15 px at 128 px, in proportion at
other sizes), scaled to a largest length of ``amplitude``; the shift case adds one global translation of up to 1.5 px.
Both images get their own Gaussian noise (2 grey levels), the moving one also 1 % gain and 1 grey level of light,
unless told otherwise.
Endpoint errors are taken inside a margin of one eighth of the image. Solvers run on one thread; times are processor
time of the process, which other programs on the same cores disturb little.
"""

# mypy: allow-untyped-calls

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage import data

from pfes.tvl1 import tvl1

Image = NDArray[np.uint8]
Flow = NDArray[np.float32]
Solver = Callable[[Image, Image], Any]

AMPLITUDES = (0.1, 0.3, 1.0, 2.0, 3.0)  # px
SHIFT_CASE = (0.5, 1.5)  # amplitude of the bumps and length of the global shift, px
REFERENCE = "OpenCV TV-L1"


def bench_flow(
    sizes: Sequence[int] = (128, 256), repeats: int = 5, *, noise: float = 2.0, light: float = 0.01
) -> pd.DataFrame:
    """Time all solvers on the same scenes, interleaved, and measure their endpoint error.

    Parameters
    ----------
    sizes
        Side of the square images, px.
    repeats
        Scenes per size and displacement; each has its own bumps and noise and is solved once by every solver.
    noise, light
        Noise of both images in grey levels and light change of the moving one, see scene.

    Returns
    -------
    One row per size and solver: ``size``, ``solver``, ``ms`` (median per flow), ``speedup`` (median over the pairs of
    the default OpenCV TV-L1's time over this one's) and, per case, ``<case> median`` and ``<case> p95``: median and 95th
    percentile of the endpoint error, px, averaged over the scenes. Row ``no flow`` is the error of zero everywhere.
    """
    if repeats < 1:
        raise ValueError(f"bench_flow: repeats is {repeats}, expected at least 1")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return pd.DataFrame([row for size in sizes for row in _bench_size(size, repeats, noise, light)])
    finally:
        cv2.setNumThreads(threads)


def _bench_size(size: int, repeats: int, noise: float, light: float) -> list[dict[str, Any]]:
    texture, solvers = face(size), _solvers()
    times: dict[str, list[float]] = {name: [] for name in solvers}
    errors: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in solvers}
    for solver in solvers.values():
        solver(texture, texture)
    for repeat in range(repeats):
        for case, amplitude, shift in _cases():
            reference, moving, truth = scene(texture, amplitude, shift=shift, seed=repeat, noise=noise, light=light)
            for name, solver in solvers.items():
                start = time.process_time()
                flow = solver(reference, moving)
                times[name].append(time.process_time() - start)
                errors[name].setdefault(case, []).append(endpoint_error(flow, truth))
    rows = []
    for name in solvers:
        row: dict[str, Any] = {"size": size, "solver": name, "ms": 1e3 * statistics.median(times[name])}
        row["speedup"] = statistics.median(a / b for a, b in zip(times[REFERENCE], times[name], strict=True))
        for case, values in errors[name].items():
            row[f"{case} median"], row[f"{case} p95"] = np.mean(values, axis=0)
        if name == "no flow":
            row["ms"] = row["speedup"] = np.nan
        rows.append(row)
    return rows


def _cases() -> list[tuple[str, float, float]]:
    """Return (name, amplitude, shift) of every displacement."""
    amplitude, shift = SHIFT_CASE
    return [(f"{a:g} px", a, 0.0) for a in AMPLITUDES] + [(f"{amplitude:g} px + shift", amplitude, shift)]


def _solvers() -> dict[str, Solver]:
    opencv: Any = cv2  # its type stubs lack these solvers
    default = opencv.optflow.DualTVL1OpticalFlow_create()
    # tau, lambda, theta, scales, warps, epsilon, inner and outer iterations, scale factor
    light = opencv.optflow.DualTVL1OpticalFlow_create(0.25, 0.15, 0.3, 3, 2, 0.01, 30, 1, 0.5)
    dis = opencv.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return {
        REFERENCE: lambda a, b: default.calc(a, b, None),
        "OpenCV TV-L1 light": lambda a, b: light.calc(a, b, None),
        "pfes TV-L1": tvl1,
        "DIS": lambda a, b: dis.calc(a, b, None),
        "Farneback": lambda a, b: opencv.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 5, 7, 1.5, 0),
        "no flow": lambda a, b: np.zeros((*a.shape, 2), np.float32),
    }


def face(size: int) -> Image:
    """Return a public-domain face (scikit-image's astronaut), grey, uint8 [size, size]."""
    image = cv2.cvtColor(data.astronaut()[20:180, 145:305], cv2.COLOR_RGB2GRAY)
    interpolation = cv2.INTER_AREA if size < len(image) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (size, size), interpolation=interpolation), np.uint8)


def scene(
    texture: Image, amplitude: float, *, shift: float = 0.0, seed: int = 0, noise: float = 2.0, light: float = 0.01
) -> tuple[Image, Image, Flow]:
    """Return (reference, moving, truth): the texture, square, with known displacement, noise and light change.

    ``light`` 0.01 brightens the moving image by 1 % and 1 grey level; ``noise`` is in grey levels; lengths are in px.
    """
    size = len(texture)
    truth = displacement(size, amplitude, shift=shift, seed=seed)
    y, x = np.mgrid[:size, :size]
    still = map_coordinates(texture.astype(float), [y + truth[..., 1], x + truth[..., 0]], order=5, mode="nearest")
    lit = texture * (1 + light) + 100 * light
    rng = np.random.default_rng([seed, 1])
    reference, moving = (np.clip(np.rint(i + rng.normal(0, noise, i.shape)), 0, 255) for i in (still, lit))
    return reference.astype(np.uint8), moving.astype(np.uint8), truth


def displacement(size: int, amplitude: float, *, shift: float = 0.0, seed: int = 0) -> Flow:
    """Return six smooth bumps of random place and direction, longest ``amplitude`` px, plus a shift of that length."""
    rng = np.random.default_rng([seed, 0])
    y, x = np.mgrid[:size, :size]
    flow = np.zeros((size, size, 2))
    for _ in range(6):
        column, row = rng.uniform(0.2 * size, 0.8 * size, 2)
        sigma = rng.uniform(8, 15) * size / 128
        bump = np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))
        flow += bump[..., None] * _direction(rng)
    flow *= amplitude / np.linalg.norm(flow, axis=-1).max()
    return (flow + shift * _direction(rng)).astype(np.float32)


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def endpoint_error(flow: Flow, truth: Flow) -> tuple[float, float]:
    """Return median and 95th percentile of |flow - truth|, px, inside a margin of one eighth of the size."""
    margin = len(truth) // 8
    error = np.linalg.norm(flow - truth, axis=-1)[margin:-margin, margin:-margin]
    return float(np.median(error)), float(np.percentile(error, 95))


def machine() -> str:
    """Return one line that names processor, cores, system and the versions that set the speed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, numba {numba.__version__}, OpenCV {cv2.__version__}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
