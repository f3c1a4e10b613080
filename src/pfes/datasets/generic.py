"""Anybody's recordings: two sheets, CSV or Parquet, one row per record; or just a folder of videos.

videos       subject, video, path; optional dataset, fps (native frames per second; empty: what the file says).
             ``path`` is a video file or a folder of numbered images, relative to the sheet's folder or absolute.
             A folder instead of a sheet: every video file in it, each its own subject, both named by the file.
expressions  subject, video, onset, offset, class (macro or micro); optional dataset, apex (empty, / or -1: the midpoint),
             point (an annotator's click, for points.mode given). Native frames, inclusive; ``first_frame`` of the config
             is the number of the first frame, 0 or 1, or ``named``: a frame of a folder has the number in its name (in a
             video file the first is 0). None: recordings without labels, such as a challenge's test set.
             Classes may be written as people do (names.class_of): Macro, MaE, ME, micro-expression, ...

Names are made clean (base.names). Subjects that then look alike (Anna and anna, 1 and 01) stop the run, unless
``distinct_names`` says that they are different people.
Row numbers in messages are the sheet's own: the header is row 1.
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.base import names
from pfes.base.errors import InputError
from pfes.base.records import CLASSES, Video
from pfes.datasets.folders import recordings
from pfes.datasets.labels import odd_lengths, overlaps
from pfes.datasets.release import LABEL_COLUMNS, REFUSAL_COLUMNS, REPAIR_COLUMNS, Release, empty, table
from pfes.datasets.sheets import blank, number, read_csv, whole
from pfes.media.clock import FASTEST, SLOWEST

VIDEO_SHEET = {"required": ("subject", "video", "path"), "optional": ("dataset", "fps")}
NAMES = ("dataset", "subject", "video", "vid")
EXPRESSION_SHEET = {
    "required": ("subject", "video", "onset", "offset", "class"),
    "optional": ("dataset", "apex", "point"),
}
NO_APEX = -1  # what sheets hold, beside sheets.NO_VALUE, where none was annotated


def load(settings: Mapping[str, Any], folder: Path | None = None) -> Release:
    """Read the two sheets named in ``settings`` (``videos``, ``expressions``; ``first_frame``, ``distinct_names``).

    Raises
    ------
    InputError
        A sheet is missing or has unknown columns, or rows cannot be used; every such row is named in the one message.
    """
    video_sheet, named = Path(settings["videos"]), settings.get("first_frame") == "named"
    first = 0 if named else int(settings.get("first_frame", 0))
    videos = read_videos(video_sheet)
    if not settings.get("distinct_names"):
        names.check_distinct(
            (video.subject for video in videos),
            str(video_sheet),
            "or say that they differ: dataset.distinct_names: true",
        )
    sources = [] if video_sheet.is_dir() else [str(video_sheet)]
    if not settings.get("expressions"):
        return Release(
            videos, empty(LABEL_COLUMNS), empty(REPAIR_COLUMNS), empty(REFUSAL_COLUMNS), tuple(sources), first
        )
    sheet = Path(settings["expressions"])
    expressions, repairs = _expressions(sheet, read_sheet(sheet, EXPRESSION_SHEET), videos, first)
    return Release(videos, expressions, repairs, empty(REFUSAL_COLUMNS), (*sources, str(sheet)), first, named)


def load_imported(settings: Mapping[str, Any], folder: Path | None = None) -> Release:
    """Read the sheets in ``root``, a folder that ``pfes import-features`` wrote; the path of a video is its snippets."""
    sheets = {name: str(Path(settings["root"], f"{name}.csv")) for name in ("videos", "expressions")}
    return load({**settings, **sheets, "first_frame": 0}, folder)


def read_videos(sheet: Path) -> tuple[Video, ...]:
    """Return the recordings of a videos sheet, or the videos in a folder; raises InputError that names every bad row."""
    return _videos_in(sheet) if sheet.is_dir() else _videos(sheet, read_sheet(sheet, VIDEO_SHEET))


def read_sheet(path: Path, columns: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Read a CSV or Parquet sheet as text, with exactly the known columns; missing optional ones are added, empty.

    Names of subjects, videos and datasets are made clean.
    """
    rows = _read(path, columns["required"])
    rows.columns = [names.clean(str(column)) for column in rows.columns]
    known = columns["required"] + columns["optional"]
    unknown = [column for column in rows.columns if column not in known]
    missing = [column for column in columns["required"] if column not in rows.columns]
    if unknown or missing:
        what = [f"unknown column {name!r}" for name in unknown] + [f"missing column {name!r}" for name in missing]
        raise InputError(f"{path}: {', '.join(what)}; expected {', '.join(known)}; rename or remove")
    cells = rows.reindex(columns=list(known)).map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    return cells.assign(**{name: cells[name].map(names.clean) for name in NAMES if name in cells})


def _read(path: Path, required: tuple[str, ...]) -> pd.DataFrame:
    """Return the cells of a sheet, index the row number; the header is row 1."""
    if not path.is_file():
        raise InputError(f"{path}: no such sheet; expected a CSV or Parquet file with columns {', '.join(required)}")
    if path.suffix != ".parquet":
        return read_csv(path)
    try:
        rows = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); save it again, or as CSV in UTF-8") from error
    return rows.set_axis(range(2, len(rows) + 2))


