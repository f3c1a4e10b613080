"""Figures of a spotting run: timelines of a video and the intensity curve of one recording.

Conventions
-----------
Frames are sampled frames, 0-based; frame t is drawn at t / fps seconds and an inclusive interval from half a frame
before its onset to half a frame after its offset. Colours are of the Okabe-Ito set (safe for colour-blind readers), and
nothing is told by colour alone: in a lane ``macro`` is the upper half and ``micro`` the lower, which bars that overlap in
time share; a proposal that found an instance is solid, a false positive is hatched and hollow, a missed instance is a cross.

Every function is pure: it returns a new matplotlib Figure (no pyplot, no state shared between figures), and ``svg`` and
``png`` give the same bytes for the same figure.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import mul
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pfes.base.intervals import runs
from pfes.base.records import CLASSES
from pfes.drawing.plotting import CLASS_COLOURS, CURVES, INK, LEGEND, STYLE, curve_style, new_figure, plain, png, svg

__all__ = ["CLASS_COLOURS", "CURVES", "INK", "intensity_curve", "png", "rows", "shade_gaps", "svg", "timeline"]


def timeline(
    title: str,
    fps: float,
    intensity: Mapping[str, NDArray[np.floating]],
    truth: pd.DataFrame,
    proposals: Mapping[str, pd.DataFrame],
    valid: NDArray[np.bool_],
    true_intensity: NDArray[np.floating] | None = None,
    *,
    missed: Mapping[str, pd.DataFrame] | None = None,
) -> Figure:
    """Draw the intensity curves of one video above lanes of its true and proposed intervals.

    Parameters
    ----------
    fps : sampled frames per second
    intensity : experiment -> [T]; a curve that leaves [0, 1] is divided by its maximum, and axis and legend say so
    truth : one row per instance; columns class, onset, apex, offset
    proposals : experiment -> one row per proposal; columns class, onset, apex, offset, score, matched (bool); its order
        is that of the lanes and of ``CURVES``
    valid : [T], False where no face was found
    true_intensity : [T] in [0, 1], known for the demo dataset only
    missed : experiment -> the rows of ``truth`` that no proposal of it found
    """
    experiments = list(dict.fromkeys([*proposals, *intensity]))
    lanes = ["truth", *experiments]
    figure, (curves, bars) = _rows(1.5, 0.42 * len(lanes) + 0.35)
    for axes in (curves, bars):
        _time_axis(axes, len(valid), fps)
        shade_gaps(axes, valid, fps)
    _curves(curves, intensity, experiments, valid, fps, true_intensity)
    curves.set_title(title, loc="left", fontweight="bold", color=INK, parse_math=False)
    curves.tick_params(labelbottom=False)
    _frame_axis(curves, fps)
    _lanes(bars, lanes)
    _truth_bars(bars, truth, 0, fps)
    for lane, name in enumerate(experiments, start=1):
        _proposal_bars(bars, proposals.get(name), lane, fps)
        _crosses(bars, (missed or {}).get(name), lane, fps)
    bars.set_xlabel("time (s)", color=INK)
    figure.legend(handles=_handles(intensity, experiments, true_intensity is not None), **LEGEND)
    return figure


def intensity_curve(
    intensity: NDArray[np.floating],
    proposals: pd.DataFrame,
    fps: float,
    thresholds: Sequence[float] = (),
    *,
    valid: NDArray[np.bool_] | None = None,
    title: str = "",
) -> Figure:
    """Draw the intensity ``[T]`` of one recording with its proposals as bands, each with its class and score.

    Parameters
    ----------
    proposals : columns class, onset, apex, offset, score; sampled frames
    fps : sampled frames per second
    thresholds : levels at which proposals were cut, drawn as faint lines
    valid : [T], False where no face was found
    """
    valid = np.ones(len(intensity), bool) if valid is None else valid
    figure, (axes, labels) = _rows(2.6, 0.75)
    for panel in (axes, labels):
        _time_axis(panel, len(intensity), fps)
        shade_gaps(panel, valid, fps)
    for level in thresholds:
        axes.axhline(level, color=INK, alpha=0.25, linewidth=0.6, linestyle=(0, (1, 2)))
    for row in rows(proposals):
        left, right = (row["onset"] - 0.5) / fps, (row["offset"] + 0.5) / fps
        axes.axvspan(left, right, color=CLASS_COLOURS[row["class"]], alpha=0.25, linewidth=0)
    _curves(axes, {"intensity": intensity}, ["intensity"], valid, fps, None)
    axes.set_title(title or "expression intensity", loc="left", fontweight="bold", color=INK, parse_math=False)
    axes.tick_params(labelbottom=False)
    _frame_axis(axes, fps)
    _lanes(labels, ["proposals"])
    _proposal_bars(labels, proposals.assign(matched=True), 0, fps, scores=True)
    labels.set_xlabel("time (s)", color=INK)
    figure.legend(handles=_class_handles() + ([_gap_handle()] if not valid.all() else []), **LEGEND)
    return figure


def shade_gaps(axes: Axes, valid: NDArray[np.bool_], fps: float, colour: str = INK) -> None:
    """Shade the runs of frames without a face over the whole height of ``axes``."""
    for onset, offset in runs(~np.asarray(valid, bool)):
        span = ((onset - 0.5) / fps, (offset + 0.5) / fps)
        axes.axvspan(*span, zorder=0, color=colour, alpha=0.1, linewidth=0)
        axes.axvspan(*span, zorder=0, **_no_face(colour))  # apart: a hatch with a fill loses its contrast in SVG


def rows(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the rows of a table of intervals as dictionaries; none for None."""
    return (
        [] if table is None else [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    )


def _rows(upper: float, lower: float) -> tuple[Figure, tuple[Axes, Axes]]:
    figure = new_figure(10, upper + lower + 1.15)
    with mpl.rc_context({**STYLE, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK}):
        upper_axes, lower_axes = figure.subplots(2, 1, sharex=True, height_ratios=[upper, lower])
    return figure, (upper_axes, lower_axes)


def _time_axis(axes: Axes, n_frames: int, fps: float) -> None:
    axes.set_xlim(-0.5 / fps, (n_frames - 0.5) / fps)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)


