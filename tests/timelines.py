"""Timelines drawn as text, and the tables they make; shared by the tests of matching, protocols and counts.

A timeline is a string, one letter a frame: every run of ``#`` is an interval. Overlapping intervals stand on lines of
their own. ``truth`` are the instances, ``found`` the proposals.
"""

import numpy as np
import pandas as pd

from pfes.base import intervals


def draw(*lines: str) -> intervals.Intervals:
    """Return the intervals of all lines."""
    return np.concatenate([intervals.runs(np.array([letter == "#" for letter in line], bool)) for line in lines])


def table(rows: list[tuple[str, str, int, int]]) -> pd.DataFrame:
    """Return rows of (video_id, class, onset, offset) as a table; it serves as expressions and as proposals."""
    frame = pd.DataFrame(rows, columns=["video_id", "class", "onset", "offset"])
    frame = frame.astype({"onset": "int64", "offset": "int64", "video_id": object, "class": object})
    return frame.assign(instance=np.arange(len(frame)))


def drawn(video_id: str, *, macro: tuple[str, ...] = (), micro: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the table of one video from timelines of each class, in the order of the lines."""
    rows = [
        (video_id, name, int(onset), int(offset))
        for name, lines in (("macro", macro), ("micro", micro))
        for line in lines
        for onset, offset in draw(line)
    ]
    return table(rows)


def videos(*names: str) -> pd.DataFrame:
    """Return a table of videos; the first letter of a name is its subject."""
    return pd.DataFrame({"subject": [name[0] for name in names], "video_id": list(names)}, dtype=object)
