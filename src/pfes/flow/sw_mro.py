"""Stage flow: SW-MRO, sliding-window multi-temporal-resolution optical flow at the regions of interest (METHOD 5).

Conventions
-----------
The window of frame t is t-8 .. t+8; beyond the ends the first or last frame repeats. Its first frame is the reference:
entry k is the flow from the reference to window frame k, entry 0 is zero. Flow is in px of the aligned crop (S x S),
x right and y down, image left and right. The result is float32 [T, 17, R, 2], R as in ``align.ROIS``, head motion
included: the stage ``snippets`` subtracts it.

A frame is *valid* if a usable face was found there and in the reference of its window, and if no cut lies within the
window. All others are zero, and nothing is computed for them.

Differences
-----------
- The crop of window frame k starts shifted by the rounded motion of the nose landmark ([ROI] starts unshifted); the
  re-centring by measured nose flow (more than 1 px, at most 3 times) then rarely has to run.
- The shift of a crop is added back to its flow, so that the stored flow is the whole displacement. After nose
  subtraction nothing of it is left either way.
- The strongest pixels are chosen before the shift is added back: head motion does not choose them.

References
----------
[SF] SpotFormer, arXiv 2407.20799; [ROI] doi 10.1145/3503161.3551602.
"""

import ctypes
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import setting
from pfes.base.errors import InputError
from pfes.base.progress import watched
from pfes.base.records import HALF
from pfes.faces import align
from pfes.faces.align import ROIS
from pfes.faces.landmarks import USABLE, Points
from pfes.flow.roi_means import roi_means
from pfes.flow.tvl1 import tvl1, tvl1_window
from pfes.flow.windows import Flow, Grey, Placement, Window, windows
from pfes.media import decode
from pfes.media.prefetch import ahead

BLOCK = 64  # frames written at a time, and windows that a GPU solves in one launch

Solver = Callable[[Sequence[Grey]], Iterable[Flow]]
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class FlowParameters:
    """Optical flow.

    method
        ``tvl1`` (pfes.flow.tvl1), ``tvl1_opencv``, ``farneback`` or ``dis``.
    size
        side S of the aligned crop, px.
    recentre
        how often at most a crop is shifted after the nose moved more than 1 px.
    device
        where ``tvl1`` computes: ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one. Not part of what the result
        means: both give the same flow but for rounding.
    """

    method: str = setting(
        "tvl1",
        "optical flow: tvl1 (ours), tvl1_opencv, farneback or dis",
        enum=("tvl1", "tvl1_opencv", "farneback", "dis"),
    )
    size: int = setting(128, "side of the aligned crop, px", minimum=32, maximum=512)
    recentre: int = setting(
        3, "how often at most a crop is shifted after the nose moved more than 1 px", minimum=0, maximum=10
    )
    device: str = setting(
        "cpu",
        "where tvl1 computes: cpu, cuda, or auto for CUDA where there is one; a change makes no stage run again",
        changes_results=False,
        enum=("cpu", "cuda", "auto"),
    )


def write_flow(
    recording: str, faces_path: Path | str, out: Path | str, params: FlowParameters, *, cores: int = 1
) -> None:
    """Compute the ROI flow of a recording and write a file of kind ``flow``; a refusal passes through.

    ``cores``: see window_flow; the result is the same for any number.

    Frames are streamed: memory does not grow with the length of the recording, but for its landmarks.
    """
    used = {**asdict(params), "device": device(params.device)}
    origin = provenance.record("flow", used, [faces_path])
    with store.refusing(out, "flow", origin):
        faces = store.read(faces_path, "faces")
        facts = store.attributes(faces_path, "faces")
        valid = valid_frames(faces["state"] == USABLE, faces["cut"])
        if not valid.any():
            raise InputError(
                f"{recording}: no window has a face both in its first frame and in its middle; leave it out"
            )
        native = faces["native_frame"].tolist()
        frames = watched("optical flow", (frame for _, frame in decode.read_at(recording, native)), len(native))
        blocks = window_flow(
            frames, faces["landmarks"], params, cut=faces["cut"], native=faces["native_frame"], valid=valid, cores=cores
        )
        with store.create(
            out, "flow", origin, rois=" ".join(roi.name for roi in ROIS), fps=facts["fps"], size=params.size
        ) as file:
            for start, block in blocks:
                file.append("flow", block)
                file.append("valid", valid[start : start + len(block)])


