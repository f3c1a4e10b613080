"""Figures of a comparison of experiments, as the papers show them.

Conventions
-----------
Frames are sampled frames, 0-based, intervals inclusive. Colours and meanings are those of pfes.drawing.figures: macro and micro
have one colour each everywhere, truth is a grey area or band. Every function is pure and returns a new matplotlib
Figure; pfes.drawing.figures.svg and png write it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.records import RESULT_CLASSES
from pfes.drawing import figures
from pfes.drawing.figures import CLASS_COLOURS, CURVES, INK, rows
from pfes.evaluation.comparison import interval_words

COLOURS = {**CLASS_COLOURS, "overall": INK}
MARKS = {"macro": "s", "micro": "D", "overall": "o"}
BAND = 0.14  # opacity of a true interval
COLUMNS = 4  # of a page of instances


@dataclass(frozen=True)
class LabelCurve:
    """The pseudo-label of one instance beside what is true.

    Parameters
    ----------
    title : video and class, as shown.
    kind : macro or micro.
    frames : [L] the frames shown; label, intensity : [L] in [0, 1]; ``label`` is NaN where this instance has none.
    point : the labelled frame; pseudo_apex : where training now puts the apex.
    onset, apex, offset : of the label that training never saw.
    true_intensity : [L] in [0, 1], known for the demo dataset only.
    """

    title: str
    kind: str
    frames: NDArray[np.int64]
    label: NDArray[np.floating]
    intensity: NDArray[np.floating]
    point: int
    pseudo_apex: int
    onset: int
    apex: int
    offset: int
    true_intensity: NDArray[np.floating] | None = None


def write_comparison_figure(table: pd.DataFrame, out_path: Path | str, counted: Mapping[str, Any]) -> None:
    """Write ``comparison_figure`` as SVG."""
    text = figures.svg(
        comparison_figure(table, counted), label=f"F1 of every experiment with {interval_words(counted)}"
    )
    with store.atomic(out_path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def comparison_figure(table: pd.DataFrame, counted: Mapping[str, Any]) -> Figure:
    """Draw F1 of every experiment with its interval and its seeds' range, one panel per class.

    Parameters
    ----------
    table : as of pfes.evaluation.comparison; the reference, its first experiment, gets a line through all others.
    counted : summary of the run: by which protocol, with which intervals.
    """
    names = [str(name) for name in table["experiment"].drop_duplicates()]
    figure = _figure(10, 0.3 * len(names) + 1.5)
    panels = figure.subplots(1, len(RESULT_CLASSES), sharey=True)
    for axes, kind in zip(panels, RESULT_CLASSES, strict=True):
        own = table[table["class"] == kind]
        axes.axvline(own["f1"].iloc[0], color=COLOURS[kind], alpha=0.45, linewidth=0.9, linestyle=(0, (4, 2)))
        for place, row in enumerate(rows(own)):
            axes.plot([row["low"], row["high"]], [place] * 2, color=COLOURS[kind], linewidth=1.4)
            axes.plot(
                [row["seed_low"], row["seed_high"]], [place] * 2, color=COLOURS[kind], linewidth=6, alpha=0.28,
                solid_capstyle="butt",
            )  # fmt: skip
            axes.plot(row["f1"], place, MARKS[kind], color=COLOURS[kind], markersize=5)
        _words(axes, kind, "F1")
        axes.set_xlim(0, 1)
        _plain_axes(axes)
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    panels[0].set_yticks(range(len(names)), names, parse_math=False)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    marks = [
        Line2D(
            [],
            [],
            color=INK,
            marker="o",
            markersize=5,
            linewidth=1.4,
            label=f"F1 ({counted['protocol']}), {interval_words(counted)}",
        ),
        Line2D([], [], color=INK, linewidth=6, alpha=0.28, label="lowest to highest seed"),
        Line2D(
            [], [], color=INK, linewidth=0.9, alpha=0.45, linestyle=(0, (4, 2)), label=f"reference: {_text(names[0])}"
        ),
    ]
    _legend(figure, marks)
    return figure


def label_figure(curves: Sequence[LabelCurve], title: str = "") -> Figure:
    """Draw the pseudo-label of each instance with the intensity it came from, over the true interval."""
    n_rows = max(-(-len(curves) // COLUMNS), 1)
    figure = _figure(11, 1.75 * n_rows + 0.9)
    panels = figure.subplots(n_rows, COLUMNS, sharey=True, squeeze=False).ravel()
    for axes, curve in zip(panels, curves, strict=False):
        _label_panel(axes, curve)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for axes in panels[COLUMNS * (n_rows - 1) : len(curves)]:
        axes.set_xlabel("frame", fontsize=8, color=INK)
    figure.suptitle(
        title or "pseudo-labels against truth", x=0.01, ha="left", fontsize=10, fontweight="bold", color=INK
    )
    handles: list[Artist] = [
        Line2D([], [], color=INK, linewidth=1.8, marker=".", markersize=3, label="pseudo-label (colour of its class)"),
        Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (1, 1)), label="intensity"),
        Patch(facecolor=INK, alpha=BAND, label="true interval, line: apex"),
        *([Patch(facecolor="#009e73", alpha=0.35, label="true intensity")] if _has_truth(curves) else []),
        Line2D([], [], color=INK, marker="v", linestyle="none", label="point"),
        Line2D([], [], color=INK, marker="*", linestyle="none", markersize=9, label="pseudo-apex"),
    ]
    _legend(figure, handles)
    return figure


def apex_distance_figure(distances: pd.DataFrame) -> Figure:
    """Draw how far pseudo-apex frames are from the true apex, epoch by epoch.

    Parameters
    ----------
    distances : columns experiment, class, epoch, distance (mean |pseudo-apex - apex|, frames), point_distance (the same
        of the points themselves); one row per experiment, class and epoch.
    """
    figure = _figure(10, 3.4)
    panels = figure.subplots(1, 2)
    names = [str(name) for name in distances["experiment"].drop_duplicates()]
    for axes, kind in zip(panels, CLASS_COLOURS, strict=True):
        for index, name in enumerate(names):
            own = distances[(distances["experiment"] == name) & (distances["class"] == kind)].sort_values("epoch")
            colour, line = _curve(index)
            axes.plot(own["epoch"], own["distance"], color=colour, linestyle=line, linewidth=1.3)
            axes.plot(
                own["epoch"], own["point_distance"], color=colour, linewidth=0.8, alpha=0.5, linestyle=(0, (1, 2))
            )
        _words(axes, kind, "epoch", colour=CLASS_COLOURS[kind])
        axes.set_ylim(bottom=0)
        _plain_axes(axes)
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    panels[0].set_ylabel("distance from the true apex\n(frames, mean over instances)", color=INK, fontsize=9)
    handles = [
        Line2D([], [], color=colour, linestyle=line, label=_text(name))
        for name, (colour, line) in zip(names, map(_curve, range(len(names))), strict=True)
    ]
    _legend(figure, [*handles, Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (1, 2)), label="its points")])
    return figure


def stretch_figure(
    title: str,
    fps: float,
    first: int,
    intensity: Mapping[str, NDArray[np.floating]],
    truth: pd.DataFrame,
    true_intensity: NDArray[np.floating] | None = None,
) -> Figure:
    """Draw the intensity of several experiments over a stretch of a video, such as expressions in quick succession.

    Parameters
    ----------
    fps : sampled frames per second
    first : frame that the curves begin at
    intensity : experiment -> [L]
    truth : columns class, onset, apex, offset, frames of the video
    true_intensity : [L] in [0, 1], known for the demo dataset only
    """
    figure = _figure(10, 3.2)
    axes = figure.subplots()
    for row in rows(truth):
        left, right = (row["onset"] - 0.5) / fps, (row["offset"] + 0.5) / fps
        axes.axvspan(left, right, color=CLASS_COLOURS[row["class"]], alpha=BAND, linewidth=0)
        axes.axvline(row["apex"] / fps, color=CLASS_COLOURS[row["class"]], linewidth=0.9)
        axes.text(
            left, 1.05, f" {row['class']}", fontsize=8, color=CLASS_COLOURS[row["class"]], va="center", clip_on=True
        )
    if true_intensity is not None:
        axes.fill_between(
            (first + np.arange(len(true_intensity))) / fps, true_intensity, color=INK, alpha=0.14, linewidth=0
        )
    for index, (_, curve) in enumerate(intensity.items()):
        colour, line = _curve(index)
        axes.plot((first + np.arange(len(curve))) / fps, curve, color=colour, linestyle=line, linewidth=1.3)
    _words(axes, title, "time (s)", "intensity")
    axes.set_ylim(0, 1.1)
    axes.margins(x=0)
    _plain_axes(axes)
    handles: list[Artist] = [
        Line2D([], [], color=_curve(index)[0], linestyle=_curve(index)[1], label=_text(name))
        for index, name in enumerate(intensity)
    ]
    handles += [Patch(facecolor=colour, alpha=0.35, label=f"true {name}") for name, colour in CLASS_COLOURS.items()]
    if true_intensity is not None:
        handles.append(Patch(facecolor=INK, alpha=0.14, label="true intensity"))
    _legend(figure, handles)
    return figure


def _label_panel(axes: Axes, curve: LabelCurve) -> None:
    colour = CLASS_COLOURS[curve.kind]
    axes.axvspan(curve.onset - 0.5, curve.offset + 0.5, color=INK, alpha=BAND, linewidth=0)
    axes.axvline(curve.apex, color=INK, linewidth=0.9, alpha=0.6)
    if curve.true_intensity is not None:
        axes.fill_between(curve.frames, curve.true_intensity, color="#009e73", alpha=0.35, linewidth=0)
    axes.plot(curve.frames, curve.intensity, color=INK, linewidth=1.0, linestyle=(0, (1, 1)))
    axes.plot(curve.frames, curve.label, ".-", color=colour, linewidth=1.8, markersize=3)  # a dot: also a single frame
    axes.plot(curve.point, 1.07, "v", color=INK, markersize=5, clip_on=False)
    axes.plot(curve.pseudo_apex, 1.07, "*", color=colour, markersize=8, clip_on=False)
    axes.set_title(curve.title, loc="left", fontsize=8, color=colour, parse_math=False)
    axes.set_ylim(0, 1.12)
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlim(curve.frames[0], curve.frames[-1])
    _plain_axes(axes)


def _has_truth(curves: Sequence[LabelCurve]) -> bool:
    return any(curve.true_intensity is not None for curve in curves)


def _curve(index: int) -> tuple[str, Any]:
    colour, dashes = CURVES[index % len(CURVES)]
    return colour, (0, [float(dash) for dash in dashes.split()]) if dashes else "-"


def _text(name: str) -> str:
    """Return a name for a legend, where matplotlib would read ``$`` as mathematics and hide a leading ``_``."""
    return ("\N{ZERO WIDTH SPACE}" + name).replace("$", r"\$")


def _words(axes: Axes, title: str, x: str, y: str = "", colour: str = INK) -> None:
    axes.set_title(title, loc="left", fontweight="bold", fontsize=10, color=colour, parse_math=False)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)


def _plain_axes(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set_axisbelow(True)


def _figure(width: float, height: float) -> Figure:
    with mpl.rc_context({"font.family": ["DejaVu Sans", "sans-serif"], "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
    return figure


def _legend(figure: Figure, handles: Sequence[Artist]) -> None:
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=min(len(handles), 6),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
    )
