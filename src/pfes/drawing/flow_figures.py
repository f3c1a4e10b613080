"""Pictures of the optical flow: how each region of interest moves over time, and the flow of a frame as arrows.

Conventions
-----------
Motion is over ``lag`` frames: entry ``lag`` of the window of frame t, from frame t-8 to frame t-8+lag, and is drawn at the
latter. px of the aligned crop, x right, y down. Colours are of the Okabe-Ito set; lines of one panel also differ in dashes.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import HALF
from pfes.drawing import figures
from pfes.faces.align import NOSE, ROI_NAMES
from pfes.faces.landmarks import USABLE
from pfes.flow.roi_means import roi_means
from pfes.flow.sw_mro import FlowParameters, placement, solver, valid_frames
from pfes.flow.windows import Flow, Grey, Window, windows
from pfes.media import decode

GROUPS = {"left brow": slice(0, 3), "right brow": slice(3, 6), "mouth": slice(6, 10), "others": slice(10, None)}
LINES = (("#0072b2", "-"), ("#d55e00", "--"), ("#009e73", "-."), ("#1b1b1b", ":"))  # colour, dashes
GRID = 20  # arrows along each side of the crop
LONGEST = 0.09  # length of the longest arrows, share of the crop


def write_trajectories(path: Path | str, out: Path | str, *, lag: int = HALF) -> None:
    """Draw the motion in a file of kind ``snippets`` or ``flow`` to the PNG ``out``; see ``trajectories``.

    Raises
    ------
    InputError
        The file is of neither kind, or a refusal.
    """
    kind = store.describe(path).get("pfes_kind")
    if kind not in ("snippets", "flow"):
        raise InputError(f"{path}: holds {kind}, expected snippets or flow; they lie in the folders of these names")
    arrays, facts = store.read(path, str(kind)), store.attributes(path, str(kind))
    title = f"{Path(path).stem}: motion over {lag} frames" + (" against the nose" if kind == "snippets" else "")
    figure = trajectories(arrays[str(kind)], arrays["valid"].astype(bool), float(facts["fps"]), lag=lag, title=title)
    _save(figure, out)


def trajectories(flow: Flow, valid: NDArray[np.bool_], fps: float, *, lag: int = HALF, title: str = "") -> Figure:
    """Return a figure of the motion [T, 17, R, 2] of each ROI: brows and mouth in rows, x and y in columns.

    Frames that are not ``valid`` [T] are left out and shaded. R is 10 (snippets) or more (flow, with nose and eyelids).
    """
    groups = [name for name, part in GROUPS.items() if len(ROI_NAMES[: flow.shape[2]][part])]
    figure = Figure(figsize=(11, 1.1 + 1.75 * len(groups)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(groups), 2, sharex=True, sharey=True, squeeze=False)
    seconds = (np.arange(len(flow)) - HALF + lag) / fps
    motion = np.where(valid[:, None, None], flow[:, lag], np.nan)
    for row, group in zip(grid, groups, strict=True):
        for axis, axes in enumerate(row):
            _lines(axes, seconds, motion[..., axis], group)
            figures.shade_gaps(axes, valid, fps)
        row[0].set_ylabel(f"{group}\npx of the crop")
        row[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    for axes, name in zip(grid[0], ("x, to the right", "y, down"), strict=True):
        axes.set_title(name, fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("s")
    figure.suptitle(title, fontsize=10)
    return figure


def write_arrows(
    recording: str,
    faces_path: Path | str,
    frames: Sequence[int],
    out: Path | str,
    *,
    lag: int = HALF,
    params: FlowParameters = FlowParameters(),
) -> None:
    """Draw the flow of sampled ``frames`` of a recording, with its file of kind ``faces``, to the PNG ``out``.

    Raises
    ------
    InputError
        A frame is not in the recording, or its window is not valid.
    """
    panels = {f"frame {t}": dense(recording, faces_path, t, lag=lag, params=params) for t in frames}
    _save(arrows(panels, lag=lag), out)


def dense(
    recording: str, faces_path: Path | str, frame: int, *, lag: int = HALF, params: FlowParameters = FlowParameters()
) -> tuple[Grey, Flow, NDArray[np.int64]]:
    """Return the crop [S, S] of the reference of a frame's window, its flow [S, S, 2] over ``lag`` frames against the nose, and the ROI boxes [R, 4]."""
    faces = store.read(faces_path, "faces")
    valid = valid_frames(faces["state"] == USABLE, faces["cut"])
    if not 0 <= frame < len(valid):
        raise InputError(f"{faces_path}: frame {frame}, expected 0 to {len(valid) - 1}")
    if not valid[frame]:
        raise InputError(f"{faces_path}: the window of frame {frame} has no usable face or crosses a cut; take another")
    place = placement(faces["landmarks"], params, cut=faces["cut"], native=faces["native_frame"])
    near = slice(max(0, frame - HALF), min(len(valid), frame + HALF + 1))
    wanted = np.arange(len(valid)) == frame
    place = replace(
        place,
        landmarks=place.landmarks[near],
        boxes=place.boxes[near],
        native=place.native[near],
        wanted=wanted[near],
    )
    images = (image for _, image in decode.read_at(recording, place.native.tolist()))
    window = next(window for window in windows(images, place) if window.frame == frame - near.start)
    return _against_nose(window, lag, params)


