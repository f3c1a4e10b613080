"""Draw the figures of a run's continuous intensity from its files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pfes.base import store
from pfes.drawing import figures
from pfes.intensity.comparison import CLIP_KEY, Beside
from pfes.intensity.figures import LINES, clip_curves, stream_curves

SHOWN = 12  # clips


def clips_figure(
    curve_paths: Mapping[str, Sequence[Path | str]], truth_paths: Mapping[str, Path | str] | None = None
) -> Figure:
    """Draw up to SHOWN clips, evenly over the table, with as many systems as can be told apart, the first ones.

    ``curve_paths``: system -> the files of its folds (one seed).
    """
    tables = {
        name: pd.concat([store.read_table(path, "intensity_curves") for path in paths], ignore_index=True)
        for name, paths in list(curve_paths.items())[: len(LINES)]
    }
    first = next(iter(tables.values()))
    for name, table in tables.items():
        first[name] = table["predicted"]  # same clips in the same order in every system
    groups = [part for _, part in first.groupby(CLIP_KEY, sort=True)]
    chosen = [
        groups[i] for i in np.unique(np.linspace(0, len(groups) - 1, min(SHOWN, len(groups))).round().astype(int))
    ]
    truth = {video: store.read(path, "truth")["intensity"] for video, path in (truth_paths or {}).items()}
    true = [_at(part, truth.get(str(part["video_id"].iloc[0]))) for part in chosen]
    titles = [f"{part['video_id'].iloc[0]} {part['class'].iloc[0]}" for part in chosen]
    return clip_curves(chosen, list(tables), true, titles)


def draw_clips(
    curve_paths: Mapping[str, Sequence[Path | str]],
    out: Path | str,
    truth_paths: Mapping[str, Path | str] | None = None,
) -> None:
    """Write ``clips_figure`` as SVG."""
    _write(out, figures.svg(clips_figure(curve_paths, truth_paths), label="Intensity of clips"))


def draw_streams(
    stream_paths: Sequence[Path | str], videos_path: Path | str, expressions_path: Path | str, out: Path | str,
    beside: Beside = Beside(),
) -> None:  # fmt: skip
    """Draw every recording's continuous intensity, GIM's intensity and the flow magnitude to the folder ``out``, as SVG."""
    videos = store.read_table(videos_path, "videos")
    rates: dict[str, float] = dict(videos[["video_id", "sampled_fps"]].to_numpy().tolist())
    expressions = store.read_table(expressions_path, "expressions")
    gim = store.read_videos([path for paths in beside.scores.values() for path in paths], "scores", "intensity")
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in stream_paths:
        for name, curve in store.read(path, "stream").items():
            video_id = name.partition("/")[2]
            curves = {"continuous intensity": curve}
            if video_id in gim:
                curves["GIM intensity"] = gim[video_id]
            if video_id in beside.snippets:
                curves["flow magnitude, px"] = beside.magnitude(video_id)[:, 0]
            truth = beside.truth.get(video_id)
            figure = stream_curves(
                curves, expressions[expressions["video_id"] == video_id], rates[video_id],
                video_id, None if truth is None else store.read(truth, "truth")["intensity"],
            )  # fmt: skip
            _write(Path(out) / f"{video_id}.svg", figures.svg(figure, label=f"Intensity of {video_id}"))


def _at(part: pd.DataFrame, curve: np.ndarray | None) -> np.ndarray | None:
    return None if curve is None else np.interp(part["frame"], np.arange(len(curve)), curve)


def _write(path: Path | str, text: str) -> None:
    with store.atomic(path) as temporary:
        temporary.write_text(text)
