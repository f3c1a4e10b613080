"""What one row of an expressions sheet says: a class, and one frame, or an interval, or both.

Conventions
-----------
A row counts in frames (``onset``, ``apex``, ``offset``, ``point``) or in seconds (``onset_s``, ...), never in both. Frames
are native and from 0 here, whatever number the sheet gives to the first; a second stands for the frame whose time lies
nearest to it. Intervals are inclusive.

An expression (macro, micro) needs ``point``, ``apex`` or both ends. With both ends it is an interval. Without, it is a *click*:
its one frame is ``point``, or else ``apex``; a single end says nothing that is used. A stretch without expression (neutral)
needs both ends and has no click.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pfes.base.errors import InputError
from pfes.base.names import kind_of
from pfes.base.records import CLASSES, NEUTRAL
from pfes.datasets.sheets import blank, number, whole
from pfes.media.clock import Clock

MARKS = ("onset", "apex", "offset", "point")
SECONDS = tuple(f"{name}_s" for name in MARKS)
NO_APEX = -1  # what sheets hold, beside sheets.NO_VALUE, where none was annotated


@dataclass(frozen=True)
class Mark:
    """The class of a row and its frames, or seconds; None for what it does not say."""

    kind: str
    onset: float | None
    apex: float | None
    offset: float | None
    point: float | None
    seconds: bool = False

    @property
    def interval(self) -> bool:
        """Whether both ends are known."""
        return self.onset is not None and self.offset is not None

    @property
    def click(self) -> float | None:
        """The one frame (or second) of an expression: its point, or else its apex."""
        return self.apex if self.point is None else self.point

    def frames(self, clock: Clock) -> dict[str, int | None]:
        """Return the native frame of each of MARKS."""
        given = {name: getattr(self, name) for name in MARKS}
        return {name: None if value is None else self._frame(value, clock) for name, value in given.items()}

    def _frame(self, value: float, clock: Clock) -> int:
        return int(clock.frames(np.array([value]))[0]) if self.seconds else int(value)


def read_mark(cells: Mapping[str, Any] | pd.Series, first: int) -> Mark:
    """Return what a row says; ``first`` is the number that the sheet gives to the first frame.

    Raises
    ------
    InputError
        Another class, no frame at all, a cell that is no frame number or time, frames out of order, or two units.
    """
    kind = kind_of(cells["class"])
    if kind is None:
        raise InputError(f"class {cells['class']!r}, expected {', '.join(CLASSES)} or {NEUTRAL}")
    written = {name: str(cells.get(name, "")).strip() for name in (*MARKS, *SECONDS)}
    given = {name: text for name, text in written.items() if not _missing(name, text)}
    seconds = [name for name in given if name in SECONDS]
    if seconds and len(seconds) < len(given):
        other = next(name for name in given if name in MARKS)
        raise InputError(f"{other} in frames and {seconds[0]} in seconds; write a row in one of them")
    values = {name.removesuffix("_s"): _value(name, text, first) for name, text in given.items()}
    onset, apex, offset, point = (values.get(name) for name in MARKS)
    mark = Mark(kind, onset, apex, offset, point, seconds=bool(seconds))
    _check(mark, given)
    return mark


def _missing(name: str, text: str) -> bool:
    return blank(text) or (name == "apex" and number(text) == NO_APEX)


def _value(name: str, text: str, first: int) -> float:
    if name in SECONDS:
        time = number(text)
        if time is None or not 0 <= time < 1e9:
            raise InputError(f"{name} {text!r}, expected a time from 0 on, s")
        return time
    frame = whole(text)
    if frame is None or not first <= frame < 1e9:
        hint = f", not seconds (those are {name}_s)" if frame is None and number(text) is not None else ""
        raise InputError(f"{name} {text!r}, expected a frame number from {first} on{hint}")
    return frame - first


def _check(mark: Mark, given: Mapping[str, str]) -> None:
    said = {name.removesuffix("_s"): text for name, text in given.items()}
    onset, offset = mark.onset, mark.offset
    if mark.kind == NEUTRAL and (not mark.interval or mark.click is not None):
        raise InputError("a neutral stretch has an onset and an offset, and neither apex nor point")
    if not mark.interval and mark.click is None:
        raise InputError("no frame: expected point, or apex, or both onset and offset")
    if onset is not None and offset is not None and onset > offset:
        raise InputError(f"onset {said['onset']} > offset {said['offset']}")
    for name in ("apex", "point"):
        value = getattr(mark, name)
        before = value is not None and onset is not None and value < onset
        if before or (value is not None and offset is not None and value > offset):
            ends = f"{said.get('onset', '')}..{said.get('offset', '')}"
            raise InputError(f"{name} {said[name]} lies outside of {ends}")
