"""Lists of anybody's instances and proposals, CSV or Parquet, as tables for ``pfes.evaluation.counts``.

Files
-----
instances  a row per labelled expression: video, class, onset, offset
proposals  a row per predicted interval: the same, and optionally score (higher is surer; ``gim-release`` orders by it)
videos     optional: video, a row for every video that counts, with or without instances
Optional in all of them: dataset, subject, video_id. Other names are understood for some columns, see OTHER_NAMES; columns
that pfes or the MEGC lists have besides (apex, n_frames, ...) are allowed and not read; any other column is refused by
name, so that a misspelt ``score`` cannot go unseen.

Conventions
-----------
Frames are whole numbers (566 or 566.0), both ends inclusive, counted from 0 or from 1, the same in both files. What pfes wrote
counts sampled frames from 0, and has those of the recording beside (native_onset, native_offset): if the other list has none, they
are what is compared.
Classes may be written macro, MaE, macro-expression or 1, and micro, ME, micro-expression, ``Micro - 1/2`` or 2; case,
spaces and hyphens do not matter. Names are made clean (base.names); one that looks like a name of another file, but
differs in case or leading zeros, is refused.
Two rows are of the same video if they agree in dataset, subject and video (or video_id), as far as all files name them.
A video's subject is the column subject of any of the files, else what stands before the first ``_`` of its name
(``s15_0101``: s15), else the video itself; only ``gim-release`` and intervals over subjects ask for it.
Every row counts: two equal rows are two instances, or two proposals. Without a list of videos those count that have an
instance or a proposal; with one, a row of another video is refused.
Row numbers in messages are the file's own: the header is row 1.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pfes.base.errors import InputError
from pfes.base.names import alike, class_of, clean
from pfes.base.records import EXPRESSION_COLUMNS, PROPOSAL_COLUMNS, VIDEO_COLUMNS
from pfes.datasets.sheets import number, read_csv, text

OTHER_NAMES = {
    "vid": "video", "recording": "video", "cls": "class", "type": "class", "pred_onset": "onset", "pred_offset": "offset",
}  # fmt: skip
NATIVE = {
    "native_onset": "onset",
    "native_offset": "offset",
}  # of files that pfes wrote: there onset is a sampled frame
NOT_READ = (*EXPRESSION_COLUMNS, *PROPOSAL_COLUMNS, *VIDEO_COLUMNS, "point", "emotion", "n_frames", "instance")
INTERVAL = ("video", "class", "onset", "offset")
NUMBERED = {"1": "macro", "2": "micro"}
NAMES = ("dataset", "subject", "video", "video_id")
SHOWN = 5  # problems, or unknown columns, of a file that a message lists


def read_lists(
    instances: Path | str, proposals: Path | str, videos: Path | str | None = None
) -> dict[str, pd.DataFrame]:
    """Read the lists as tables for ``pfes.evaluation.counts``.

    Returns
    -------
    dict
        instances and proposals: dataset, subject, video_id, class, onset, offset, instance (row from 0) and, where given,
        score; videos: dataset, subject, video_id. ``dataset`` is "" where the files do not name it.
    """
    paths = {"instances": Path(instances), "proposals": Path(proposals)} | ({"videos": Path(videos)} if videos else {})
    cells = {name: _read(path, name) for name, path in paths.items()}
    _count_alike(cells)
    cells = {name: _named(paths[name], name, table) for name, table in cells.items()}
    _one_spelling(paths, cells)
    key = _identity(cells)
    tables = {name: _typed(paths[name], name, table, key) for name, table in cells.items()}
    facts = {name: _facts(paths, tables, name, key) for name in ("dataset", "subject")}
    for name, table in tables.items():
        tables[name] = table.assign(dataset=table["video_id"].map(lambda video: facts["dataset"].get(video, "")))
    known = tables["videos"] if videos else pd.concat([tables["instances"], tables["proposals"]])
    known = known.drop_duplicates("video_id")[["dataset", "video_id"]].reset_index(drop=True)
    for name in ("instances", "proposals"):
        rows = tables[name].index[~tables[name]["video_id"].isin(known["video_id"])]
        _stop(
            paths[name], [f"row {row}: video {tables[name].at[row, 'video_id']!s} is not in {videos!s}" for row in rows]
        )
    subjects = [facts["subject"].get(video) or video.rsplit("/", 1)[-1].split("_")[0] for video in known["video_id"]]
    return {**tables, "videos": known.assign(subject=np.array(subjects, object))}


def _read(path: Path, name: str) -> pd.DataFrame:
    """Return the cells of a list, index the row number of the file."""
    if not path.is_file():
        raise InputError(f"{path}: no such list of {name}; expected a CSV or Parquet file")
    if path.suffix == ".parquet":
        try:
            cells = pd.read_parquet(path)
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: cannot be read as Parquet ({error}); save it again, or as CSV") from error
        cells = cells.set_axis(range(2, len(cells) + 2))
    else:
        cells = read_csv(path)
    return cells.set_axis([_plain(str(column)) for column in cells.columns], axis=1)


def _count_alike(cells: dict[str, pd.DataFrame]) -> None:
    """Where one list alone says which frames of the recording its sampled frames are, replace them by those."""
    native = [name for name in ("instances", "proposals") if cells[name].columns.isin(NATIVE).sum() == len(NATIVE)]
    if len(native) == 1:
        table = cells[native[0]]
        cells[native[0]] = table.assign(**{column: table[other] for other, column in NATIVE.items()})


def _one_spelling(paths: Mapping[str, Path], cells: Mapping[str, pd.DataFrame]) -> None:
    """Raise InputError where a name of one file looks like that of another, and no file has both as two names."""
    for column in ("subject", "video", "video_id"):
        used = {name: set(table.get(column, ())) - {""} for name, table in cells.items()}
        for first, second in alike(sorted(set().union(*used.values()))):
            if not any({first, second} <= own for own in used.values()):
                where = {
                    word: next(paths[name] for name, own in used.items() if word in own) for word in (first, second)
                }
                raise InputError(
                    f"{where[second]}: {column} {second!r} looks like {first!r} of {where[first]}; write the name the same in"
                    " both"
                )


def _named(path: Path, name: str, cells: pd.DataFrame) -> pd.DataFrame:
    if name == "proposals" and "pred_onset" in cells:
        cells = cells.drop(columns=["onset", "offset"], errors="ignore")
    if name == "instances" and "onset" in cells:
        cells = cells.drop(columns=["pred_onset", "pred_offset"], errors="ignore")
    cells = cells.rename(columns=OTHER_NAMES)
    if "video" not in cells and "video_id" in cells:
        cells = cells.assign(video=cells["video_id"])
    used = ("video",) if name == "videos" else INTERVAL
    known = dict.fromkeys((*used, "dataset", "subject", "video_id", "score", *NOT_READ))
    unknown = [column for column in cells.columns if column not in known]
    problems = [_unknown(column, known) for column in unknown[:SHOWN]]
    problems += [f"{len(unknown) - SHOWN} more unknown columns"] if len(unknown) > SHOWN else []
    problems += [f"missing column {column!r}" for column in used if column not in cells]
    problems += [f"column {column!r} twice" for column in set(cells.columns[cells.columns.duplicated()])]
    if problems:
        raise InputError(f"{path}: {', '.join(problems)}; expected {', '.join(used)}; optional dataset, subject, score")
    kept = [*used, *(column for column in ("dataset", "subject", "video_id", "score") if column in cells)]
    texts = cells[kept].map(text)
    return texts.assign(**{column: texts[column].map(clean) for column in kept if column in NAMES})


def _plain(column: str) -> str:
    """Return a column's name without spaces around, in lower case where pfes knows it so."""
    lower = column.strip().lower()
    return lower if lower in (*INTERVAL, *NOT_READ, *OTHER_NAMES) else column.strip()


