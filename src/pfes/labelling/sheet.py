"""An expressions sheet that is being filled in: every change is checked, saved at once, and can be undone.

Conventions
-----------
Frames are native, from 0, intervals inclusive. A row is a dictionary of ``id``, ``video`` (number of the recording), ``class`` and
of onset, apex, offset, point, each a frame or None; what it may hold is said in ``pfes.datasets.marks``. Rows of recordings that
are not open, and columns that are not asked for, stay as they are.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import NEUTRAL, Video
from pfes.datasets.generic import EXPRESSION_SHEET, read_sheet
from pfes.datasets.marks import MARKS, SECONDS, read_mark
from pfes.media.clock import Clock

COLUMNS = ("subject", "video", "class", *MARKS)
KEPT_UNDO = 500  # changes that can be undone

Row = dict[str, Any]


class Sheet:
    """The rows of a sheet, held by one page at a time.

    Parameters
    ----------
    videos, clocks, lengths : the open recordings, when their frames are shown, and how many there are.

    Raises
    ------
    InputError
        Another page has the sheet open, or a row of an open recording cannot be used.
    """

    def __init__(self, path: Path, videos: Sequence[Video], clocks: Sequence[Clock], lengths: Sequence[int]) -> None:
        self.path, self._videos, self._clocks, self._lengths = path, videos, clocks, lengths
        self._lock = _held(path)
        try:
            self._others, self.rows = read_rows(path, videos, clocks, lengths)
        except InputError:
            self.close()
            raise
        self._next = len(self.rows)
        self._undo: list[list[Row]] = []

    def close(self) -> None:
        """Let another page open the sheet."""
        self._lock.release()

    def of(self, video: int) -> list[Row]:
        """Return the rows of a recording, by their first frame."""
        return sorted((row for row in self.rows if row["video"] == video), key=_first)

    def add(self, row: Mapping[str, Any]) -> Row:
        """Add a row and save; raises InputError where it cannot be."""
        made = {"id": self._next, "video": int(row["video"]), "class": str(row["class"])}
        made |= {name: None if row.get(name) is None else int(row[name]) for name in MARKS}
        self._check(made, self.rows)
        self._next += 1
        self._save([*self.rows, made])
        return made

    def change(self, identity: int, **cells: Any) -> None:
        """Change cells of the row of that id and save; raises InputError where it cannot be."""
        old = self._find(identity)
        others = [row for row in self.rows if row is not old]
        made = {**old, **cells}
        self._check(made, others)
        self._save([*others, made])

    def delete(self, identity: int) -> None:
        """Delete the row of that id and save."""
        old = self._find(identity)
        self._save([row for row in self.rows if row is not old])

    def undo(self) -> bool:
        """Take back the last change and save; False where there is none."""
        if not self._undo:
            return False
        self._write(self._undo[-1])
        self.rows = self._undo.pop()
        return True

    def _find(self, identity: int) -> Row:
        for row in self.rows:
            if row["id"] == identity:
                return row
        raise InputError("this row is no longer there")

    def _check(self, row: Row, others: Sequence[Row]) -> None:
        cells = {name: "" if row[name] is None else str(row[name]) for name in MARKS}
        mark = read_mark({"class": row["class"], **cells}, 0)
        last = max(row[name] for name in MARKS if row[name] is not None)
        if last >= self._lengths[row["video"]]:
            raise InputError(f"frame {last} lies beyond the last frame {self._lengths[row['video']] - 1}")
        for other in others:
            if other["video"] == row["video"]:
                _check_pair(row, mark.click, other)

    def _save(self, rows: list[Row]) -> None:
        self._write(rows)
        self._undo = [*self._undo[-KEPT_UNDO + 1 :], self.rows]
        self.rows = rows

    def _write(self, rows: Sequence[Row]) -> None:
        kept = sorted(rows, key=lambda row: (row["video"], _first(row)))
        table = [
            {**row, "subject": self._videos[row["video"]].subject, "video": self._videos[row["video"]].video}
            for row in kept
        ]
        extra = [name for name in (*SECONDS, "dataset") if any(row.get(name) for row in self._others)]
        text = io.StringIO()
        writer = csv.DictWriter(text, [*COLUMNS, *extra], restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*table, *self._others])
        with store.atomic(self.path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")


def read_rows(
    path: Path, videos: Sequence[Video], clocks: Sequence[Clock], lengths: Sequence[int]
) -> tuple[list[dict[str, str]], list[Row]]:
    """Return the cells of rows of other recordings, and the rows of ``videos``; none where there is no sheet yet."""
    others: list[dict[str, str]] = []
    rows: list[Row] = []
    if not path.exists():
        return others, rows
    places = {(video.subject, video.video): number for number, video in enumerate(videos)}
    for place, cells in read_sheet(path, EXPRESSION_SHEET).iterrows():
        number = places.get((cells["subject"], cells["video"]))
        if number is None:
            others.append({str(name): text for name, text in cells.items()})
            continue
        try:
            mark = read_mark(cells, 0)
        except InputError as error:
            raise InputError(f"{path}: row {place}: {error}; correct it and open the page again") from error
        frames = mark.frames(clocks[number])
        last = max(frame for frame in frames.values() if frame is not None)
        if last >= lengths[number]:
            raise InputError(
                f"{path}: row {place}: frame {last} lies beyond the last frame {lengths[number] - 1} of"
                f" {videos[number].path}; correct it and open the page again"
            )
        rows.append({"id": len(rows), "video": number, "class": mark.kind, **frames})
    return others, rows


def click_of(row: Row) -> int:
    """Return the one frame of an expression: its point, or else its apex, or else the middle of its interval."""
    click = row["apex"] if row["point"] is None else row["point"]
    return int((row["onset"] + row["offset"]) // 2 if click is None else click)


def _held(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"{path} is open in another label page; close that one, or give another --sheet") from error
    return lock


def _check_pair(row: Row, click: float | None, other: Row) -> None:
    """Raise InputError where two rows of a recording contradict each other."""
    own, theirs = row["class"] == NEUTRAL, other["class"] == NEUTRAL
    place = other["apex"] if other["point"] is None else other["point"]
    if row["class"] == other["class"] and not own and click is not None and click == place:
        raise InputError(f"frame {place} is a {row['class']}-expression already")
    if own and not theirs and any(row["onset"] <= frame <= row["offset"] for frame in _frames(other)):
        raise InputError(f"the stretch holds a {other['class']}-expression at frame {_first(other)}; delete that first")
    if theirs and not own and any(other["onset"] <= frame <= other["offset"] for frame in _frames(row)):
        raise InputError(f"frames {other['onset']} to {other['offset']} are marked as neutral; delete that first")


def _frames(row: Row) -> list[int]:
    return [row[name] for name in MARKS if row[name] is not None]


def _first(row: Row) -> int:
    return min(_frames(row))
