"""Figures of continuous intensity: curves of clips, and of whole recordings side by side with other curves.

Pure functions that return matplotlib figures, in the style of ``pfes.drawing.figures``: nothing is told by colour alone.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pfes.drawing.figures import INK

LINES = (("#0072b2", "-"), ("#d55e00", (0, (5, 2))), ("#cc79a7", (0, (1, 1))), ("#8a6d00", (0, (6, 2, 1, 2))))
COLUMNS = 4


def clip_curves(
    clips: Sequence[pd.DataFrame],
    names: Sequence[str],
    true: Sequence[NDArray[np.floating] | None],
    titles: Sequence[str],
) -> Figure:
    """Draw several clips, one panel each.

    Parameters
    ----------
    clips : per clip a table with ``tau``, ``triangle`` and a column for each of ``names`` (predictions).
    true : known intensity at the same steps, or None.
    titles : one per clip.
    """
    rows = max(ceil(len(clips) / COLUMNS), 1)
    figure = Figure(figsize=(9, 2.1 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    for panel in axes.flat[len(clips) :]:
        panel.set_axis_off()
    for panel, clip, known, title in zip(axes.flat, clips, true, titles, strict=False):
        panel.plot(clip["tau"], clip["triangle"], color=INK, linewidth=0.8, label="triangle (labels)")
        if known is not None:
            panel.fill_between(clip["tau"], known, color="#009e73", alpha=0.3, linewidth=0, label="true")
        for (colour, dash), name in zip(LINES, names, strict=False):
            panel.plot(clip["tau"], clip[name], color=colour, linestyle=dash, linewidth=1.4, label=name)
        panel.set_title(title, fontsize=8, loc="left", color=INK, parse_math=False)
        panel.set_ylim(-0.03, 1.05)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=7)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    for panel in axes[-1]:
        panel.set_xlabel("0 onset, 1 offset", fontsize=8)
    figure.supylabel("intensity", fontsize=8)
    return figure


def stream_curves(
    curves: Mapping[str, NDArray[np.floating]], truth: pd.DataFrame, fps: float, title: str,
    true: NDArray[np.floating] | None = None, *, bands: str = "labelled",
) -> Figure:  # fmt: skip
    """Draw the curves [T] of one recording in panels below each other, the intervals of ``truth`` as bands (``bands`` says
    what they are).

    ``curves`` beyond [0, 1] (flow, in px) keep their own scale. ``true`` is drawn into every panel that ends at 1.
    """
    figure = Figure(figsize=(9, 1.2 * len(curves) + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (name, curve), (colour, _) in zip(panels, curves.items(), LINES, strict=False):
        time = np.arange(len(curve)) / fps
        top = max(1.0, float(np.nanmax(curve, initial=0.0)))
        for row in truth.to_dict("records"):
            left, right = (row["onset"] - 0.5) / fps, (row["offset"] + 0.5) / fps
            panel.axvspan(left, right, color=INK, alpha=0.08 if row["class"] == "macro" else 0.2, linewidth=0)
        if true is not None and top == 1:
            panel.fill_between(time, true, color="#009e73", alpha=0.3, linewidth=0)
        panel.plot(time, curve, color=colour, linewidth=1.2)
        panel.set_ylim(0, 1.05 * top)
        panel.set_title(name, fontsize=8, loc="left", color=INK, parse_math=False)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=7)
    panels[-1].set_xlabel("time (s)", fontsize=8)
    known = ", green: true intensity" if true is not None else ""
    figure.suptitle(f"{title}   bands: {bands} macro (light), micro (dark){known}", fontsize=9, parse_math=False)
    return figure
