"""Charts of a run's statistics: F1 with intervals, F1 over IoU, recall by group, precision and recall, kinds of errors.

Conventions
-----------
Tables are those that rule ``evaluate`` writes, by their kind; a chart is drawn where its table is there and not empty.
Experiments differ in colour and in dashes or markers, classes in colour and shape, so that no chart needs colour.
Every function is pure and returns a new matplotlib Figure; see ``pfes.drawing.plotting`` for how it becomes SVG or PDF.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pfes.base.records import CLASSES
from pfes.drawing import figures, plotting
from pfes.drawing.plotting import CLASS_COLOURS, INK

MARKERS = {"macro": "o", "micro": "s", "overall": "D"}
COLOURS = {**CLASS_COLOURS, "overall": INK}
KINDS = {  # of errors: colour and hatch, so that no two look alike with or without colour
    "missed": (INK, ""), "false alarm": ("#009e73", "////"), "wrong class": ("#cc79a7", "xxxx"),
    "boundary": ("#8a6d00", "\\\\\\\\"), "split": ("#56b4e9", "----"), "merged": ("#e69f00", "||||"), "duplicate": ("#f0e442", "++++"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure with its file name, title and caption."""

    name: str
    title: str
    caption: str
    figure: Figure


def charts(tables: Mapping[str, pd.DataFrame]) -> list[Chart]:
    """Return the charts of the tables that are there, in the order of the report."""
    found = []
    for name, kind, title, caption, draw in _CHARTS:
        table = tables.get(kind)
        if table is not None and kind == "recall_by":
            table = table[(table["by"] == name.removeprefix("recall_by_")) & (table["n"] > 0)]
        if table is not None and len(table):
            found.append(Chart(name, title, caption, draw(table)))
    return found


