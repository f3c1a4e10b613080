"""From rows of a released sheet to labels: what the three releases share in repairs, refusals and notes.

Conventions
-----------
Cells hold the release's frame numbers, inclusive; ``first_frame`` is the number of the first frame. A length counts
both ends: offset - onset + 1.

Rules
-----
A number that is not whole is rounded, ties to even. An apex that is missing (empty, 0, -1) or outside of its instance
becomes the midpoint. A row that repeats another is left out. Overlapping instances of one class, instances of one
frame and lengths that do not fit the class are kept and noted. A row without a video, a class or frame numbers, or
with onset > offset, is refused; the others go on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pfes.base.errors import InputError
from pfes.base.records import CLASSES, Video
from pfes.datasets.release import LABEL_COLUMNS, REFUSAL_COLUMNS, REPAIR_COLUMNS, records, table
from pfes.datasets.sheets import number, text

FRAMES = ("onset", "apex", "offset")
MICRO_S = 0.5  # the limit between micro- and macro-expressions, s

Frames = dict[str, int]
Fix = tuple[str, int, str]  # column, new value, rule
Mend = Callable[["Row", Frames], Iterator[Fix]]


@dataclass(frozen=True)
class Row:
    """One row of a label sheet: where it is, whose it is, and its cells; ``problem`` says why it cannot be used."""

    row: int
    subject: str
    video: str
    label: str
    cells: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class Labels:
    """The labels of a sheet: LABEL_COLUMNS, REPAIR_COLUMNS, REFUSAL_COLUMNS; ``named`` are all videos that it names."""

    expressions: pd.DataFrame
    repairs: pd.DataFrame
    refusals: pd.DataFrame
    named: tuple[tuple[str, str], ...]


def collect(
    dataset: str,
    rows: Iterable[Row],
    *,
    fps: float,
    first_frame: int,
    mend: Mend = lambda row, frames: iter(()),
    longest_s: Mapping[str, float | None] | None = None,
) -> Labels:
    """Return the labels of ``rows``.

    Parameters
    ----------
    mend : yields the release's own repairs of a row's {onset, apex, offset}, each applied before the next is asked for.
    longest_s : greatest length of a class, s; longer instances are left out.
    """
    labels: list[tuple[Any, ...]] = []
    repairs: list[tuple[Any, ...]] = []
    refusals: list[tuple[Any, ...]] = []
    named: dict[tuple[str, str], None] = {}
    for row in rows:
        video_id = "" if row.problem else Video(dataset, row.subject, row.video, "").video_id
        try:
            if row.problem:
                raise InputError(row.problem)
            named[row.subject, row.video] = None
            frames, fixes = _mended(row, mend, first_frame)
        except InputError as error:
            refusals.append((row.row, video_id, str(error)))
            continue
        repairs += [(row.row, video_id, *fix) for fix in fixes]
        native = [frames[name] - first_frame for name in FRAMES]
        labels.append((dataset, row.subject, row.video, video_id, 0, row.label, *native, row.row))
    expressions = table(labels, LABEL_COLUMNS)
    for choose in (repeated, lambda kept: too_long(kept, fps, longest_s or {})):
        expressions, notes = choose(expressions)
        repairs += notes
    repairs += [*overlaps(expressions, first_frame), *odd_lengths(expressions, fps)]
    expressions["instance"] = np.arange(len(expressions))
    return Labels(expressions, table(repairs, REPAIR_COLUMNS), table(refusals, REFUSAL_COLUMNS), tuple(named))


def class_of(cell: Any) -> str:
    """Return the class that a cell such as ``Macro-expression`` or ``Micro - 1/2`` names, "" for anything else."""
    return next((name for name in CLASSES if text(cell).lower().startswith(name)), "")


def repeated(labels: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[Any, ...]]]:
    """Return the labels without those that repeat an earlier row, and a note on each of these."""
    first: dict[tuple[Any, ...], int] = {}
    again, notes = [], []
    for label in records(labels):
        key = tuple(label[name] for name in ("video_id", "class", "native_onset", "native_apex", "native_offset"))
        again.append(key in first)
        if key in first:
            found = f"same as row {first[key]}"
            notes.append((label["row"], label["video_id"], "row", found, "left out", "row that repeats another"))
        first.setdefault(key, label["row"])
    return labels[~np.array(again, bool)].reset_index(drop=True), notes


def too_long(
    labels: pd.DataFrame, fps: float, longest_s: Mapping[str, float | None]
) -> tuple[pd.DataFrame, list[tuple[Any, ...]]]:
    """Return the labels that are at most ``longest_s`` [class] long, and a note on each of the others."""
    over, notes = [], []
    for label in records(labels):
        seconds, limit = _frames(label) / fps, longest_s.get(label["class"])
        over.append(limit is not None and seconds > limit)
        if over[-1]:
            rule = f"{label['class']} longer than {limit:g} s"
            notes.append((label["row"], label["video_id"], "row", f"{seconds:.2f} s", "left out", rule))
    return labels[~np.array(over, bool)].reset_index(drop=True), notes


def overlaps(labels: pd.DataFrame, first_frame: int) -> Iterator[tuple[Any, ...]]:
    """Yield a note on every instance that shares frames with an earlier one of its class and video."""
    furthest: dict[tuple[str, str], dict[str, Any]] = {}  # (video, class) -> instance that reaches furthest so far
    for label in records(labels.sort_values(["native_onset", "row"])):
        key = label["video_id"], label["class"]
        before = furthest.setdefault(key, label)
        if before is not label and label["native_onset"] <= before["native_offset"]:
            onset, offset = label["native_onset"] + first_frame, label["native_offset"] + first_frame
            found = f"{onset}-{offset}, as row {before['row']}"
            yield label["row"], label["video_id"], "row", found, "kept", "overlaps another of its class"
        if label["native_offset"] > before["native_offset"]:
            furthest[key] = label


def odd_lengths(labels: pd.DataFrame, fps: float = 0.0) -> Iterator[tuple[Any, ...]]:
    """Yield a note on every instance of one frame or, where ``fps`` is given, of a length that its class does not have."""
    for label in records(labels):
        length, kind = _frames(label), label["class"]
        found = (label["row"], label["video_id"], "row", f"{length} frames", "kept")
        if length == 1:
            yield *found, "instance of one frame"
        elif fps and kind == "macro" and length < MICRO_S * fps:
            yield *found, f"macro shorter than {MICRO_S} s"
        elif fps and kind == "micro" and length > MICRO_S * fps:
            yield *found, f"micro longer than {MICRO_S} s"


def _frames(label: Mapping[str, Any]) -> int:
    return int(label["native_offset"] - label["native_onset"] + 1)


def _mended(row: Row, mend: Mend, first: int) -> tuple[Frames, list[tuple[str, Any, int, str]]]:
    """Return usable frame numbers of a row and its repairs (column, found, value, rule)."""
    if row.label not in CLASSES:
        raise InputError(f"class {row.label!r}, expected a macro- or micro-expression")
    frames, fixes = _whole(row)
    for column, value, rule in _all_fixes(row, frames, mend):
        found = text(row.cells.get(column)) if column not in {fix[0] for fix in fixes} else str(frames[column])
        fixes.append((column, found, value, rule))
        frames[column] = value
    if frames["onset"] > frames["offset"]:
        raise InputError(f"onset {frames['onset']} > offset {frames['offset']}")
    if frames["onset"] < first:
        raise InputError(f"onset {frames['onset']}, expected a frame number from {first} on")
    return frames, fixes


def _whole(row: Row) -> tuple[Frames, list[tuple[str, Any, int, str]]]:
    """Return whole numbers, an empty apex as -1, and the roundings."""
    frames: Frames = {}
    fixes: list[tuple[str, Any, int, str]] = []
    for column in FRAMES:
        cell = row.cells.get(column)
        value = -1.0 if column == "apex" and not text(cell) else number(cell)
        if value is None:
            raise InputError(f"{column} {text(cell)!r}, expected a frame number")
        frames[column] = int(np.rint(value))
        if frames[column] != value:
            fixes.append((column, text(cell), frames[column], "not whole: rounded"))
    return frames, fixes


def _all_fixes(row: Row, frames: Frames, mend: Mend) -> Iterator[Fix]:
    """Yield the release's own repairs, then the midpoint for an apex that lies outside."""
    yield from mend(row, frames)
    onset, apex, offset = (frames[name] for name in FRAMES)
    if onset <= offset and not onset <= apex <= offset:
        where = f"apex {apex}" if apex in (0, -1) else "apex before onset" if apex < onset else "apex after offset"
        yield "apex", (onset + offset) // 2, f"{where}: midpoint"
