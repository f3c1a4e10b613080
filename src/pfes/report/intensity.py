"""What the report shows of continuous intensity (``pfes.intensity``): the table of systems and curves of clips."""

from typing import Any

import numpy as np
from markupsafe import Markup

from pfes.base import store
from pfes.drawing import figures, plotting
from pfes.intensity import recordings
from pfes.intensity.comparison import METRICS
from pfes.intensity.drawing import clips_figure
from pfes.report.files import RunFiles
from pfes.report.tables import number


def intensity_section(files: RunFiles) -> dict[str, Any] | None:
    """Return the rows over both classes, by class and of whole recordings, and the figure of clips; None without intensity.

    A row holds system, class, reference, clips, constant, and for each metric its mean with its interval as text.
    """
    found = files.intensity
    if found is None:
        return None
    rows = []
    for row in figures.rows(store.read_table(found.metrics, "intensity_metrics")):
        cells = {metric: _with_interval(row, metric) for metric in METRICS}
        spread = row["spearman_seed_sd"]
        rows.append({**row, **cells, "spread": None if np.isnan(spread) else spread})
    whole = [
        {**row, **{metric: _with_interval(row, metric) for metric in recordings.METRICS}}
        for row in figures.rows(store.read_table(found.recordings, "intensity_recording_metrics"))
    ]
    label = "Intensity over clips: labels, truth and predictions"
    return {
        "rows": [row for row in rows if row["class"] == "all"],
        "by_class": [row for row in rows if row["class"] != "all"],
        "recordings": whole,
        "figure": Markup(plotting.svg(clips_figure(found.curves, files.truth), label=label, prefix="i-clips-")),
        "label": label,
    }


def _with_interval(row: dict[str, Any], metric: str) -> str | None:
    if np.isnan(row[metric]):
        return None
    if np.isnan(row[f"{metric}_low"]):  # a published figure
        return number(row[metric])
    return f"{number(row[metric])} ({number(row[f'{metric}_low'])} to {number(row[f'{metric}_high'])})"