def arrows(panels: dict[str, tuple[Grey, Flow, NDArray[np.int64]]], *, lag: int = HALF) -> Figure:
    """Return a figure with one panel per entry of ``panels``: title -> crop, flow, ROI boxes (see ``dense``).

    Arrows start where the pixel was in the reference and are drawn larger by one factor, which the title tells.
    """
    size = len(next(iter(panels.values()))[0])
    strongest = max(float(np.percentile(np.linalg.norm(flow, axis=-1), 99)) for _, flow, _ in panels.values())
    factor = float(f"{LONGEST * size / max(strongest, 0.1):.1g}")
    figure = Figure(figsize=(4.2 * len(panels), 4.7), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for axes, (title, (crop, flow, rois)) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        axes.imshow(crop, cmap="gray", vmin=0, vmax=255)
        at = ((np.arange(GRID) + 0.5) * size / GRID).astype(int)
        field = flow[np.ix_(at, at)]
        style = {"angles": "xy", "scale_units": "xy", "scale": 1 / factor}
        axes.quiver(*np.meshgrid(at, at), field[..., 0], field[..., 1], color="#f0e442", width=0.004, **style)
        for (x0, y0, x1, y1), mean in zip(rois, roi_means(flow, rois), strict=True):
            axes.add_patch(
                Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor="#56b4e9", linewidth=0.8)
            )
            axes.quiver((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2, *mean, color="#d55e00", width=0.007, **style)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.suptitle(
        f"motion over {lag} frames against the nose, arrows {factor:g} times as long; thick: mean of the ROI",
        fontsize=9,
    )
    return figure


def _lines(axes: Axes, seconds: NDArray[np.float64], motion: NDArray[np.floating], group: str) -> None:
    names = ROI_NAMES[: motion.shape[1]][GROUPS[group]]
    for name, line, (colour, dashes) in zip(names, motion[:, GROUPS[group]].T, LINES, strict=False):
        axes.plot(seconds, line, dashes, color=colour, linewidth=1, label=name.replace("_", " "))
    axes.axhline(0, color=figures.INK, linewidth=0.5, alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(seconds[0], seconds[-1])


def _against_nose(window: Window, lag: int, params: FlowParameters) -> tuple[Grey, Flow, NDArray[np.int64]]:
    still = window.crops[:1]
    later = window.members[lag]
    moved = window.crops[[1 + window.others.index(later)]] if later in window.others else still
    (flow,) = next(iter(solver(params)([np.concatenate([still, moved])])))
    return still[0], flow - roi_means(flow, window.rois)[NOSE], window.rois


def _save(figure: Figure, out: Path | str) -> None:
    with store.atomic(out) as temporary:
        temporary.write_bytes(figures.png(figure))
