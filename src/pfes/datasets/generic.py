"""Anybody's recordings: two sheets, CSV or Parquet, one row per record; or just a folder of videos.

videos       subject, video, path; optional dataset, fps (native frames per second; empty: what the file says), and for
             ``pfes events`` columns whose names begin with condition, and stimulus_s (when the stimulus begins, s).
             ``path`` is a video file or a folder of numbered images, relative to the sheet's folder or absolute.
             A folder instead of a sheet: every video file in it, each its own subject, both named by the file.
expressions  subject, video, class (macro, micro, or neutral: a stretch without expression), and one frame at least: point
             (an annotator's click), apex, or onset and offset; optional dataset. Or the same in seconds (point_s, ...); see
             ``marks``. Native frames, inclusive; ``first_frame`` of the config is the number of the first frame, 0 or 1,
             or ``named``: a frame of a folder has the number in its name (in a video file the first is 0). An interval
             without apex (empty, / or -1) takes its midpoint. None: recordings without labels, such as a challenge's test
             set.
             Classes may be written as people do (names.class_of): Macro, MaE, ME, micro-expression, ...

Names are made clean (base.names). Subjects that then look alike (Anna and anna, 1 and 01) stop the run, unless
``distinct_names`` says that they are different people.
Row numbers in messages are the sheet's own: the header is row 1.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.base import names
from pfes.base.errors import InputError
from pfes.base.records import NEUTRAL, Video
from pfes.datasets.folders import recordings
from pfes.datasets.labels import odd_lengths, overlaps
from pfes.datasets.marks import MARKS, SECONDS, Mark, read_mark
from pfes.datasets.release import (
    CLICK_LABELS,
    LABEL_COLUMNS,
    NEUTRAL_LABELS,
    REFUSAL_COLUMNS,
    REPAIR_COLUMNS,
    Release,
    empty,
    table,
)
from pfes.datasets.sheets import blank, number, read_csv
from pfes.media.clock import FASTEST, SLOWEST

VIDEO_SHEET = {"required": ("subject", "video", "path"), "optional": ("dataset", "fps", "stimulus_s")}
LONGEST = 255  # bytes of a file's name
CONDITION = re.compile(r"condition[\w ]*")  # columns of the videos sheet that pfes events carries through
NAMES = ("dataset", "subject", "video", "vid")
SHOWN = 5  # unknown columns that a message lists
EXPRESSION_SHEET = {
    "required": ("subject", "video", "class"),
    "optional": ("dataset", *MARKS, *SECONDS),
}


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
    found = _labels(sheet, read_sheet(sheet, EXPRESSION_SHEET), videos, first)
    if named and any(name.endswith("_s") for name in (*found.expressions, *found.clicks, *found.neutral)):
        raise InputError(f"{sheet}: rows in seconds, but first_frame is named; write frame numbers, or first_frame: 0")
    return Release(
        videos, found.expressions, found.repairs, empty(REFUSAL_COLUMNS), (*sources, str(sheet)), first, named,
        clicks=found.clicks, neutral=found.neutral,
    )  # fmt: skip


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
    if columns is VIDEO_SHEET:
        rows = rows[[name for name in rows.columns if not CONDITION.fullmatch(name)]]
    unknown = [column for column in rows.columns if column not in known]
    missing = [column for column in columns["required"] if column not in rows.columns]
    if unknown or missing:
        what = [f"unknown column {name!r}" for name in unknown[:SHOWN]]
        what += [f"{len(unknown) - SHOWN} more unknown columns"] if len(unknown) > SHOWN else []
        what += [f"missing column {name!r}" for name in missing]
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
    problems += [
        f"row {row}: the path {cells['path'][:40]!r}... is longer than any file's"
        for row, cells in rows.iterrows()
        if max(len(part.encode()) for part in ("", *Path(cells["path"]).parts)) > LONGEST or len(cells["path"]) > 4000
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


@dataclass(frozen=True)
class _Labels:
    """What an expressions sheet holds: LABEL_COLUMNS, CLICK_LABELS, NEUTRAL_LABELS and REPAIR_COLUMNS."""

    expressions: pd.DataFrame
    clicks: pd.DataFrame
    neutral: pd.DataFrame
    repairs: pd.DataFrame


def _labels(sheet: Path, rows: pd.DataFrame, videos: tuple[Video, ...], first: int) -> _Labels:
    by_name = {(video.subject, video.video): video for video in videos}
    subjects = {video.subject for video in videos}
    problems: list[str] = []
    repairs: list[tuple[Any, ...]] = []
    found: dict[str, list[dict[str, Any]]] = {"expressions": [], "clicks": [], "neutral": []}
    seen: dict[tuple[Any, ...], Any] = {}
    for row, cells in rows.iterrows():
        try:
            video = _video_of(cells, by_name, subjects)
            mark = read_mark(cells, first)
        except InputError as error:
            problems.append(f"row {row}: {error}")
            continue
        key = (
            video.video_id,
            *(
                (mark.kind, mark.seconds, mark.onset, mark.offset)
                if mark.interval
                else (mark.kind, mark.seconds, mark.click)
            ),
        )
        if key in seen:
            what = "same as" if mark.interval else f"a second {mark.kind} click on the frame of"
            problems.append(f"row {row}: {what} row {seen[key]}")
        seen.setdefault(key, row)
        if mark.kind != NEUTRAL and mark.interval and mark.apex is None:
            repairs.append(_midpoint(row, video.video_id, mark, cells, first))
        if not mark.interval and (mark.onset, mark.offset) != (None, None):
            end = "onset" if mark.offset is None else "offset"
            repairs.append((row, video.video_id, "row", f"{end} alone", "kept", "no interval: the one frame is used"))
        label = {name: getattr(video, name) for name in ("dataset", "subject", "video", "video_id")}
        kind = "neutral" if mark.kind == NEUTRAL else "expressions" if mark.interval else "clicks"
        label |= (
            {}
            if kind == "neutral"
            else {"instance": len(found["expressions"]) + len(found["clicks"]), "class": mark.kind}
        )
        found[kind].append(label | _frames_of(mark, kind) | {"row": row})
    problems += _in_neutral(found)
    _stop(sheet, problems)
    expressions, clicks, neutral = (
        _table(found[name], columns)
        for name, columns in (("expressions", LABEL_COLUMNS), ("clicks", CLICK_LABELS), ("neutral", NEUTRAL_LABELS))
    )
    framed = expressions[expressions["native_onset"] >= 0]
    repairs += [*overlaps(framed, first), *odd_lengths(framed)]
    return _Labels(expressions, clicks, neutral, table(repairs, REPAIR_COLUMNS))


def _in_neutral(found: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield a line for every click that lies in a stretch marked as without expression, where both count in one unit."""
    for unit in ("native_{}", "{}_s"):
        names = [unit.format(name) for name in ("frame", "point", "onset", "offset")]
        for label in (*found["clicks"], *found["expressions"]):
            click = next((label[name] for name in names[:2] if label.get(name) not in (None, -1)), None)
            for still in found["neutral"] if click is not None else ():
                onset, offset = (still.get(name, -1) for name in names[2:])
                if still["video_id"] == label["video_id"] and 0 <= onset <= click <= offset:
                    yield f"row {label['row']}: its click lies in the neutral stretch of row {still['row']}"


