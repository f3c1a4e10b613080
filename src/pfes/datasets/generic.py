"""Anybody's recordings: two sheets, CSV or Parquet, one row per record.

videos       subject, video, path; optional dataset, fps (native frames per second; empty: what the file says).
             ``path`` is a video file or a folder of numbered images, relative to the sheet's folder or absolute.
expressions  subject, video, onset, offset, class (macro or micro); optional dataset, apex (empty: the midpoint).
             Native frames, inclusive; ``first_frame`` of the config is the number of the first frame, 0 or 1.

Row numbers in messages are the sheet's own: the header is row 1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.datasets.release import LABEL_COLUMNS, REFUSAL_COLUMNS, REPAIR_COLUMNS, Release, empty
from pfes.errors import InputError
from pfes.records import CLASSES, Video

VIDEO_SHEET = {"required": ("subject", "video", "path"), "optional": ("dataset", "fps")}
EXPRESSION_SHEET = {"required": ("subject", "video", "onset", "offset", "class"), "optional": ("dataset", "apex")}


def load(settings: Mapping[str, Any], folder: Path | None = None) -> Release:
    """Read the two sheets named in ``settings`` (``videos``, ``expressions``; ``first_frame``).

    Raises
    ------
    InputError
        A sheet is missing or has unknown columns, or rows cannot be used; every such row is named in the one message.
    """
    video_sheet, sheet = Path(settings["videos"]), Path(settings["expressions"])
    videos = _videos(video_sheet, read_sheet(video_sheet, VIDEO_SHEET))
    labels = read_sheet(sheet, EXPRESSION_SHEET)
    first = int(settings.get("first_frame", 0))
    expressions, repairs = _expressions(sheet, labels, videos, first)
    return Release(videos, expressions, repairs, empty(REFUSAL_COLUMNS))


def read_sheet(path: Path, columns: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Read a CSV or Parquet sheet as text, with exactly the known columns; missing optional ones are added, empty."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such sheet; expected a CSV or Parquet file with columns {', '.join(columns['required'])}"
        )
    try:
        table = (
            pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, encoding="utf-8-sig")
        )
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as {path.suffix[1:] or 'CSV'} ({error}); save it as CSV in UTF-8"
        ) from error
    table.columns = [str(column).strip() for column in table.columns]
    known = columns["required"] + columns["optional"]
    unknown = [column for column in table.columns if column not in known]
    missing = [column for column in columns["required"] if column not in table.columns]
    if unknown or missing:
        what = [f"unknown column {name!r}" for name in unknown] + [f"missing column {name!r}" for name in missing]
        raise InputError(f"{path}: {', '.join(what)}; expected {', '.join(known)}; rename or remove")
    texts = table.reindex(columns=list(known)).map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    return texts.set_axis(range(2, len(texts) + 2))  # the header is row 1


def _videos(sheet: Path, rows: pd.DataFrame) -> tuple[Video, ...]:
    problems = [
        f"row {row}: fps {cells['fps']!r} is not a number"
        for row, cells in rows.iterrows()
        if cells["fps"] and _number(cells["fps"]) is None
    ]
    problems += [
        f"row {row}: {name} is empty"
        for row, cells in rows.iterrows()
        for name in VIDEO_SHEET["required"]
        if not cells[name]
    ]
    _stop(sheet, problems)
    return tuple(
        Video(
            cells["dataset"] or "generic",
            cells["subject"],
            cells["video"],
            str(sheet.parent / cells["path"]),
            _number(cells["fps"]) or 0.0,
        )
        for _, cells in rows.iterrows()
    )


def _expressions(
    sheet: Path, rows: pd.DataFrame, videos: tuple[Video, ...], first: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    by_name = {(video.subject, video.video): video for video in videos}
    subjects = {video.subject for video in videos}
    problems: list[str] = []
    labels: list[tuple[Any, ...]] = []
    repairs: list[tuple[Any, ...]] = []
    for row, cells in rows.iterrows():
        found = _problem(cells, by_name, subjects, first)
        if found:
            problems.append(f"row {row}: {found}")
            continue
        video = by_name[cells["subject"], cells["video"]]
        onset, offset = (int(_number(cells[name]) or 0) - first for name in ("onset", "offset"))
        apex = int(_number(cells["apex"]) or 0) - first if cells["apex"] else (onset + offset) // 2
        if not cells["apex"]:
            repairs.append((row, video.video_id, "apex", "", apex + first, "empty apex: midpoint"))
        labels.append(
            (
                video.dataset,
                video.subject,
                video.video,
                video.video_id,
                len(labels),
                cells["class"],
                onset,
                apex,
                offset,
                row,
            )
        )
    _stop(sheet, problems)
    table = pd.DataFrame(repairs, columns=list(REPAIR_COLUMNS)) if repairs else empty(REPAIR_COLUMNS)
    return pd.DataFrame(labels, columns=list(LABEL_COLUMNS)), table.astype({"found": str, "value": str})


def _problem(cells: pd.Series, by_name: Mapping[tuple[str, str], Video], subjects: set[str], first: int) -> str | None:
    if cells["class"] not in CLASSES:
        return f"class {cells['class']!r}, expected {' or '.join(CLASSES)}"
    if cells["subject"] not in subjects:
        return f"subject {cells['subject']!r} has no video in the videos sheet"
    if (cells["subject"], cells["video"]) not in by_name:
        return f"video {cells['video']!r} of subject {cells['subject']!r} is not in the videos sheet"
    for name in ("onset", "apex", "offset"):
        value = _number(cells[name])
        if (cells[name] or name != "apex") and (value is None or value != int(value) or value < first):
            return f"{name} {cells[name]!r}, expected a frame number from {first} on"
    onset, offset = float(cells["onset"]), float(cells["offset"])
    if onset > offset:
        return f"onset {cells['onset']} > offset {cells['offset']}"
    if cells["apex"] and not onset <= float(cells["apex"]) <= offset:
        return f"apex {cells['apex']} lies outside of {cells['onset']}..{cells['offset']}"
    return None


def _stop(sheet: Path, problems: list[str]) -> None:
    if problems:
        listing = "\n  ".join(problems)
        raise InputError(f"{sheet}: {len(problems)} rows cannot be used; correct them and rerun\n  {listing}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
