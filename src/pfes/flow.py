"""Stage flow: SW-MRO, sliding-window multi-temporal-resolution optical flow at the regions of interest (METHOD 5).

Conventions
-----------
The window of frame t is t-8 .. t+8; beyond the ends the first or last frame repeats. Its first frame is the reference:
entry k is the flow from the reference to window frame k, entry 0 is zero. Flow is in px of the aligned crop (S x S),
x right and y down, image left and right. The result is float32 [T, 17, R, 2], R as in ``align.ROIS``, head motion
included: the stage ``snippets`` subtracts it.

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

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes import align, decode, provenance, store
from pfes.align import NOSE, ROIS
from pfes.errors import InputError
from pfes.landmarks import WINDOW, Points
from pfes.tvl1 import tvl1_window

HALF = WINDOW // 2
BLOCK = 64  # frames written at a time
TIP = 30  # landmark that starts the crop shift, the tip of the nose

Grey = NDArray[np.uint8]
Solver = Callable[[Grey], NDArray[np.float32]]


@dataclass(frozen=True)
class FlowParameters:
    """Optical flow.

    method
        ``tvl1`` (pfes.tvl1), ``tvl1_opencv``, ``farneback`` or ``dis``.
    size
        side S of the aligned crop, px.
    recentre
        how often at most a crop is shifted after the nose moved more than 1 px.
    """

    method: str = "tvl1"
    size: int = 128
    recentre: int = 3


def write_flow(recording: str, faces_path: Path | str, out: Path | str, params: FlowParameters) -> None:
    """Compute the ROI flow of a recording and write a file of kind ``flow``; a refusal passes through.

    Frames are streamed: memory does not grow with the length of the recording, but for its landmarks.
    """
    origin = provenance.record("flow", asdict(params), [faces_path])
    with store.refusing(out, "flow", origin):
        faces = store.read(faces_path, "faces")
        facts = store.attributes(faces_path, "faces")
        frames = (frame for _, frame in decode.read_at(recording, faces["native_frame"].tolist()))
        valid = valid_frames(faces["found"])
        blocks = window_flow(frames, faces["landmarks"], params, native=faces["native_frame"])
        with store.create(
            out, "flow", origin, rois=" ".join(roi.name for roi in ROIS), fps=facts["fps"], size=params.size
        ) as file:
            for start, block in blocks:
                file.append("flow", block)
                file.append("valid", valid[start : start + len(block)])


def valid_frames(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which frames [T] can be trusted: the face was found there and in the reference of its window."""
    reference = np.maximum(np.arange(len(found)) - HALF, 0)
    return found & found[reference]


def window_flow(
    frames: Iterable[decode.Frame | None],
    landmarks: Points,
    params: FlowParameters = FlowParameters(),
    *,
    native: NDArray[np.int64] | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first frame, flow [n, 17, R, 2]) in blocks for a stream of T frames with landmarks [T, 68, 2] (NaN: no face).

    ``native``: index [T] of the native frame behind each; where the reference repeats, flow is zero without computing.
    """
    n_frames = len(landmarks)
    native = np.arange(n_frames) if native is None else native
    stable = align.stabilise(landmarks)
    boxes = align.crop_boxes(stable)
    solve = solver(params)
    block: list[NDArray[np.float32]] = []
    for t, images in _windows(frames, n_frames):
        window = np.clip(np.arange(t - HALF, t + HALF + 1), 0, n_frames - 1)
        distinct = [j for j in dict.fromkeys(window.tolist()) if native[j] != native[window[0]]]
        by_frame = _reference_flow(images, int(window[0]), distinct, stable, boxes[window[0]], params, solve)
        block.append(np.stack([by_frame.get(j, np.zeros((len(ROIS), 2), np.float32)) for j in window.tolist()]))
        if len(block) == BLOCK or t == n_frames - 1:
            yield t + 1 - len(block), np.stack(block)
            block = []


def solver(params: FlowParameters) -> Solver:
    """Return the function frames [K, S, S] uint8 -> flow [K - 1, S, S, 2] px from the first frame, by ``params.method``."""
    if params.method == "tvl1":
        return tvl1_window
    if params.method == "tvl1_opencv":
        calculate = cv2.optflow.DualTVL1OpticalFlow_create().calc  # type: ignore[attr-defined]
    elif params.method == "farneback":
        calculate = _farneback
    elif params.method == "dis":
        calculate = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc  # type: ignore[attr-defined]
    else:
        raise ValueError(f"flow.method {params.method!r}: expected tvl1, tvl1_opencv, farneback or dis")
    return lambda frames: np.stack([calculate(frames[0], frame, None) for frame in frames[1:]])


def roi_means(flow: NDArray[np.float32], boxes: align.Boxes) -> NDArray[np.float32]:
    """Return the mean flow [R, 2] over the strongest share of each ROI's pixels in ``flow`` [S, S, 2]."""
    means = np.empty((len(ROIS), 2), np.float32)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        vectors = flow[y0:y1, x0:x1].reshape(-1, 2)
        strength = np.einsum("nc,nc->n", vectors, vectors)
        count = max(1, round(ROIS[i].share * len(vectors)))
        means[i] = vectors[np.argpartition(-strength, count - 1)[:count]].mean(0)
    return means


def _farneback(reference: Grey, moving: Grey, _: None) -> NDArray[np.float32]:
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


def _windows(frames: Iterable[decode.Frame | None], n_frames: int) -> Iterator[tuple[int, dict[int, Grey]]]:
    """Yield (t, grey images of the frames in the window of t by index); an unreadable frame shows the one before."""
    images: dict[int, Grey] = {}
    t = 0
    for index, frame in enumerate(frames):
        if frame is None and index == 0:
            raise InputError("the first frame of the recording cannot be read; remove it or replace it")
        images[index] = (
            images[index - 1] if frame is None else np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        )
        while t < n_frames and index == min(t + HALF, n_frames - 1):
            yield t, images
            t += 1
            images.pop(t - HALF - 1, None)


def _reference_flow(
    images: dict[int, Grey], reference: int, others: list[int], landmarks: Points, box: NDArray[np.int64],
    params: FlowParameters, solve: Solver,
) -> dict[int, NDArray[np.float32]]:  # fmt: skip
    """Return the ROI flow [R, 2] in crop px from frame ``reference`` to each of ``others``."""
    if not others:
        return {}
    scale = params.size / box[2]  # crop px per px of the recording
    rois = align.roi_boxes(landmarks[reference], box, params.size)
    fixed = align.crop(images[reference], box, params.size)
    shifts = {j: np.rint(landmarks[j, TIP] - landmarks[reference, TIP]).astype(np.int64) for j in others}
    result, pending = {}, others
    for _ in range(params.recentre + 1):
        crops = [align.crop(images[j], box + np.array([*shifts[j], 0]), params.size) for j in pending]
        moved = []
        for j, field in zip(pending, solve(np.stack([fixed, *crops])), strict=True):
            means = roi_means(field, rois)
            result[j] = means + (shifts[j] * scale).astype(np.float32)
            correction = np.rint(means[NOSE] / scale).astype(np.int64)
            if np.abs(means[NOSE]).max() > 1 and correction.any():
                shifts[j] = shifts[j] + correction
                moved.append(j)
        pending = moved
        if not pending:
            break
    return result
