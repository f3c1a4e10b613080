"""SAMM Long Videos (Yap, Kendrick, Yap, FG 2020, doi 10.1109/FG47880.2020.00029): 147 videos, 343 MaE, 159 ME, 200 fps.

As released
-----------
Labels: ``SAMM_LongVideos_V2_Release.xlsx`` or V3, one sheet; under free text a header (row 10): Subject, Filename
(``006_1_1``, the video is its first two fields), Inducement Code, Onset, Apex, Offset, Duration, Type (``Macro``,
``Micro - 1/2``), Action Units, Notes; frames from 1, inclusive. V2 has numbers such as 566.4000000001, ten onsets of 0
and two offsets beyond the last frame; V3 has whole numbers and onsets of 1. An apex of -1 was not annotated.
Frames: ``SAMM_longvideos/006_1/006_1_0001.jpg``, the number is all after the last ``_``, four digits or five.

Repairs
-------
An onset of 0 becomes 1, an apex of -1 the midpoint, numbers are rounded. Sampled by 7 to 28.57 fps, a label at x falls
on sampled frame round((x - 1) / 7), ties to even; rounding x first changes none of the release's labels.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.datasets import folders, sheets
from pfes.datasets.labels import Fix, Frames, Row, class_of, collect
from pfes.datasets.release import Release

FPS = 200.0
HEADER = ("subject", "filename", "onset", "apex", "offset", "type")


def load(settings: Mapping[str, Any], folder: Path | None = None) -> Release:
    """Read the release at ``root`` (None: labels only) with the ``labels`` file of the settings."""
    root = folders.root_of(settings)
    path = folders.label_file(settings, r"SAMM_LongVideos_V\d+_Release\.xlsx?", "SAMM_LongVideos_V3_Release.xlsx")
    cells = next(iter(sheets.read_excel(path).values()))
    rows = read_rows(sheets.with_header(cells, HEADER, str(path)))
    labels = collect("samm_lv", rows, fps=FPS, first_frame=1, mend=repair)
    found = find_recordings(root, labels.named) if root else dict.fromkeys(labels.named)
    videos = folders.videos_of("samm_lv", found, FPS)
    return Release(
        videos, labels.expressions, labels.repairs, labels.refusals, (str(path),), first_frame=1, by_file_number=True
    )


def read_rows(cells: pd.DataFrame) -> Iterator[Row]:
    """Yield the rows below the header."""
    for row, values in sheets.rows(cells):
        name, label = sheets.text(values["filename"]), class_of(values["type"])
        fields = name.split("_")
        problem = "" if len(fields) == 3 and all(fields) else f"filename {name!r}, expected one such as 006_1_1"
        if not problem and not label:
            problem = f"type {sheets.text(values['type'])!r}, expected Macro or Micro"
        frames = {column: values[column] for column in ("onset", "apex", "offset")}
        yield Row(row, fields[0], "".join(fields[1:2]), label, frames, problem)


def repair(row: Row, frames: Frames) -> Iterator[Fix]:
    """Yield the repair of an onset of 0."""
    if frames["onset"] == 0:
        yield "onset", 1, "onset 0: first frame"


def find_recordings(root: Path, named: Iterable[tuple[str, str]]) -> folders.Recordings:
    """Return the recordings below ``root`` by (subject, video); a ``named`` one that is missing, where it should be."""
    base = folders.find_level(root, r"\d{3}_\d+", "SAMM_longvideos/006_1", ("SAMM_longvideos",))
    found: folders.Recordings = {}
    for match, path in folders.recordings(base, r"(\d{3})_(\d+)"):
        folders.add(found, (match[1], match[2]), path)
    for subject, video in named:
        found.setdefault((subject, video), base / f"{subject}_{video}")
    return found
