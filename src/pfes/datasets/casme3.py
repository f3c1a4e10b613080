"""CAS(ME)^3 part A (Li et al., IEEE TPAMI 2023, doi 10.1109/TPAMI.2022.3174895): 98 labelled subjects, 30 fps.

As released
-----------
Labels: ``CAS(ME)3_part_A_v2.xls``, every cell text, with header: Subject ``spNO.1``, Filename ``a`` to ``m`` (a few
upper-case), Onset, Apex, Offset, AU, Expression type, Objective class: 3346 MaE and 860 ME in 956 videos. A second
sheet holds eye blinks, which become a table of their own.
Frames: ``part_A/spNO.1/a/color/{n}.jpg``. Labels are such numbers n, which start anywhere and have gaps: the frame is
the rank of n among the files present, and a label on a missing file takes the next present one.

Rules
-----
``max_me_s`` and ``max_mae_s`` leave out longer instances (0.5 and 4 s give about the subset of published work, whose
exact rule is not public: the release calls up to 3456 frames a micro-expression). Lengths count in numbers of the
release, gaps included, for that is their time.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.base.errors import InputError
from pfes.base.records import Video
from pfes.datasets import folders, sheets
from pfes.datasets.labels import Row, class_of, collect
from pfes.datasets.release import BAD_BLINK, BLINK_COLUMNS, REPAIR_COLUMNS, Release, joined, table

FPS = 30.0
HEADER = ("subject", "filename", "onset", "apex", "offset", "expression type")
BLINK_HEADER = ("subject", "filename", "onset", "offset")
log = logging.getLogger(__name__)


def load(settings: Mapping[str, Any], folder: Path | None = None) -> Release:
    """Read the release at ``root`` (None: labels only) with the ``labels`` file and the length rule of the settings."""
    root = folders.root_of(settings)
    path = folders.label_file(settings, r"CAS\(ME\)3_part_A_v\d+\.xlsx?", "CAS(ME)3_part_A_v2.xls")
    cells, *others = sheets.read_excel(path).values()
    longest = {"macro": settings.get("max_mae_s"), "micro": settings.get("max_me_s")}
    rows = read_rows(sheets.with_header(cells, HEADER, str(path)))
    labels = collect("casme3", rows, fps=FPS, first_frame=0, longest_s=longest)
    blinks, left_out = read_blinks(others[0], path) if others else (None, [])
    repairs = joined(labels.repairs, table(left_out, REPAIR_COLUMNS))
    found = find_recordings(root, labels.named) if root else dict.fromkeys(labels.named)
    videos = folders.videos_of("casme3", found, FPS)
    sources = (str(path),)
    return Release(videos, labels.expressions, repairs, labels.refusals, sources, by_file_number=True, blinks=blinks)


def read_rows(cells: pd.DataFrame) -> Iterator[Row]:
    """Yield the rows below the header."""
    for row, values in sheets.rows(cells):
        subject, video, problem = _who(values)
        label = class_of(values["expression type"])
        if not problem and not label:
            problem = f"expression type {sheets.text(values['expression type'])!r}, expected Macro- or Micro-expression"
        frames = {column: values[column] for column in ("onset", "apex", "offset")}
        yield Row(row, subject, video, label, frames, problem)


def read_blinks(cells: pd.DataFrame, path: Path) -> tuple[pd.DataFrame | None, list[tuple[object, ...]]]:
    """Return the blinks of the second sheet, None if it holds no such table, and a repair for every row left out."""
    try:
        cells = sheets.with_header(cells, BLINK_HEADER, f"{path}, second sheet")
    except InputError as error:
        log.warning("no blinks: %s", error)
        return None, []
    blinks: list[tuple[object, ...]] = []
    left_out: list[tuple[object, ...]] = []
    for row, values in sheets.rows(cells):
        subject, video, problem = _who(values)
        onset, offset, apex = (sheets.number(values.get(name)) for name in ("onset", "offset", "apex"))
        if problem or onset is None or offset is None or onset > offset:
            told = problem or f"{sheets.text(values['onset'])!r} to {sheets.text(values['offset'])!r}"
            left_out.append((row, "", "row", f"second sheet: {told}", "left out", BAD_BLINK))
            continue
        middle = (onset + offset) // 2 if apex is None or not onset <= apex <= offset else apex
        video_id = Video("casme3", subject, video, "").video_id
        blinks.append(("casme3", subject, video, video_id, int(onset), int(middle), int(offset), row))
    return table(blinks, BLINK_COLUMNS), left_out


def find_recordings(root: Path, named: Iterable[tuple[str, str]]) -> folders.Recordings:
    """Return the recordings below ``root`` by (subject, letter); a ``named`` one that is missing, where it should be."""
    base = folders.find_level(root, r"spNO\.\d+", "part_A/spNO.1/a/color", ("part_A",))
    found: folders.Recordings = {}
    for owner, inner in folders.recordings(base, r"spNO\.(\d+)"):
        for match, path in folders.recordings(inner, r"([a-z])"):
            folders.add(found, (f"spNO.{owner[1]}", match[1].lower()), path / "color" if path.is_dir() else path)
    for subject, video in named:
        found.setdefault((subject, video), base / subject / video / "color")
    return found


def _who(values: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return subject and video of a row, or empty names and what is wrong with them."""
    subject, video = sheets.text(values["subject"]), sheets.text(values["filename"]).lower()
    if not subject.lower().startswith("spno.") or not subject[5:].isdigit():
        return "", "", f"subject {subject!r}, expected one such as spNO.1"
    if len(video) != 1 or not video.isalpha():
        return "", "", f"filename {video!r}, expected a letter from a to m"
    return f"spNO.{int(subject[5:])}", video, ""
