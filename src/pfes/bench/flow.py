"""How long the flow solvers take and how far off they are: on scenes of known displacement, and on windows of a video.

All solvers see the same pairs, one after the other, on one thread. ``ms`` is the median time per flow, ``speed`` the
median of the paired ratios of OpenCV's default TV-L1 to a solver. Times are processor time; on a GPU wall time.
"""

# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.bench import scenes
from pfes.bench.machine import peak, speedup, timed
from pfes.bench.recordings import bench_recordings, ratios
from pfes.bench.stage import bench_stage
from pfes.faces.landmarks import USABLE, FaceParameters, find_faces
from pfes.flow.sw_mro import FlowParameters, placement, valid_frames
from pfes.flow.tvl1 import TVL1, tvl1_window
from pfes.flow.windows import windows
from pfes.media import decode

Image = NDArray[np.uint8]
Solver = Callable[[Image], Any]  # frames [K, S, S] -> flow [K - 1, S, S, 2] from the first

REFERENCE = "OpenCV TV-L1"
OURS = "pfes TV-L1"
GPU = "pfes TV-L1, GPU"
SIZES = (128, 224, 256, 320)
LONGEST = 300  # sampled frames of a video that are looked at
ERRORS = ("median", "p95", "ROI median", "ROI p95")

# Operations, counted in the kernels: of one step on one cell, and of one warp on one pixel (sampling, light, sums).
STEP_OPERATIONS = 22 + 2 * 16
STEP_BYTES = 4 * (2 * (2 + 4) + 2 * 2 + 5)  # u and p read and written, bar written and read, the data step read
WARP_OPERATIONS = 77 + 18 + 20


def tables(
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    video: Path | str | None = None,
    energy: tuple[Path, Path] | None = None,
    recordings: Sequence[Path] | None = None,
) -> dict[str, pd.DataFrame]:
    """Return what ``pfes bench flow`` prints, by title; arguments as of the command."""
    if energy:
        from pfes.bench.energy import bench_energy

        return {"energy": bench_energy(*energy)}
    if recordings is not None:
        return {"error, px, and ratio to the better rival": bench_recordings(sizes or (128,), repeats, recordings)}
    sizes = sizes or SIZES
    if video:
        times = bench_video(video, sizes, repeats)
        found = {"time per flow on windows": times, "whole stage": bench_stage(video, repeats=repeats)}
    else:
        times, errors = bench_scenes(sizes, repeats)
        found = {"time per flow of one pair": times, "error, px": errors}
    ours = times[times["solver"] == OURS]
    limits = [limit(size, ms) for size, ms in zip(ours["size"].tolist(), ours["ms"].tolist(), strict=True)]
    if _gpu():
        from pfes.bench import gpu

        found["GPU, batches of 64 windows"] = pd.DataFrame(gpu.flow(gpu.Size(sides=tuple(sizes))))
    return {**found, "limit of one core": pd.DataFrame(limits)}