def _video_of(cells: pd.Series, by_name: Mapping[tuple[str, str], Video], subjects: set[str]) -> Video:
    if cells["subject"] not in subjects:
        raise InputError(f"subject {cells['subject']!r} has no video in the videos sheet")
    if (cells["subject"], cells["video"]) not in by_name:
        raise InputError(f"video {cells['video']!r} of subject {cells['subject']!r} is not in the videos sheet")
    return by_name[cells["subject"], cells["video"]]


def _middle(mark: Mark) -> float:
    assert mark.onset is not None and mark.offset is not None
    return (mark.onset + mark.offset) / 2 if mark.seconds else (mark.onset + mark.offset) // 2


def _midpoint(row: Any, video_id: str, mark: Mark, cells: pd.Series, first: int) -> tuple[Any, ...]:
    column = "apex_s" if mark.seconds else "apex"
    value = f"{_middle(mark):g}" if mark.seconds else int(_middle(mark)) + first
    return row, video_id, column, cells[column], value, "no apex: midpoint"


def _frames_of(mark: Mark, kind: str) -> dict[str, float | None]:
    """Return the cells of a label by column: native frames, or seconds beside native frames that are not yet known."""
    if kind == "clicks":
        values: dict[str, float | None] = {"frame": mark.click}
    else:
        values = {"onset": mark.onset, "offset": mark.offset}
    if kind == "expressions":
        values |= {"apex": _middle(mark) if mark.apex is None else mark.apex, "point": mark.point}
    found: dict[str, float | None] = {}
    for name, value in values.items():
        known = value if not mark.seconds else -1
        found[f"native_{name}"] = None if value is None else known
        if mark.seconds:
            found[f"{name}_s"] = value
    return found


def _table(found: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    """Return labels as a table; ``native_point`` and columns of seconds are added where a label has them."""
    if not found:
        return empty(columns)
    made = pd.DataFrame(found)
    extra = [name for name in made.columns if name not in columns and made[name].notna().any()]
    whole_ = {
        name: "Int64" if name == "native_point" else "int64" for name in made.columns if name.startswith("native_")
    }
    return made.astype(whole_)[[*columns, *extra]].astype({name: "float64" for name in extra if name.endswith("_s")})


def _stop(sheet: Path, problems: list[str]) -> None:
    if problems:
        listing = "\n  ".join(problems)
        raise InputError(f"{sheet}: {len(problems)} rows cannot be used; correct them and rerun\n  {listing}")
