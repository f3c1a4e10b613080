"""How far two coders of the same recordings agree: frame by frame, and event by event.

Conventions
-----------
Frames are native, intervals inclusive. A click without interval stands for the frames within ``within_s`` / 2 of it, so that
two clicks on one expression share frames. Neutral stretches count as frames without expression. Where expressions of a coder
overlap, a frame is that of the one listed later.

Measures
--------
kappa    Cohen's, (p_o - p_e) / (1 - p_e), over all frames of all recordings with the labels none, macro, micro; of one
         class, that class against the rest. NaN where chance alone agrees in everything.
events   paired one to one within a class, nearest first: two intervals of IoU >= .5, or else two clicks (point, apex or
         middle) no more than ``within_s`` apart. agreement = 2 pairs / (events of both). apart_s: mean distance of the
         clicks of pairs, s.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from pfes.base.errors import InputError
from pfes.base.intervals import as_intervals, iou
from pfes.base.records import CLASSES, NEUTRAL, RESULT_CLASSES
from pfes.datasets.generic import read_videos
from pfes.labelling.sheet import Row, click_of, read_rows
from pfes.media import decode
from pfes.media.clock import Clock

Labels = NDArray[np.int64]


def agreement_of(first: Path, second: Path, videos: Path, *, within_s: float = 0.5) -> pd.DataFrame:
    """Return a row per class and overall: class, first, second, pairs, agreement, apart_s, kappa.

    Raises
    ------
    InputError
        A sheet cannot be read, or names a recording that ``videos`` lacks.
    """
    listed = read_videos(videos)
    clocks = [decode.recording_clock(video.path, video.fps) for video in listed]
    lengths = [decode.count_frames(video.path) for video in listed]
    coders = []
    for path in (first, second):
        if not path.is_file():
            raise InputError(f"{path}: no such sheet; expected one that pfes label wrote")
        others, rows = read_rows(path, listed, clocks, lengths)
        if others:
            raise InputError(
                f"{path}: video {others[0]['video']} of {others[0]['subject']} is not in {videos}; add it there"
            )
        coders.append(rows)
    return compare(coders[0], coders[1], clocks, lengths, within_s)


def compare(
    first: list[Row], second: list[Row], clocks: list[Clock], lengths: list[int], within_s: float = 0.5
) -> pd.DataFrame:
    """Return the agreement of two coders' rows on recordings of ``lengths`` frames; see ``agreement_of``."""
    frames = [
        np.concatenate([frame_labels(_of(rows, number), length, clocks[number].fps, within_s) for number, length in enumerate(lengths)])
        for rows in (first, second)
    ]  # fmt: skip
    found, distances = [], dict.fromkeys(CLASSES, np.empty(0))
    for kind in CLASSES:
        apart = []
        for number, clock in enumerate(clocks):
            pair = [[row for row in _of(rows, number) if row["class"] == kind] for rows in (first, second)]
            apart += [distance for _, _, distance in match_events(pair[0], pair[1], clock, within_s)]
        distances[kind] = np.array(apart)
        counts = [sum(row["class"] == kind for row in rows) for rows in (first, second)]
        place = CLASSES.index(kind) + 1
        found.append(_row(kind, counts, distances[kind], kappa(frames[0] == place, frames[1] == place)))
    totals = [sum(row["class"] != NEUTRAL for row in rows) for rows in (first, second)]
    everything = np.concatenate(list(distances.values()))
    found.append(_row(RESULT_CLASSES[-1], totals, everything, kappa(frames[0], frames[1])))
    return pd.DataFrame(found)


def frame_labels(rows: list[Row], length: int, fps: float, within_s: float) -> Labels:
    """Return what each frame is, [length]: 0 none, 1 macro, 2 micro."""
    labels = np.zeros(length, np.int64)
    for row in rows:
        if row["class"] == NEUTRAL:
            continue
        onset, offset = row["onset"], row["offset"]
        if onset is None or offset is None:
            half = int(within_s * fps / 2)
            onset, offset = max(0, click_of(row) - half), click_of(row) + half
        labels[onset : offset + 1] = CLASSES.index(row["class"]) + 1
    return labels


def kappa(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    """Return Cohen's kappa of two label arrays [N]; NaN where it is not defined.

    >>> kappa(np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0]))
    0.5
    """
    kinds = np.unique(np.concatenate([first, second]))
    observed = float(np.mean(first == second)) if len(first) else np.nan
    expected = float(sum(np.mean(first == kind) * np.mean(second == kind) for kind in kinds)) if len(first) else np.nan
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def match_events(first: list[Row], second: list[Row], clock: Clock, within_s: float) -> list[tuple[int, int, float]]:
    """Return (place in first, place in second, distance of clicks in s) of paired events of one class, nearest first."""
    near = []
    for i, one in enumerate(first):
        for j, two in enumerate(second):
            apart = float(abs(np.diff(clock.seconds(np.array([click_of(one), click_of(two)])))[0]))
            if _overlap(one, two) >= 0.5 or (not _whole(one, two) and apart <= within_s):
                near.append((apart, i, j))
    pairs: list[tuple[int, int, float]] = []
    for apart, i, j in sorted(near):
        if all(i != one and j != two for one, two, _ in pairs):
            pairs.append((i, j, apart))
    return pairs


def agreement_table(found: pd.DataFrame) -> Table:
    """Return the agreement for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, title="Agreement of two coders")
    for name in ("class", "first", "second", "both", "agreement", "apart (s)", "kappa (frames)"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for row in found.to_dict("records"):
        told = [
            f"{row[name]:.3f}" if np.isfinite(row[name]) else "\N{EN DASH}"
            for name in ("agreement", "apart_s", "kappa")
        ]
        table.add_row(row["class"], *(str(row[name]) for name in ("first", "second", "pairs")), *told)
    return table


def _row(kind: str, counts: list[int], apart: NDArray[np.float64], frames: float) -> dict[str, object]:
    both = sum(counts)
    share = 2 * len(apart) / both if both else float("nan")
    mean = float(apart.mean()) if len(apart) else float("nan")
    return {"class": kind, "first": counts[0], "second": counts[1], "pairs": len(apart), "agreement": share, "apart_s": mean, "kappa": frames}  # fmt: skip


def _of(rows: list[Row], number: int) -> list[Row]:
    return [row for row in rows if row["video"] == number]


def _whole(one: Row, two: Row) -> bool:
    return all(row[name] is not None for row in (one, two) for name in ("onset", "offset"))


def _overlap(one: Row, two: Row) -> float:
    """Return the IoU of two intervals, 0 where one has none."""
    if not _whole(one, two):
        return 0.0
    first, second = (as_intervals([row["onset"]], [row["offset"]]) for row in (one, two))
    return float(iou(first, second)[0, 0])
