"""CAS(ME)^2 (Qu et al., IEEE TAFFC 2018, doi 10.1109/TAFFC.2017.2654440): 22 subjects, 300 MaE, 57 ME, 30 fps.

As released
-----------
Labels: ``code_final.xlsx``, first sheet without header: subject number, video such as ``anger1_1`` (the word and a
running number), onset, apex, offset, AUs, emotion, type, self report; frames from 1, inclusive. The second and third
sheet hold the maps from subject number to folder and from word to code; where they are missing, SUBJECTS and WORDS hold.
Frames: ``rawpic/s15/15_0101disgustingteeth/img001.jpg``, or cropped ``longVideoFaceCropped/s27/27_0505...``; a video is
found by the four digits after ``_``. It is called by subject ``s15`` and video ``0101``. Folders without a labelled
instance are videos too.

Repairs
-------
An offset of 0 becomes onset + 20 (``official``; two rows have another offset in the published arrays of GIM, EXCEPTIONS) or
2 apex - onset (``apex-symmetric``). An apex that then lies outside becomes the midpoint.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.datasets import folders, sheets
from pfes.datasets.labels import Fix, Frames, Row, class_of, collect
from pfes.datasets.release import Release

FPS = 30.0
OFFICIAL_FRAMES = 20
EXCEPTIONS = {("s26", "0503", 408): 448, ("s31", "0507", 1500): 1521}  # (subject, video, onset): offset, frames from 1
_FOLDERS = (15, 16, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40)
SUBJECTS = {str(number): f"s{folder}" for number, folder in enumerate(_FOLDERS, start=1)}
WORDS = {
    "disgust1": "0101", "disgust2": "0102", "anger1": "0401", "anger2": "0402", "happy1": "0502", "happy2": "0503",
    "happy3": "0505", "happy4": "0507", "happy5": "0508",
}  # fmt: skip


def load(settings: Mapping[str, Any], folder: Path | None = None) -> Release:
    """Read the release at ``root`` (None: labels only) with the ``labels`` file and the ``repair`` policy of the settings."""
    root = folders.root_of(settings)
    path = folders.label_file(settings, r".*code_final.*\.xlsx?", "code_final.xlsx")
    rows = read_rows(sheets.read_excel(path))
    mend = partial(repair, policy=settings.get("repair", "official"))
    labels = collect("casme2", rows, fps=FPS, first_frame=1, mend=mend)
    found = find_recordings(root, labels.named) if root else dict.fromkeys(labels.named)
    videos = folders.videos_of("casme2", found, FPS)
    return Release(
        videos, labels.expressions, labels.repairs, labels.refusals, (str(path),), first_frame=1, by_file_number=True
    )


def read_rows(workbook: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    """Yield the rows of the first sheet, subject and video by the maps of the other two."""
    cells, *maps = workbook.values()
    subjects = SUBJECTS | _subject_map(maps[0] if maps else pd.DataFrame())
    words = WORDS | _word_map(maps[1] if len(maps) > 1 else pd.DataFrame())
    for row, values in sheets.rows(cells.reindex(columns=range(9)).dropna(how="all")):
        number, name, label = sheets.text(values[0]), sheets.text(values[1]), class_of(values[7])
        word = name.rsplit("_", 1)[0].lower()
        problem = ""
        if number not in subjects:
            problem = f"subject {number!r}, expected a number from 1 to {len(subjects)}"
        elif word not in words:
            problem = f"video {name!r}, expected one of {', '.join(words)} and a number"
        elif not label:
            problem = f"type {sheets.text(values[7])!r}, expected macro- or micro-expression"
        frames = {"onset": values[2], "apex": values[3], "offset": values[4]}
        yield Row(row, subjects.get(number, ""), words.get(word, ""), label, frames, problem)


def repair(row: Row, frames: Frames, policy: str) -> Iterator[Fix]:
    """Yield the repair of an offset of 0, and of an apex that lies after the repaired offset."""
    if frames["offset"] != 0:
        return
    exception = EXCEPTIONS.get((row.subject, row.video, frames["onset"]))
    if policy == "official" and exception is not None:
        yield "offset", exception, "offset 0: as in the published arrays"
    elif policy == "official":
        yield "offset", frames["onset"] + OFFICIAL_FRAMES, f"offset 0: onset + {OFFICIAL_FRAMES}"
    else:
        yield "offset", 2 * frames["apex"] - frames["onset"], "offset 0: 2 apex - onset"
    if frames["apex"] > frames["offset"] >= frames["onset"]:
        yield "apex", (frames["onset"] + frames["offset"]) // 2, "apex after the repaired offset: midpoint"


def find_recordings(root: Path, named: Iterable[tuple[str, str]]) -> folders.Recordings:
    """Return the recordings below ``root`` by (subject, code); a ``named`` one that is missing, where it should be."""
    base = folders.find_level(root, r"s\d+", "rawpic/s15/15_0101disgustingteeth", ("rawpic", "longVideoFaceCropped"))
    found: folders.Recordings = {}
    for owner, inner in folders.recordings(base, r"s0*(\d+)"):
        for match, path in folders.recordings(inner, r"\d+_(\d{4}).*"):
            folders.add(found, (f"s{owner[1]}", match[1]), path)
    for subject, video in named:
        found.setdefault((subject, video), base / subject / f"{subject[1:]}_{video}")
    return found


def _subject_map(cells: pd.DataFrame) -> dict[str, str]:
    """Return {subject number: folder} of the sheet with rows such as 15, s15, 1."""
    if cells.shape[1] < 3:
        return {}
    return {sheets.text(number): sheets.text(name) for name, number in zip(cells[1], cells[2], strict=True) if number}


def _word_map(cells: pd.DataFrame) -> dict[str, str]:
    """Return {word: four digits} of the sheet with rows such as 101, disgust1."""
    if cells.shape[1] < 2:
        return {}
    return {
        sheets.text(word): sheets.text(code).zfill(4) for code, word in zip(cells[0], cells[1], strict=True) if word
    }
