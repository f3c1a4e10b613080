"""The regions of interest, as a table: ``rois.csv`` beside this module, or one of yours.

Columns: ``name``; ``points``, numbers of the 68 points, separated by spaces; ``left``, ``up``, ``right``, ``down``, by
which the box around the points is widened, px of a crop of ROI_SCALE px; ``share`` of the pixels of the box, the
strongest ones by magnitude, over which its flow is the mean, above 0 up to 1.

The first rows are FIRST, in that order: SpotFormer reads ten and pools them as [0:3], [3:6], [6:10] (left brow, right
brow, mouth), and the nose tells head motion (METHOD 5). Points, margins and shares of all rows are free; further rows
are stored for quality control and experiments.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from pfes.base.errors import InputError

ROI_SCALE = 320  # size of crop in which the margins are written, px

FIRST = (
    "left_brow_inner", "left_brow_middle", "left_brow_outer", "right_brow_inner", "right_brow_middle", "right_brow_outer",
    "mouth_left_corner", "mouth_right_corner", "mouth_upper_lip", "mouth_lower_lip", "nose",
)  # fmt: skip
COLUMNS = ("name", "points", "left", "up", "right", "down", "share")


@dataclass(frozen=True)
class Roi:
    """A box around landmarks: their bounding box widened by ``margin`` (left, up, right, down), px at ROI_SCALE.

    ``share``: the flow of the box is the mean over this share of its pixels, the strongest ones by magnitude.
    """

    name: str
    points: tuple[int, ...]
    margin: tuple[float, float, float, float]
    share: float


def read_rois(path: Path | str) -> tuple[Roi, ...]:
    """Return the regions of a table of COLUMNS.

    Raises
    ------
    InputError
        The file is missing, or the line named in the message is wrong.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as a table of regions of interest ({error}); correct its path"
        ) from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(
            f"{path}: the first line is {','.join(rows[0]) or 'empty' if rows else 'missing'}; expected {','.join(COLUMNS)}"
        )
    rois = tuple(_roi(row, f"{path}, line {line}") for line, row in enumerate(rows[1:], 2) if row)
    names = tuple(roi.name for roi in rois)
    for expected, name in zip(FIRST, (*names, *[None] * len(FIRST)), strict=False):
        if name != expected:
            raise InputError(
                f"{path}: region {name or 'missing'} where {expected} must be; the first are {', '.join(FIRST)}"
            )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: region {twice} appears {names.count(twice)} times; expected each name once")
    return rois


def _roi(row: list[str], place: str) -> Roi:
    if len(row) != len(COLUMNS):
        raise InputError(f"{place}: {len(row)} values, expected {len(COLUMNS)}: {','.join(COLUMNS)}")
    name, points, *numbers = row
    try:
        indices = tuple(int(point) for point in points.split())
        left, up, right, down, share = map(float, numbers)
    except ValueError as error:
        raise InputError(
            f"{place}: {error}; expected whole numbers as points and numbers as margins and share"
        ) from error
    if not name or not indices or not all(0 <= point <= 67 for point in indices):
        raise InputError(f"{place}: region {name!r} at points {points!r}; expected a name and points from 0 to 67")
    if not 0 < share <= 1 or not all(margin >= 0 for margin in (left, up, right, down)):
        raise InputError(
            f"{place}: margins {left:g} {up:g} {right:g} {down:g}, share {share:g}; expected margins from 0 on and a share above 0 up to 1"
        )
    return Roi(name, indices, (left, up, right, down), share)


ROIS = read_rois(Path(__file__).with_suffix(".csv"))
ROI_NAMES = tuple(roi.name for roi in ROIS)
NOSE = ROI_NAMES.index("nose")