def forest(table: pd.DataFrame) -> Figure:
    """Draw F1 with its interval; columns experiment, class, f1, low, high."""
    names = _names(table)
    figure, (axes,) = plotting.panels(1, 0.62 * len(names) + 0.9)
    for row in figures.rows(table):
        place = names.index(row["experiment"]) + 0.24 * (list(MARKERS).index(row["class"]) - 1)
        colour = COLOURS[row["class"]]
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.6)
        axes.plot([row["f1"]], [place], MARKERS[row["class"]], color=colour, markersize=5.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("F1", color=INK)
    handles = [
        axes.plot([], [], MARKERS[kind], color=COLOURS[kind], label=kind)[0]
        for kind in MARKERS
        if kind in set(table["class"])
    ]
    return plotting.with_legend(figure, handles)


def f1_by_iou(table: pd.DataFrame) -> Figure:
    """Draw F1 over the IoU that a match needs; columns experiment, class, iou, f1."""
    return _lines(table, "iou", "f1", "least IoU of a match", "F1", (*CLASSES, "overall"))


def precision_recall(table: pd.DataFrame) -> Figure:
    """Draw precision over recall as the least score falls; columns experiment, class, recall, precision."""
    return _lines(table, "recall", "precision", "recall", "precision", CLASSES)


def recall_by(table: pd.DataFrame) -> Figure:
    """Draw the recall of groups of instances; columns experiment, class, group, n (above 0), recall."""
    names, kinds = _names(table), [kind for kind in CLASSES if (table["class"] == kind).any()]
    figure, panels = plotting.panels(len(kinds), 2.5)
    for axes, kind in zip(panels, kinds, strict=True):
        here = table[table["class"] == kind]
        groups = [str(group) for group in dict.fromkeys(here["group"])]
        positions = {group: place for place, group in enumerate(groups)}
        for index, name in enumerate(names):
            rows = here[here["experiment"] == name]
            places = [
                positions[str(group)] + 0.5 / max(5, len(names)) * (index - (len(names) - 1) / 2)
                for group in rows["group"]
            ]
            colour, dashes = plotting.curve_style(index)
            style = {"color": colour, "linestyle": dashes, "marker": "osD^v"[index % 5]}
            axes.plot(places, rows["recall"], linewidth=0.9, markersize=5, **style)
        counts = here.drop_duplicates("group").set_index(here.drop_duplicates("group")["group"].astype(str))["n"]
        axes.set_xticks(range(len(groups)), [f"{group}\nn = {counts[group]}" for group in groups], parse_math=False)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.set_ylim(-0.04, 1.04)
        axes.set_title(kind, loc="left", color=INK)
    panels[0].set_ylabel("recall", color=INK)
    return plotting.with_legend(figure, _experiment_handles(panels[0], names, markers=True))


def error_kinds(table: pd.DataFrame) -> Figure:
    """Draw the number of errors of each kind, stacked per experiment; columns experiment, kind."""
    names, kinds = _names(table), list(dict.fromkeys(table["kind"]))
    figure, (axes,) = plotting.panels(1, 0.42 * len(names) + 0.9)
    counts = pd.crosstab(table["experiment"], table["kind"]).reindex(index=names, columns=kinds, fill_value=0)
    left = np.zeros(len(names))
    for kind in kinds:
        colour, hatch = KINDS[kind]
        axes.barh(
            range(len(names)), counts[kind], left=left, height=0.6, label=kind, facecolor=colour, alpha=0.75, edgecolor=INK,
            hatch=hatch, linewidth=0.6,
        )  # fmt: skip
        left += counts[kind].to_numpy()
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("errors", color=INK)
    handles, labels = axes.get_legend_handles_labels()
    return plotting.with_legend(figure, handles, labels)


def review(table: pd.DataFrame) -> Figure:
    """Draw the recall of clicks over the minutes of a review; columns experiment, class, minutes, recall."""
    most = float(table["minutes"].max()) * 1.02
    return _lines(table, "minutes", "recall", "minutes of review", "recall", list(MARKERS), most)


def _lines(
    table: pd.DataFrame, x: str, y: str, x_label: str, y_label: str, kinds: Sequence[str], most: float = 1.0
) -> Figure:
    names, kinds = _names(table), [kind for kind in kinds if (table["class"] == kind).any()]
    figure, panels = plotting.panels(len(kinds), 2.5)
    for axes, kind in zip(panels, kinds, strict=True):
        for index, name in enumerate(names):
            rows = table[(table["experiment"] == name) & (table["class"] == kind)].sort_values(x, kind="stable")
            colour, dashes = plotting.curve_style(index)
            axes.plot(rows[x], rows[y], color=colour, linestyle=dashes, linewidth=1.4)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(0, most)
        axes.set_title(kind, loc="left", color=INK)
        axes.set_xlabel(x_label, color=INK)
    panels[0].set_ylabel(y_label, color=INK)
    return plotting.with_legend(figure, _experiment_handles(panels[0], names))


def _experiment_handles(axes: Axes, names: Sequence[str], *, markers: bool = False) -> list[Any]:
    handles = []
    for index, name in enumerate(names):
        colour, dashes = plotting.curve_style(index)
        style = {"color": colour, "linestyle": dashes, "marker": "osD^v"[index % 5] if markers else ""}
        handles += axes.plot([], [], linewidth=1.4, label=plotting.plain(name), **style)
    return handles


def _names(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in dict.fromkeys(table["experiment"])]


_CHARTS: tuple[tuple[str, str, str, str, Callable[[pd.DataFrame], Figure]], ...] = (
    ("f1", "intervals", "F1 with intervals", "F1 of each class and of both together, with bootstrap intervals over subjects.", forest),
    ("f1_by_iou", "by_iou", "F1 over IoU", "F1 as a match is made to need a larger overlap; 0.5 is the usual choice.", f1_by_iou),
    ("precision_recall", "precision_recall", "Precision and recall", "Precision and recall when proposals of a lower and lower score are let in.", precision_recall),
    ("review", "review", "Recall against minutes of review", "Share of the clicks that are found by the time a reviewer has looked at so many proposals, the surest first.", review),
    ("recall_by_duration", "recall_by", "Recall by duration", "Share of the labelled instances that were found, by their duration; n: instances.", recall_by),
    ("recall_by_amplitude", "recall_by", "Recall by amplitude", "Share of the labelled instances that were found, by their true displacement at the apex, px of the crop; n: instances.", recall_by),
    ("error_kinds", "errors", "Kinds of errors", "Missed instances and false positives by kind, first seed of each experiment.", error_kinds),
)  # fmt: skip