def _unknown(column: str, known: Mapping[str, None]) -> str:
    near = difflib.get_close_matches(column, [*known, *OTHER_NAMES], n=1)
    return f"unknown column {column!r}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _identity(cells: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the columns that tell a video in all files."""
    shared = [
        column for column in ("dataset", "subject", "video_id") if all(column in table for table in cells.values())
    ]
    return shared if "video_id" in shared else [*shared, "video"]


def _typed(path: Path, name: str, cells: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    problems = [f"row {row}: {column} is empty" for column in key for row in cells.index[cells[column] == ""]]
    table = pd.DataFrame(
        {
            "dataset": cells.get("dataset", default=""),
            "subject": cells.get("subject", default=""),
            "video_id": cells[list(key)].agg("/".join, axis=1) if len(cells) else np.empty(0, object),
        },
        index=cells.index,
        dtype=object,
    )
    if name != "videos":
        table["class"] = _classes(cells["class"], problems)
        for column in ("onset", "offset"):
            table[column] = _frames(cells[column], column, problems)
        _stop(path, problems)  # what is no number has no order
        late = table[table["onset"] > table["offset"]]
        frames = zip(late.index, late["onset"], late["offset"], strict=True)
        problems += [f"row {row}: onset {onset} after offset {offset}" for row, onset, offset in frames]
        table["instance"] = np.arange(len(table))
        if name == "proposals" and "score" in cells and (cells["score"] != "").any():
            table["score"] = _scores(cells["score"], problems)
    _stop(path, problems)
    return table


def _classes(cells: pd.Series, problems: list[str]) -> pd.Series:
    known = {cell: NUMBERED.get(cell) or class_of(cell) for cell in cells.unique()}
    for row, cell in cells[cells.map(lambda cell: known[cell] is None)].items():
        problems.append(f"row {row}: class {str(cell)!r} is unknown, expected macro or micro (MaE, ME, ...)")
    return cells.map(known).astype(object)


def _frames(cells: pd.Series, column: str, problems: list[str]) -> pd.Series:
    numbers = _numbers(cells)
    bad = ~(np.isfinite(numbers) & (numbers == numbers.round()) & (numbers.abs() < 1e9))
    problems += [f"row {row}: {column} {str(cell)!r} is not a whole frame number" for row, cell in cells[bad].items()]
    return numbers.where(~bad, 0).astype("int64")


def _numbers(cells: pd.Series) -> pd.Series:
    return cells.map(number).astype("float64")


def _scores(cells: pd.Series, problems: list[str]) -> pd.Series:
    numbers = _numbers(cells)
    bad = ~np.isfinite(numbers)
    problems += [f"row {row}: score {str(cell)!r} is not a number" for row, cell in cells[bad].items()]
    return numbers


def _facts(
    paths: Mapping[str, Path], tables: Mapping[str, pd.DataFrame], column: str, key: Sequence[str]
) -> dict[str, str]:
    """Return the dataset, or the subject, of every video for which a file names it.

    Raises InputError if one name stands for videos of several, because another file does not have that column.
    """
    found: dict[str, str] = {}
    for name, table in tables.items():
        named = table.loc[table[column] != "", ["video_id", column]].drop_duplicates()
        several = named.loc[named["video_id"].duplicated(), "video_id"]
        if len(several):
            raise InputError(
                f"{paths[name]}: video {several.iloc[0]} is of several values of {column}, but videos are told apart by "
                f"{', '.join(key)} alone; add the column {column} to all files, or use names that differ"
            )
        found = {**dict(zip(named["video_id"], named[column], strict=True)), **found}
    return found


def _stop(path: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise InputError(f"{path}: {'; '.join(problems[:SHOWN])}{more}; correct the file")