def _frame_axis(axes: Axes, fps: float) -> None:
    frames = axes.secondary_xaxis("top", functions=(partial(mul, fps), partial(mul, 1 / fps)))
    frames.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
    frames.spines["top"].set_visible(False)
    frames.tick_params(length=2, pad=1, labelsize=7.5, colors=INK)
    frames.set_xlabel("frame", loc="right", fontsize=7.5, color=INK, labelpad=1)


def _curves(
    axes: Axes,
    intensity: Mapping[str, NDArray[np.floating]],
    experiments: Sequence[str],
    valid: NDArray[np.bool_],
    fps: float,
    true_intensity: NDArray[np.floating] | None,
) -> None:
    seconds = np.arange(len(valid)) / fps
    if true_intensity is not None:
        axes.fill_between(seconds, true_intensity, color=INK, alpha=0.16, linewidth=0)
    for name, (colour, line) in zip(experiments, map(curve_style, range(len(experiments))), strict=True):
        if name in intensity:
            curve = np.where(valid, intensity[name], np.nan) / _scale(intensity[name])
            axes.plot(seconds, curve, color=colour, linestyle=line, linewidth=1.2)
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, 0.5, 1])
    scaled = any(_scale(curve) > 1 for curve in intensity.values())
    axes.set_ylabel("intensity (scaled)" if scaled else "intensity", color=INK)


def _scale(curve: NDArray[np.floating]) -> float:
    highest = float(np.max(curve, initial=0.0, where=np.isfinite(curve)))
    return highest if highest > 1 else 1.0


def _lanes(axes: Axes, names: Sequence[str]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color=INK, alpha=0.25, linewidth=0.6)


def _truth_bars(axes: Axes, truth: pd.DataFrame, lane: int, fps: float) -> None:
    found = rows(truth)
    for row, part in zip(found, _parts(found), strict=True):
        _bar(axes, row, lane, part, fps, facecolor=CLASS_COLOURS[row["class"]])


