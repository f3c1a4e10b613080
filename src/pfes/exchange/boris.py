"""Events of BORIS (Behavioral Observation Research Interactive Software), as its menus "export events" write them: TSV or CSV.

Conventions
-----------
Two tables are read. *Tabular events*: a row per event with ``Time`` (s) and a type (column Behavior type, Status or Type): POINT,
or START and STOP, which pair within observation, subject, behavior and media. *Aggregated events*: a row with ``Start (s)`` and
``Stop (s)``; a type POINT, or no time between the two, is a point. Lines above the header, as BORIS 7 writes them, are passed
over. The behavior is the class: macro, micro or neutral, as people write them; other behaviors are ignored with a warning.

Frame f is on screen from its own time to that of frame f + 1: an interval starts at the time of its onset and stops at that of
the frame after its offset. A point is the frame whose time lies nearest. The recording is the one that the media file, or
else the observation, is called after. ``apex`` and ``point`` of an interval stand in the comment, as in ELAN files (see elan).

References
----------
https://boris.readthedocs.io, Export events, Export aggregated events
"""

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from pfes.base import names, store
from pfes.base.errors import InputError
from pfes.datasets.sheets import number
from pfes.exchange.elan import MARKS, mark_of, marks_in_words
from pfes.media.clock import Clock

