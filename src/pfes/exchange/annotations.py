"""Labels in the formats of other tools: MEGC lists, ELAN and plain CSV, written and read.

Conventions
-----------
Inside, a table of labels has LABEL_COLUMNS: native frames, 0-based and inclusive, nullable (Int64). Without onset and offset a
row is a click (``native_point``) alone; class ``neutral`` is a stretch without expression.
A table of videos has subject, video, video_id, path and fps (0: what the file says).

Formats
-------
megc  one CSV: vid, onset, offset, type. Frames are 1-based and inclusive; type is ``mae`` or ``me``. No apex, no point.
elan  one .eaf per video in a folder; see pfes.exchange.elan.
boris one TSV or CSV of events; see pfes.exchange.boris.
csv   the generic expressions sheet: subject, video, onset, apex, offset, class, and point where there is one; see
      pfes.datasets.generic.

Where a file of another tool names a video, it may be the video_id, ``subject/video``, the video or the recording's
file name without its ending, whichever fits exactly one recording; class names may be written as in names.CLASS_NAMES.
Scores of proposals are written for the eye (ELAN) and not read back.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pfes.base import names, store
from pfes.base.errors import InputError
from pfes.base.names import class_of as class_of
from pfes.base.records import NEUTRAL
from pfes.datasets import RELEASED, generic
from pfes.datasets.generic import EXPRESSION_SHEET, read_sheet
from pfes.datasets.marks import MARKS, read_mark
from pfes.datasets.sheets import number, read_csv
from pfes.exchange import boris, elan
from pfes.media import decode

LABEL_COLUMNS = (
    "subject",
    "video",
    "video_id",
    "class",
    "native_onset",
    "native_apex",
    "native_offset",
    "native_point",
)
SHEET_COLUMNS = ("subject", "video", "onset", "apex", "offset", "class")
FORMATS = ("megc", "elan", "csv", "boris")
MEGC_TYPES = {"macro": "mae", "micro": "me"}
MEGC_SHEET = {"required": ("vid", "type"), "optional": ("onset", "offset", "pred_onset", "pred_offset")}


def export_labels(
    labels: Mapping[str, pd.DataFrame], videos: pd.DataFrame, format: str, out: Path | str, *, first_frame: int = 0
) -> list[Path]:
    """Write labels in the format of another tool and return the files written.

    Parameters
    ----------
    labels
        label set (``expressions``, ``proposals``) -> table with LABEL_COLUMNS; several sets only for ``elan``.
    out
        A file; for ``elan`` a folder, which gets one file for every video, with or without labels.
    first_frame
        Number of the first frame in the format ``csv``.

    Raises
    ------
    InputError
        An unknown format, several label sets in one list, or a video without a frame rate (elan).
    """
    _check_format(format)
    if format == "elan":
        clocks = {row["video_id"]: _clock(row) for row in videos.to_dict("records")}
        return elan.write(labels, videos, clocks, Path(out))
    if len(labels) != 1:
        raise InputError(f"{out}: {len(labels)} label sets, but {format} holds one; export them to two files")
    table = next(iter(labels.values()))
    if format == "boris":
        clocks = {
            row["video_id"]: _clock(row)
            for row in videos.to_dict("records")
            if row["video_id"] in set(table["video_id"])
        }
        boris.write(table, videos, clocks, Path(out))
        return [Path(out)]
    if format == "megc" and (clicks := int(table["native_onset"].isna().sum())):
        raise InputError(
            f"{out}: {clicks} expressions have no onset and offset, which a MEGC list needs; export to another format"
        )
    sheet = _megc_table(table) if format == "megc" else _sheet_table(table, first_frame)
    _write_csv(sheet, Path(out))
    return [Path(out)]


def import_labels(
    files: Sequence[Path | str], format: str, videos: pd.DataFrame, *, name: str = "expressions", first_frame: int = 0,
    annotator: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return the labels (LABEL_COLUMNS) of ``files``, in their order.

    Parameters
    ----------
    name
        Label set to read from ELAN files, ``expressions`` or ``proposals``.
    first_frame
        Number of the first frame in the format ``csv``.
    annotator
        Whose tiers of ELAN files are read, where several have labelled.

    Raises
    ------
    InputError
        A file cannot be read as ``format``, or rows cannot be used; all of them are named in one message.
    """
    _check_format(format)
    if name not in elan.SUFFIXES:
        raise InputError(f"label set {name!r} is not known; expected one of {', '.join(elan.SUFFIXES)}")
    if format == "elan":
        rows = [row for path in files for row in _elan_rows(Path(path), videos, name, annotator)]
    elif format == "boris":
        rows = [row for path in files for row in _boris_rows(Path(path), videos)]
    else:
        read = _megc_rows if format == "megc" else _sheet_rows
        rows = [row for path in files for row in read(Path(path), videos, first_frame)]
    return _table(rows)