def bench_scenes(sizes: Sequence[int] = SIZES, repeats: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Solve the same scenes with all solvers: every texture, condition and amplitude of ``scenes``.

    Parameters
    ----------
    sizes
        Side of the square images, px.
    repeats
        Scenes per size, texture, condition and amplitude; each has its own bumps and noise.

    Returns
    -------
    times: ``size``, ``solver``, ``ms``, ``speed``. errors: ``size``, ``condition``, ``amplitude``, ``solver`` and, in px:
    ``median`` and ``p95`` of the endpoint error inside a margin of one eighth, mean over the scenes; ``ROI median`` and
    ``ROI p95`` of the error of the mean vector at the regions of interest, over all regions of all scenes. ``no flow``
    is the error of zero everywhere.
    """
    if repeats < 1:
        raise ValueError(f"bench_scenes: repeats is {repeats}, expected at least 1")
    times: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    with _one_thread():
        for size in sizes:
            seconds, found = _solve_scenes(size, repeats)
            times += _time_rows(seconds, 1, size=size)
            errors += [
                {"size": size, "condition": condition, "amplitude": amplitude, "solver": solver, **_summary(values)}
                for (condition, amplitude, solver), values in found.items()
            ]
    return pd.DataFrame(times), pd.DataFrame(errors)


def bench_video(video: Path | str, sizes: Sequence[int] = (128, 256), repeats: int = 3) -> pd.DataFrame:
    """Time all solvers on ``repeats`` windows of a recording, cropped as the flow stage does; as ``times`` above.

    The windows are spread over the first LONGEST sampled frames. Raises InputError for a recording that cannot be used.
    """
    frames = list(
        islice(decode.read_sampled(video, decode.recording_clock(video), decode.SamplingParameters()), LONGEST)
    )
    faces = find_faces(iter(frames), FaceParameters())
    usable = np.flatnonzero(valid_frames(faces["state"] == USABLE, faces["cut"]))
    if not len(usable):
        raise InputError(f"{video}: no window with a face in its first {LONGEST} frames; take another recording")
    chosen = np.zeros(len(frames), bool)
    chosen[usable[np.linspace(0, len(usable) - 1, repeats + 2).round().astype(int)[1:-1]]] = True
    rows: list[dict[str, Any]] = []
    with _one_thread():
        for size in sizes:
            place = placement(
                faces["landmarks"],
                FlowParameters(size=size),
                cut=faces["cut"],
                native=faces["native_frame"],
                valid=chosen,
            )
            crops = [window.crops for window in windows((frame for _, frame in frames), place) if window.others]
            seconds = _solve_windows(crops)
            rows += _time_rows(seconds, [len(window) - 1 for window in crops], size=size)
    return pd.DataFrame(rows)


def limit(size: int, ms: float, params: TVL1 = TVL1()) -> dict[str, float]:
    """Return what a flow of one pair costs at least, beside ``ms``: operations and bytes over the measured peak.

    Keys: ``steps`` (cell updates, million), ``mflop``, ``mbytes`` (planes that the primal-dual steps read and write),
    ``gflops``, ``gbytes`` (peak of this core; bytes at the working set of the finest scale), ``flop_ms``, ``byte_ms``
    and ``share``: the larger of the two over ``ms``.
    """
    pixels = sum((size >> k) ** 2 for k in range(params.scales)) * params.warps
    steps = pixels / params.cell**2 * params.iterations
    operations = steps * STEP_OPERATIONS + pixels * WARP_OPERATIONS
    top = peak(working_set=13 * 4 * (size // params.cell) ** 2)
    times = {"flop_ms": operations / top["gflops"] / 1e6, "byte_ms": steps * STEP_BYTES / top["gbytes"] / 1e6}
    sizes = {"size": size, "steps": steps / 1e6, "mflop": operations / 1e6, "mbytes": steps * STEP_BYTES / 1e6}
    return {**sizes, **top, **times, "share": max(times.values()) / ms}


def printable(table: pd.DataFrame) -> str:
    """Return a table as text; errors become one line per solver with ``median / p95`` for each amplitude.

    Of the table of ``bench_recordings`` it is the ratio for each amplitude.
    """
    if "lost" in table:
        return f"{ratios(table).to_string(index=False)}\n{table['lost'].sum()} of {len(table)} cells lost (*)"
    if not set(ERRORS) <= set(table.columns):
        return table.to_string(index=False, float_format="%.3f")
    lines = table[["size", "condition", "solver"]].copy()
    lines["amplitude"] = table["amplitude"].map("{:g} px".format)
    parts = []
    for place, columns in (("face", ERRORS[:2]), ("ROIs", ERRORS[2:])):
        pairs = [" / ".join(f"{value:.3f}" for value in row) for row in table[list(columns)].to_numpy()]
        parts.append(lines.assign(place=place, error=pairs))
    wide = pd.concat(parts).pivot_table(
        "error", ["size", "place", "condition", "solver"], "amplitude", aggfunc="first", sort=False
    )
    return wide.reset_index().to_string(index=False)


def solvers() -> dict[str, Solver]:
    """Return the solvers by name; OURS on a GPU where there is one."""
    opencv: Any = cv2  # its type stubs lack these solvers
    default = opencv.optflow.DualTVL1OpticalFlow_create()
    # tau, lambda, theta, scales, warps, epsilon, inner and outer iterations, scale factor
    light = opencv.optflow.DualTVL1OpticalFlow_create(0.25, 0.15, 0.3, 3, 2, 0.01, 30, 1, 0.5)
    dis = opencv.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found: dict[str, Solver] = {
        REFERENCE: _each(lambda a, b: default.calc(a, b, None)),
        "OpenCV TV-L1 light": _each(lambda a, b: light.calc(a, b, None)),
        OURS: tvl1_window,
        "DIS": _each(lambda a, b: dis.calc(a, b, None)),
        "Farneback": _each(lambda a, b: opencv.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 5, 7, 1.5, 0)),
    }
    if _gpu():
        found[GPU] = lambda frames: tvl1_window(frames, device="cuda")
    return found


def _each(solve: Callable[[Image, Image], Any]) -> Solver:
    return lambda frames: [solve(frames[0], frame) for frame in frames[1:]]


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _solve_scenes(
    size: int, repeats: int
) -> tuple[dict[str, list[float]], dict[tuple[str, float, str], list[tuple[Any, Any]]]]:
    """Return the seconds of every solver, and by (condition, amplitude, solver) the errors of each scene."""
    methods, boxes = solvers(), scenes.roi_boxes(size)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    errors: dict[tuple[str, float, str], list[tuple[Any, Any]]] = {}
    _warm_up(methods, size)
    for condition, settings in scenes.CONDITIONS.items():
        for amplitude in scenes.AMPLITUDES:
            for name, seed in ((name, seed) for seed in range(repeats) for name in scenes.TEXTURES):
                *pair, truth = scenes.scene(scenes.texture(name, size), amplitude, settings, seed=seed)
                taken, flows = timed(_bound(methods, np.stack(pair)), wall=(GPU,))
                for solver, flow in [
                    *((key, value[0]) for key, value in flows.items()),
                    ("no flow", np.zeros_like(truth)),
                ]:
                    found = scenes.endpoint_error(flow, truth), scenes.roi_errors(flow, truth, boxes)
                    errors.setdefault((condition, amplitude, solver), []).append(found)
                for solver, values in taken.items():
                    seconds[solver] += values
    return seconds, errors


def _solve_windows(crops: Sequence[Image]) -> dict[str, list[float]]:
    """Return the seconds that every solver takes for each window."""
    methods = solvers()
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    _warm_up(methods, crops[0].shape[1])
    for frames in crops:
        for solver, values in timed(_bound(methods, frames), wall=(GPU,))[0].items():
            seconds[solver] += values
    return seconds


def _bound(methods: dict[str, Solver], frames: Image) -> dict[str, Callable[[], Any]]:
    return {name: partial(solve, frames) for name, solve in methods.items()}


def _warm_up(methods: dict[str, Solver], size: int) -> None:
    still = np.zeros((2, size, size), np.uint8)
    for solve in methods.values():
        solve(still)


def _summary(values: Sequence[tuple[Any, Any]]) -> dict[str, float]:
    whole = np.mean([errors for errors, _ in values], axis=0)
    regions = np.percentile(np.concatenate([errors for _, errors in values]), [50, 95])
    return {name: float(value) for name, value in zip(ERRORS, [*whole, *regions], strict=True)}


def _time_rows(seconds: dict[str, list[float]], flows: int | Sequence[int], **first: Any) -> list[dict[str, Any]]:
    """Return one row per solver; ``flows``: how many each time is for."""
    counts = [flows] * len(seconds[REFERENCE]) if isinstance(flows, int) else flows
    each = {name: [1e3 * s / n for s, n in zip(values, counts, strict=True)] for name, values in seconds.items()}
    return [
        {**first, "solver": name, "ms": median(values), "speed": speedup(each[REFERENCE], values)}
        for name, values in each.items()
    ]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