COLUMNS = (
    "Observation id", "Media file name", "FPS (frame/s)", "Subject", "Behavior", "Behavior type", "Start (s)", "Stop (s)",
    "Duration (s)", "Comment start",
)  # fmt: skip
MEDIA = ("media file name", "media file path", "media file")
TYPES = ("behavior type", "status", "type")
COMMENTS = ("comment", "comment start", "comments")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One event: the line of its row, the names of its recording, its class, times in s (``stop`` None: a point), comment."""

    line: int
    recordings: tuple[str, ...]
    kind: str
    start: float
    stop: float | None
    comment: str


def write(labels: pd.DataFrame, videos: pd.DataFrame, clocks: Mapping[str, Clock], path: Path) -> None:
    """Write labels (annotations.LABEL_COLUMNS) as aggregated events; tab-separated unless ``path`` ends in .csv."""
    files = videos.set_index("video_id")["path"]
    rows: list[tuple[Any, ...]] = []
    for row in labels.to_dict("records"):
        clock, video_id = clocks[row["video_id"]], row["video_id"]
        head = (video_id, Path(files[video_id]).name, f"{clock.fps:g}", row["subject"], row["class"])
        if pd.isna(row["native_onset"]):
            rows.append((*head, "POINT", *_times(clock, row["native_point"], row["native_point"]), ""))
            continue
        comment = ", ".join(marks_in_words(row, clock))
        rows.append((*head, "STATE", *_times(clock, row["native_onset"], row["native_offset"] + 1), comment))
    text = io.StringIO()
    writer = csv.writer(text, delimiter="," if path.suffix == ".csv" else "\t", lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    with store.atomic(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _times(clock: Clock, start: int, stop: int) -> tuple[str, str, str]:
    begin, end = (float(time) for time in clock.seconds(np.array([start, stop])))
    return f"{begin:.6f}", f"{end:.6f}", f"{end - begin:.6f}"


def read(path: Path) -> list[Event]:
    """Return the events of a file whose behavior is a class, in the order of their start.

    Raises
    ------
    InputError
        The file is no export of events, a time is no number, or a START has no STOP.
    """
    rows = list(_rows(path))
    ignored = sorted({cells["behavior"] for _, cells in rows if names.kind_of(cells["behavior"]) is None})
    if ignored:
        log.warning("%s: behaviors ignored: %s; only macro, micro and neutral are read", path, ", ".join(ignored))
    own = [(line, cells) for line, cells in rows if names.kind_of(cells["behavior"])]
    events = list(_aggregated(path, own) if rows and "start (s)" in rows[0][1] else _tabular(path, own))
    return sorted(events, key=lambda event: (event.start, event.line))


def frames(event: Event, clock: Clock) -> dict[str, int | None]:
    """Return onset, apex, offset and point of an event in native frames."""
    if event.stop is None:
        return {"onset": None, "apex": None, "offset": None, "point": _frame(clock, event.start)}
    onset, after = _frame(clock, event.start), _frame(clock, event.stop)
    offset = max(onset, after - 1)
    found: dict[str, int | None] = {"onset": onset, "offset": offset}
    for name in MARKS:
        time = mark_of(name, event.comment, f"line {event.line}", 1000 * event.start, 1000 * event.stop)
        found[name] = None if pd.isna(time) else min(max(_frame(clock, time), onset), offset)
    return found


def _frame(clock: Clock, second: float) -> int:
    return int(clock.frames(np.array([second]))[0])


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, cells by column in lower case) of the rows below the header."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected events as BORIS exports them, TSV or CSV")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8; export the events from BORIS as TSV or CSV") from error
    for place, line in enumerate(lines):
        delimiter = max("\t,;", key=line.count)
        header = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        if "behavior" in header and ({"time"} & set(header) or {"start (s)", "stop (s)"} <= set(header)):
            for number_, cells in enumerate(csv.reader(lines[place + 1 :], delimiter=delimiter), place + 2):
                if len(cells) <= header.index("behavior") and any(cell.strip() for cell in cells):
                    raise InputError(
                        f"{path}: line {number_} has {len(cells)} cells, the header {len(header)}; is the file cut short? export it again"
                    )
                if any(cell.strip() for cell in cells):
                    found = dict(zip(header, (cell.strip() for cell in cells), strict=False))
                    yield number_, dict.fromkeys(header, "") | found
            return
    raise InputError(
        f"{path}: no header with Behavior and Time, or with Behavior, Start (s) and Stop (s); expected events as BORIS exports them"
    )


def _tabular(path: Path, rows: Sequence[tuple[int, Mapping[str, str]]]) -> Iterator[Event]:
    open_: dict[tuple[str, ...], tuple[int, Mapping[str, str]]] = {}
    for line, cells in rows:
        kind = _cell(cells, TYPES).upper()
        key = tuple(cells.get(name, "") for name in ("observation id", "subject", "behavior")) + (_cell(cells, MEDIA),)
        if kind == "START":
            if key in open_:
                raise InputError(
                    f"{path}: line {line}: {cells['behavior']} starts again before it stops (line {open_[key][0]})"
                )
            open_[key] = line, cells
        elif kind == "STOP":
            if key not in open_:
                raise InputError(f"{path}: line {line}: {cells['behavior']} stops, but did not start before")
            first, start = open_.pop(key)
            yield _event(first, start, _seconds(path, first, start, "time"), _seconds(path, line, cells, "time"))
        elif kind == "POINT":
            yield _event(line, cells, _seconds(path, line, cells, "time"), None)
        else:
            raise InputError(f"{path}: line {line}: type {kind!r}, expected POINT, START or STOP")
    for line, cells in open_.values():
        raise InputError(f"{path}: line {line}: {cells['behavior']} starts and never stops; close it in BORIS")


def _aggregated(path: Path, rows: Sequence[tuple[int, Mapping[str, str]]]) -> Iterator[Event]:
    for line, cells in rows:
        start = _seconds(path, line, cells, "start (s)")
        point = _cell(cells, TYPES).upper() == "POINT"
        stop = start if point else _seconds(path, line, cells, "stop (s)")
        if stop < start:
            raise InputError(f"{path}: line {line}: stops at {stop:g} s, before it starts at {start:g} s")
        yield _event(line, cells, start, None if point or stop == start else stop)


def _event(line: int, cells: Mapping[str, str], start: float, stop: float | None) -> Event:
    media = _cell(cells, MEDIA).replace("file://", "")
    stem = (PureWindowsPath(media) if "\\" in media else PurePosixPath(media)).stem
    recordings = tuple(names.clean(name) for name in (stem, cells.get("observation id", "")) if name)
    return Event(line, recordings, str(names.kind_of(cells["behavior"])), start, stop, _cell(cells, COMMENTS))


def _cell(cells: Mapping[str, str], columns: Sequence[str]) -> str:
    return next((cells[name] for name in columns if cells.get(name)), "")


def _seconds(path: Path, line: int, cells: Mapping[str, str], column: str) -> float:
    value = number(cells.get(column, ""))
    if value is None or value < 0:
        raise InputError(f"{path}: line {line}: {column} {cells.get(column, '')!r}, expected seconds")
    return value