def write_sheet(labels: pd.DataFrame, out: Path | str, *, first_frame: int = 0) -> None:
    """Write labels as a generic expressions sheet (CSV)."""
    _write_csv(_sheet_table(labels, first_frame), Path(out))


def read_videos(path: Path | str) -> pd.DataFrame:
    """Read a table of videos: ``videos.parquet`` of a run, or a generic videos sheet."""
    path = Path(path)
    if _is_table(path):
        table = store.read_table(path, "videos")
        return table[["subject", "video", "video_id", "path", "fps"]].assign(ranked=table["dataset"].isin(RELEASED))
    rows = [(video.subject, video.video, video.video_id, video.path, video.fps) for video in generic.read_videos(path)]
    return pd.DataFrame(rows, columns=["subject", "video", "video_id", "path", "fps"])


def read_labels(paths: Sequence[Path | str], kind: str, videos: pd.DataFrame, *, first_frame: int = 0) -> pd.DataFrame:
    """Read labels (LABEL_COLUMNS, and ``score`` of proposals) from tables of a run or generic sheets.

    ``kind`` is ``expressions`` or ``proposals``. Proposals may also be a CSV that ``pfes spot``, ``pfes events`` or a run's
    ``paper/tables`` wrote; the proposals of a run lie in one file per fold, the clicks and neutral
    stretches of a run beside its expressions.
    """
    if not any(_is_table(Path(path)) for path in paths):
        if kind == "proposals":
            rows = [row for path in paths for row in _proposal_rows(Path(path), videos, first_frame)]
            return _table([row[:-1] for row in rows]).assign(score=[row[-1] for row in rows])
        return import_labels(paths, "csv", videos, first_frame=first_frame)
    tables = [store.read_table(path, kind) for path in paths]
    if kind == "expressions":
        tables += [
            _beside(Path(paths[0]), name)
            for name in ("clicks", "neutral")
            if Path(paths[0]).with_name(f"{name}.parquet").exists()
        ]
    table = pd.concat([part for part in tables if len(part)] or tables[:1], ignore_index=True)
    known = videos.set_index("video_id")
    unknown = sorted(set(table["video_id"]) - set(known.index))
    if unknown:
        raise InputError(
            f"{paths[0]}: video {unknown[0]} is not among the {len(videos)} videos; give those of this run"
        )
    named = table.assign(**{name: known.loc[table["video_id"], name].to_numpy() for name in ("subject", "video")})
    return _typed(named.reindex(columns=[*LABEL_COLUMNS, *(["score"] if kind == "proposals" else [])]))


def _beside(expressions: Path, name: str) -> pd.DataFrame:
    table = store.read_table(expressions.with_name(f"{name}.parquet"), name)
    return (
        table.rename(columns={"native_frame": "native_point"})
        if name == "clicks"
        else table.assign(**{"class": NEUTRAL})
    )


