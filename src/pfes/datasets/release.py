"""What an adapter returns: a dataset as released, with native frames, before any recording is opened."""

from dataclasses import dataclass

import pandas as pd

from pfes.records import Video

LABEL_COLUMNS = (
    "dataset", "subject", "video", "video_id", "instance", "class", "native_onset", "native_apex", "native_offset", "row",
)  # fmt: skip
REPAIR_COLUMNS = ("row", "video_id", "column", "found", "value", "rule")
REFUSAL_COLUMNS = ("row", "video_id", "reason")


@dataclass(frozen=True)
class Release:
    """Videos and labels of a dataset.

    videos
        every recording, with or without labels.
    expressions
        LABEL_COLUMNS; native frames, 0-based, inclusive; ``instance`` numbers all rows from 0; ``row`` counts in the sheet.
    repairs
        REPAIR_COLUMNS; a cell that was changed, with the rule that changed it.
    refusals
        REFUSAL_COLUMNS; a row that was left out, with the reason.
    """

    videos: tuple[Video, ...]
    expressions: pd.DataFrame
    repairs: pd.DataFrame
    refusals: pd.DataFrame


def empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table without rows."""
    return pd.DataFrame({column: pd.Series(dtype="int64" if column == "row" else "object") for column in columns})