def _videos_in(folder: Path) -> tuple[Video, ...]:
    """Return the videos in a folder; its sub-folders are not looked at."""
    return tuple(
        Video("generic", names.clean(path.stem), names.clean(path.stem), str(path))
        for _, path in recordings(folder, ".*", files_only=True)
    )


def _videos(sheet: Path, rows: pd.DataFrame) -> tuple[Video, ...]:
    problems = [f"row {row}: {problem}" for row, cells in rows.iterrows() if (problem := _rate_problem(cells["fps"]))]
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
            str(_on_disk(sheet.parent / cells["path"])),
            0.0 if blank(cells["fps"]) else number(cells["fps"]) or 0.0,
        )
        for _, cells in rows.iterrows()
    )


def _rate_problem(cell: str) -> str | None:
    rate = 0.0 if blank(cell) else number(cell)
    if rate is None:
        return f"fps {cell!r} is not a number"
    return None if rate == 0 or SLOWEST <= rate <= FASTEST else f"fps {cell!r}, expected frames per second, or nothing"


def _on_disk(path: Path) -> Path:
    """Return the path as the disk spells it: a name may be composed in the sheet and decomposed there, or the reverse."""
    forms = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
    return path if path.exists() else next((form for form in forms if form.exists()), path)


def _expressions(
    sheet: Path, rows: pd.DataFrame, videos: tuple[Video, ...], first: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    by_name = {(video.subject, video.video): video for video in videos}
    subjects = {video.subject for video in videos}
    written = rows["apex"].to_dict()
    rows = rows.assign(
        apex=rows["apex"].map(lambda cell: "" if blank(cell) or number(cell) == NO_APEX else cell),
        point=rows["point"].map(lambda cell: "" if blank(cell) else cell),
        **{"class": rows["class"].map(lambda cell: names.class_of(cell) or cell)},
    )
    problems = _repeated(rows)
    labels: list[tuple[Any, ...]] = []
    repairs: list[tuple[Any, ...]] = []
    points: list[int | None] = []
    for row, cells in rows.iterrows():
        found = _problem(cells, by_name, subjects, first)
        if found:
            problems.append(f"row {row}: {found}")
            continue
        video = by_name[cells["subject"], cells["video"]]
        onset, offset = (int(number(cells[name]) or 0) - first for name in ("onset", "offset"))
        apex = int(number(cells["apex"]) or 0) - first if cells["apex"] else (onset + offset) // 2
        if not cells["apex"]:
            repairs.append((row, video.video_id, "apex", written[row], apex + first, "no apex: midpoint"))
        whose = (video.dataset, video.subject, video.video, video.video_id)
        labels.append((*whose, len(labels), cells["class"], onset, apex, offset, row))
        points.append(int(number(cells["point"]) or 0) - first if cells["point"] else None)
    _stop(sheet, problems)
    expressions = table(labels, LABEL_COLUMNS)
    if any(point is not None for point in points):
        expressions["native_point"] = pd.array(points, dtype="Int64")
    return expressions, table([*repairs, *overlaps(expressions, first), *odd_lengths(expressions)], REPAIR_COLUMNS)


def _repeated(rows: pd.DataFrame) -> list[str]:
    columns = ["subject", "video", "class", "onset", "offset"]
    again = rows[rows.duplicated(columns)]
    first = {key: group.index[0] for key, group in rows.groupby(columns)} if len(again) else {}
    return [
        f"row {row}: same as row {first[tuple(cells[name] for name in columns)]}" for row, cells in again.iterrows()
    ]


def _problem(cells: pd.Series, by_name: Mapping[tuple[str, str], Video], subjects: set[str], first: int) -> str | None:
    if cells["class"] not in CLASSES:
        return f"class {cells['class']!r}, expected {' or '.join(CLASSES)}"
    if cells["subject"] not in subjects:
        return f"subject {cells['subject']!r} has no video in the videos sheet"
    if (cells["subject"], cells["video"]) not in by_name:
        return f"video {cells['video']!r} of subject {cells['subject']!r} is not in the videos sheet"
    for name in ("onset", "apex", "offset", "point"):
        value = whole(cells[name])
        if (cells[name] or name in ("onset", "offset")) and (value is None or value < first):
            seconds = ", not seconds" if value is None and number(cells[name]) is not None else ""
            return f"{name} {cells[name]!r}, expected a frame number from {first} on{seconds}"
    onset, offset = whole(cells["onset"]) or 0, whole(cells["offset"]) or 0
    if onset > offset:
        return f"onset {cells['onset']} > offset {cells['offset']}"
    for name in ("apex", "point"):
        if cells[name] and not onset <= (whole(cells[name]) or 0) <= offset:
            return f"{name} {cells[name]} lies outside of {cells['onset']}..{cells['offset']}"
    return None


def _stop(sheet: Path, problems: list[str]) -> None:
    if problems:
        listing = "\n  ".join(problems)
        raise InputError(f"{sheet}: {len(problems)} rows cannot be used; correct them and rerun\n  {listing}")