def find_video(videos: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return the row of the one video called ``name``; raises InputError if there is none, or several.

    A match on the video_id counts before one on ``subject/video``, on the video, and on the recording's file name.
    """
    name = names.clean(name)
    stems = videos["path"].map(lambda path: names.clean(Path(path).stem))
    for column in (videos["video_id"], videos["subject"] + "/" + videos["video"], videos["video"], stems):
        found = videos[(column == name).to_numpy(bool)]
        if len(found) == 1:
            return {str(key): value for key, value in found.iloc[0].items()}
        if len(found) > 1:
            several = ", ".join(found["video_id"].head(3))
            raise InputError(f"video {name!r} may be any of {several}; write one of these names instead")
    raise InputError(f"video {name!r} is not among the {len(videos)} videos of the sheet, e.g. {_example(videos)}")


def _example(videos: pd.DataFrame) -> str:
    return repr(videos["video_id"].iloc[0]) if len(videos) else "none"


def _check_format(format: str) -> None:
    if format not in FORMATS:
        raise InputError(f"format {format!r} is not known; expected one of {', '.join(FORMATS)}")


# ------------------------------------------------------------------------------------------------ writing


def _megc_table(labels: pd.DataFrame) -> pd.DataFrame:
    labels = labels[labels["class"] != NEUTRAL]
    return pd.DataFrame(
        {
            "vid": labels["video_id"],
            "onset": labels["native_onset"] + 1,
            "offset": labels["native_offset"] + 1,
            "type": labels["class"].map(MEGC_TYPES),
        }
    )


def _sheet_table(labels: pd.DataFrame, first_frame: int) -> pd.DataFrame:
    names = ("onset", "apex", "offset", "point")
    frames = {name: labels[f"native_{name}"].astype("Int64") + first_frame for name in names}
    columns = [*SHEET_COLUMNS, *(["point"] if labels["native_point"].notna().any() else [])]
    return labels[["subject", "video", "class"]].assign(**frames)[columns]


def _write_csv(table: pd.DataFrame, out: Path) -> None:
    with store.atomic(out) as temporary:
        table.to_csv(temporary, index=False)


# ------------------------------------------------------------------------------------------------ reading

Row = tuple[Any, ...]


def _megc_rows(path: Path, videos: pd.DataFrame, _: int) -> list[Row]:
    cells = read_sheet(path, MEGC_SHEET)
    onset, offset = ("onset", "offset") if cells["onset"].any() or not len(cells) else ("pred_onset", "pred_offset")

    def label(row: Mapping[str, str]) -> Row:
        cells = {"class": row["type"], "onset": row[onset], "offset": row[offset]}
        return _row(find_video(videos, row["vid"]), cells, 1)

    return _rows(path, cells, label)


def _sheet_rows(path: Path, videos: pd.DataFrame, first_frame: int) -> list[Row]:
    def label(row: Mapping[str, str]) -> Row:
        return _row(_by_subject(videos, row["subject"], row["video"]), row, first_frame)

    return _rows(path, read_sheet(path, EXPRESSION_SHEET), label)


def _proposal_rows(path: Path, videos: pd.DataFrame, first_frame: int) -> list[Row]:
    """Return the rows of a list of proposals, with the score last: what pfes writes, or a sheet of whatever else has columns."""
    cells = read_csv(path)
    native = "native_onset" in cells  # what pfes spot writes: there onset is a sampled frame
    prefix, first = ("native_", 0) if native else ("", first_frame)
    name = next((column for column in ("video_id", "recording", "video") if column in cells), None)
    needed = ["class", *(f"{prefix}{column}" for column in ("onset", "offset"))]
    if name is None or (missing := [column for column in needed if column not in cells]):
        gone = "video" if name is None else ", ".join(missing)
        raise InputError(
            f"{path}: no column {gone}; expected proposals.csv or events.csv of pfes, or video, class, onset, offset"
        )

    def label(row: Mapping[str, str]) -> Row:
        both = name == "video" and row.get("subject")
        video = _by_subject(videos, row["subject"], row["video"]) if both else find_video(videos, row[name])
        marks = {mark: row.get(f"{prefix}{mark}", "") for mark in ("onset", "apex", "offset")}
        score = number(row.get("score", ""))
        return *_row(video, {"class": row["class"], **marks}, first), math.nan if score is None else score

    return _rows(path, cells, label)


def _by_subject(videos: pd.DataFrame, subject: str, video: str) -> dict[str, Any]:
    return find_video(videos[(videos["subject"] == subject).to_numpy(bool)], f"{subject}/{video}")


def _rows(path: Path, cells: pd.DataFrame, label: Callable[[Mapping[str, str]], Row]) -> list[Row]:
    """Return the labels of all rows; raise one InputError that names every row which gives none."""
    rows, problems = [], []
    for place, row in zip(cells.index, cells.to_dict("records"), strict=True):
        try:
            rows.append(label(row))  # type: ignore[arg-type]
        except InputError as error:
            problems.append(f"row {place}: {error}")
    _stop(path, problems)
    return rows


def _row(video: Mapping[str, Any], cells: Mapping[str, Any], first_frame: int) -> Row:
    """Return one label from the texts of a sheet."""
    mark = read_mark(cells, first_frame)
    frames = mark.frames(_clock(video) if mark.seconds else decode.Clock(1.0))
    return _named(video, mark.kind, frames)


def _named(video: Mapping[str, Any], kind: str, frames: Mapping[str, int | None]) -> Row:
    marks = {name: pd.NA if frames[name] is None else frames[name] for name in MARKS}
    if pd.isna(marks["onset"]) or pd.isna(marks["offset"]):  # a click: its one frame is all there is
        point = marks["apex"] if pd.isna(marks["point"]) else marks["point"]
        marks = {**dict.fromkeys(MARKS, pd.NA), "point": point}
    return video["subject"], video["video"], video["video_id"], kind, *(marks[name] for name in MARKS)


def _boris_rows(path: Path, videos: pd.DataFrame) -> list[Row]:
    rows, problems = [], []
    for event in boris.read(path):
        try:
            video = _first_of(videos, event.recordings)
            rows.append(_named(video, event.kind, boris.frames(event, _clock(video))))
        except InputError as error:
            problems.append(f"line {event.line}: {error}")
    _stop(path, problems)
    return rows


def _elan_rows(path: Path, videos: pd.DataFrame, name: str, annotator: str | None) -> list[Row]:
    document = elan.read(path)
    video = _elan_video(path, document, videos)
    clock, problems = _clock(video), list[str]()
    stems = [str(video[key]) for key in ("video_id", "video")] + [names.clean(Path(video["path"]).stem)]
    try:
        origin = document.origin(stems)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    rows = elan.labels(
        document, clock, name, class_of, problems, origin=origin, annotator=annotator, end_s=_end(video, clock)
    )
    _stop(path, problems)
    return [(video["subject"], video["video"], video["video_id"], *row) for row in rows]


def _elan_video(path: Path, document: elan.Document, videos: pd.DataFrame) -> dict[str, Any]:
    """Return the video that an .eaf annotates: by the file's own name, then by the names of its media."""
    try:
        return _first_of(videos, (names.clean(path.stem), *document.media))
    except InputError as error:
        raise InputError(f"{path}: {error}; name the file or its media after a video of the sheet") from error


def _first_of(videos: pd.DataFrame, called: Sequence[str]) -> dict[str, Any]:
    """Return the video that is called one of these names; raises the InputError of the first where none is."""
    reasons = []
    for name in called:
        try:
            return find_video(videos, name)
        except InputError as error:
            reasons.append(error)
    raise reasons[0] if reasons else InputError("no name of a recording")


def _clock(video: Mapping[Any, Any]) -> decode.Clock:
    """Return the clock of a video; of one that is not here, but whose rate is known, that of the rate."""
    if video["fps"] and not Path(video["path"]).exists():
        return decode.Clock(float(video["fps"]))
    return decode.recording_clock(video["path"], video["fps"], ranked=video.get("ranked", False))


def _end(video: Mapping[Any, Any], clock: decode.Clock) -> float:
    """Return when a recording ends, s; without end where it is not here."""
    if not Path(video["path"]).exists():
        return math.inf
    return float(clock.seconds(np.array([decode.count_frames(video["path"])]))[0])


def _table(rows: Iterable[Row]) -> pd.DataFrame:
    return _typed(pd.DataFrame(list(rows), columns=list(LABEL_COLUMNS)))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(dict.fromkeys(("native_onset", "native_apex", "native_offset", "native_point"), "Int64"))


def _is_table(path: Path) -> bool:
    """Return whether ``path`` is a table that pfes wrote, and not somebody's sheet."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        return bool(store.describe(path))
    except (InputError, OSError, ValueError):
        return False


def _stop(path: Path, problems: list[str]) -> None:
    if problems:
        listing = "\n  ".join(problems)
        raise InputError(f"{path}: {len(problems)} labels cannot be used; correct them and import again\n  {listing}")
