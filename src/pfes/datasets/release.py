"""What an adapter returns: a dataset as released, with native frames, before any recording is opened."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pfes.base.records import Video

LABEL_COLUMNS = (
    "dataset", "subject", "video", "video_id", "instance", "class", "native_onset", "native_apex", "native_offset", "row",
)  # fmt: skip
REPAIR_COLUMNS = ("row", "video_id", "column", "found", "value", "rule")
REFUSAL_COLUMNS = ("row", "video_id", "reason")
BLINK_COLUMNS = (
    "dataset", "subject", "video", "video_id", "native_onset", "native_apex", "native_offset", "row",
)  # fmt: skip
CLICK_LABELS = ("dataset", "subject", "video", "video_id", "instance", "class", "native_frame", "row")
NEUTRAL_LABELS = ("dataset", "subject", "video", "video_id", "native_onset", "native_offset", "row")
BAD_BLINK = "blink that cannot be used"  # the rule of its repair: blinks are no labels, none is refused


@dataclass(frozen=True)
class Release:
    """Videos and labels of a dataset.

    videos
        every recording, with or without labels; an empty ``path`` where only the labels were read.
    expressions
        LABEL_COLUMNS; native frames, 0-based, inclusive; ``instance`` numbers all rows from 0; ``row`` counts in the sheet.
    repairs
        REPAIR_COLUMNS; a cell that was changed, with the rule that changed it. A row that is odd but stays as it is has
        the value ``kept``, one that a rule leaves out on purpose ``left out``.
    refusals
        REFUSAL_COLUMNS; a row that cannot be used, with the reason.
    sources
        the label files that were read.
    first_frame
        number that the labels give to the first frame.
    by_file_number
        in a folder of images the labels count in the numbers of the files, which may have gaps and start anywhere, and an
        offset beyond the last frame is repaired: official releases, and sheets that say so. Otherwise labels count frames.
    blinks
        BLINK_COLUMNS, where the release labels them: eye blinks, which are no expressions.
    clicks, neutral
        CLICK_LABELS, NEUTRAL_LABELS: expressions without onset or offset, and stretches marked as without expression.

    In ``expressions``, ``clicks`` and ``neutral`` a sheet may count seconds: then there are columns ``onset_s``, ``frame_s``
    and so on, and where they hold a number the native frame beside is not yet known (-1).
    """

    videos: tuple[Video, ...]
    expressions: pd.DataFrame
    repairs: pd.DataFrame
    refusals: pd.DataFrame
    sources: tuple[str, ...] = ()
    first_frame: int = 0
    by_file_number: bool = False
    blinks: pd.DataFrame | None = None
    clicks: pd.DataFrame = field(default_factory=lambda: empty(CLICK_LABELS))
    neutral: pd.DataFrame = field(default_factory=lambda: empty(NEUTRAL_LABELS))

    @property
    def labelled(self) -> list[str]:
        """Return the subject of every expression, with or without an interval."""
        return [*self.expressions["subject"], *self.clicks["subject"]]


def empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table without rows."""
    whole = {name for name in columns if name in ("row", "instance") or name.startswith("native_")}
    return pd.DataFrame({column: pd.Series(dtype="int64" if column in whole else "object") for column in columns})


def table(rows: list[tuple[object, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table of ``rows``; what was found and what was put is text, so that any cell fits."""
    made = pd.DataFrame(rows, columns=list(columns)) if rows else empty(columns)
    return made.astype({column: str for column in ("found", "value") if column in columns})


def joined(first: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both tables in the order of the sheet; an empty one does not change the types."""
    parts = [part for part in (first, more) if len(part)] or [first]
    return pd.concat(parts, ignore_index=True).sort_values("row", kind="stable", ignore_index=True)


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