def _proposal_bars(axes: Axes, proposals: pd.DataFrame | None, lane: int, fps: float, *, scores: bool = False) -> None:
    found = rows(proposals)
    for row, part in zip(found, _parts(found), strict=True):
        fill = {"facecolor": CLASS_COLOURS[row["class"]]} if row["matched"] else {"facecolor": "none", "hatch": "/////"}
        low, high = _bar(axes, row, lane, part, fps, **fill)
        if scores:
            place = ((row["offset"] + 0.5) / fps, (low + high) / 2)
            axes.annotate(
                f"{row['score']:.2f}", place, (3, 0), textcoords="offset points", va="center", fontsize=7, color=INK
            )


def _parts(found: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Return of each interval which part, of how many, it takes of its half of the lane: those that overlap share it."""
    places = [(0, 1)] * len(found)
    for kind in CLASSES:
        together: list[int] = []
        ends: list[int] = []  # of the last interval of each part
        own = [number for number, row in enumerate(found) if row["class"] == kind]
        for number in sorted(own, key=lambda number: found[number]["onset"]):
            onset, offset = found[number]["onset"], found[number]["offset"]
            if ends and onset > max(ends):
                together, ends = [], []
            part = next((part for part, end in enumerate(ends) if end < onset), len(ends))
            ends[part : part + 1] = [offset]
            places[number] = (part, len(ends))
            together.append(number)
            for other in together:
                places[other] = (places[other][0], len(ends))
    return places


def _bar(
    axes: Axes, row: dict[str, Any], lane: int, part: tuple[int, int], fps: float, **style: Any
) -> tuple[float, float]:
    """Draw the bar of an interval in its part of its half of the lane, and return where that begins and ends."""
    height = 0.38 / part[1]
    low = _middle(row, lane) - 0.19 + part[0] * height
    corner, width = ((row["onset"] - 0.5) / fps, low), (row["offset"] - row["onset"] + 1) / fps
    axes.add_patch(
        Rectangle(corner, width, height, linewidth=1.0, edgecolor=CLASS_COLOURS[row["class"]], alpha=0.85, **style)
    )
    axes.plot([row["apex"] / fps] * 2, [low, low + height], color=INK, linewidth=1.1, solid_capstyle="butt")
    return low, low + height


def _crosses(axes: Axes, missed: pd.DataFrame | None, lane: int, fps: float) -> None:
    for row in rows(missed):
        style: dict[str, Any] = {
            "marker": "x",
            "markersize": 5.5,
            "markeredgewidth": 1.6,
            "color": CLASS_COLOURS[row["class"]],
        }
        axes.plot([row["apex"] / fps], [_middle(row, lane)], linestyle="none", **style)


def _middle(row: dict[str, Any], lane: int) -> float:
    """Height of a bar's middle line: macro in the upper half of its lane, micro in the lower."""
    return lane - 0.23 + 0.46 * CLASSES.index(row["class"])


def _handles(
    intensity: Mapping[str, NDArray[np.floating]], experiments: Sequence[str], has_truth: bool
) -> list[Artist]:
    curves = [
        Line2D(
            [],
            [],
            color=colour,
            linestyle=line,
            label=plain(name) + (" (scaled)" if _scale(intensity[name]) > 1 else ""),
        )
        for name, (colour, line) in zip(experiments, map(curve_style, range(len(experiments))), strict=True)
        if name in intensity
    ]
    truth = [Patch(facecolor=INK, alpha=0.16, label="true intensity")] if has_truth else []
    marks = [
        Patch(facecolor=INK, alpha=0.6, label="found"),
        Patch(facecolor="none", edgecolor=INK, hatch="/////", label="false positive"),
        Line2D([], [], color=INK, marker="x", linestyle="none", markeredgewidth=1.6, label="missed"),
    ]
    return [*curves, *truth, *_class_handles(), *marks, _gap_handle()]


def _class_handles() -> list[Artist]:
    place = {"macro": "upper", "micro": "lower"}
    return [Patch(facecolor=CLASS_COLOURS[name], alpha=0.85, label=f"{name} ({place[name]})") for name in CLASSES]


def _gap_handle() -> Artist:
    return Patch(label="no face", **_no_face(INK))


def _no_face(colour: str) -> dict[str, Any]:
    return {"facecolor": "none", "edgecolor": colour, "alpha": 0.4, "hatch": "////", "linewidth": 0}