def valid_frames(found: NDArray[np.bool_], cut: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Return which frames [T] can be trusted, from where a face was ``found`` and which frames come right after a ``cut``.

    Frame t is valid if the face was found in t and in the reference of its window, and no frame of the window after the
    reference is a cut.
    """
    frames = np.arange(len(found))
    reference, end = np.maximum(frames - HALF, 0), np.minimum(frames + HALF, len(found) - 1)
    cuts = np.cumsum(np.zeros(len(found), bool) if cut is None else cut)
    return found & found[reference] & (cuts[end] == cuts[reference])


def window_flow(
    frames: Iterable[decode.Frame | None],
    landmarks: Points,
    params: FlowParameters = FlowParameters(),
    *,
    cut: NDArray[np.bool_] | None = None,
    native: NDArray[np.int64] | None = None,
    valid: NDArray[np.bool_] | None = None,
    cores: int = 1,
) -> Iterator[tuple[int, Flow]]:
    """Yield (first frame, flow [n, 17, R, 2]) in blocks for a stream of T frames with landmarks [T, 68, 2] (NaN: no face).

    ``cut``, ``native``, ``valid``: see placement. ``cores``: windows that ``tvl1`` solves side by side on the CPU, a
    thread each; the other methods use one thread.
    """
    place = placement(landmarks, params, cut=cut, native=native, valid=valid)
    on_gpu = params.method == "tvl1" and device(params.device) == "cuda"
    solve = solver(params)
    batches = _batches(windows(frames, place), BLOCK if on_gpu else 1)
    threads = cores if params.method == "tvl1" and not on_gpu else 1
    solved = in_threads(
        partial(solve_windows, params=params, solve=solve), ahead(batches) if on_gpu else batches, threads
    )
    flows = (flow for batch in solved for flow in batch)
    for start, block in zip(range(0, len(landmarks), BLOCK), _batches(flows, BLOCK), strict=True):
        yield start, np.stack(block)


def placement(
    landmarks: Points,
    params: FlowParameters,
    *,
    cut: NDArray[np.bool_] | None = None,
    native: NDArray[np.int64] | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> Placement:
    """Return where the crops of T frames lie, from their landmarks [T, 68, 2] (NaN: no face), smoothed in time.

    Parameters
    ----------
    cut
        which frames [T] come right after a cut, none by default: nothing is smoothed or filled across.
    native
        index [T] of the native frame behind each; where the reference repeats, flow is zero without computing.
    valid
        which frames [T] are wanted, all by default; the flow of others is zero without computing.
    """
    n_frames = len(landmarks)
    stable = align.stabilise(landmarks, cut)
    native = np.arange(n_frames) if native is None else native
    valid = np.ones(n_frames, bool) if valid is None else valid
    return Placement(stable, align.crop_boxes(stable), native, valid, params.size)


def solve_windows(batch: Sequence[Window], params: FlowParameters, solve: Solver) -> list[Flow]:
    """Return the flow [17, R, 2] of each window; all of a batch are solved together, those re-centred once more, and so on."""
    pending = [window for window in batch if window.others]
    for attempt in range(params.recentre + 1):
        fields = solve([window.crops for window in pending]) if pending else ()
        pending = [
            window
            for window, flow in zip(pending, fields, strict=True)
            if window.measured([roi_means(field, window.rois) for field in flow], last=attempt == params.recentre)
        ]
    return [window.flow() for window in batch]


def in_threads(function: Callable[[S], T], items: Iterable[S], threads: int) -> Iterator[T]:
    """Yield ``function`` of each of ``items`` in their order, at most ``threads`` computed side by side.

    Items are taken at most 2 ``threads`` ahead of what was yielded. One thread is the caller's own.
    """
    if threads == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def solver(params: FlowParameters) -> Solver:
    """Return the function stacks of frames [K, S, S] uint8 -> for each the flow [K - 1, S, S, 2] px from its first frame."""
    if params.method == "tvl1":
        if device(params.device) == "cuda":
            return partial(solve_pairs, device="cuda")
        return lambda stacks: map(tvl1_window, stacks)
    if params.method == "tvl1_opencv":
        calculate = cv2.optflow.DualTVL1OpticalFlow_create().calc  # type: ignore[attr-defined]
    elif params.method == "farneback":
        calculate = _farneback
    elif params.method == "dis":
        calculate = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc  # type: ignore[attr-defined]
    else:
        raise ValueError(f"flow.method {params.method!r}: expected tvl1, tvl1_opencv, farneback or dis")
    return lambda stacks: (np.stack([calculate(stack[0], frame, None) for frame in stack[1:]]) for stack in stacks)


def solve_pairs(stacks: Sequence[Grey], **where: Any) -> list[Flow]:
    """Return the flow of every stack as ``tvl1_window`` does, from one call for all their pairs; ``where``: of tvl1."""
    counts = [len(stack) - 1 for stack in stacks]
    first = np.concatenate([np.repeat(stack[:1], count, axis=0) for stack, count in zip(stacks, counts, strict=True)])
    later = np.concatenate([stack[1:] for stack in stacks])
    return np.split(tvl1(first, later, **where), np.cumsum(counts)[:-1])


def device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda`` for the config's ``cpu``, ``cuda`` or ``auto``.

    Raises
    ------
    InputError
        CUDA is wanted, and there is none.
    """
    if wanted == "cpu" or not _cuda():
        if wanted == "cuda":
            raise InputError("flow.device is cuda, but there is no CUDA device that tvl1 could use; take auto or cpu")
        return "cpu"
    return "cuda"


def _cuda() -> bool:
    """Return whether tvl1 can use a GPU; torch, which takes seconds to import, is asked only beside a driver."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _farneback(reference: Grey, moving: Grey, _: None) -> Flow:
    options = {
        "pyr_scale": 0.5,
        "levels": 3,
        "winsize": 15,
        "iterations": 5,
        "poly_n": 7,
        "poly_sigma": 1.5,
        "flags": 0,
    }
    return cv2.calcOpticalFlowFarneback(reference, moving, None, **options)  # type: ignore[call-overload]
