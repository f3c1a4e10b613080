"""The table of regions holds what METHOD 5 says; a table of one's own is checked line by line."""

import re

import pytest

from pfes.base.errors import InputError
from pfes.faces.align import read_rois
from pfes.faces.rois import FIRST, NOSE, ROI_NAMES, ROIS, Roi

HEADER = "name,points,left,up,right,down,share"
LINES = [HEADER, *(f"{name},{20 + i},10,10,10,10,0.3" for i, name in enumerate(FIRST))]


def read(tmp_path, lines):
    (tmp_path / "rois.csv").write_text("\n".join(lines) + "\n")
    return read_rois(tmp_path / "rois.csv")


def changed(line, text):
    return [text if i == line else old for i, old in enumerate(LINES)]


def test_the_first_ten_are_those_that_spotformer_pools():
    """Left brow from inside out, right brow from inside out, mouth: left, right, upper, lower."""
    assert [roi.points for roi in ROIS[:10]] == [(20,), (19,), (18,), (23,), (24,), (25,), (48,), (54,), (51,), (57,)]


def test_the_shipped_table_is_that_of_the_method():
    """Boxes of 20 x 20 px at 320; corners lean inward; 20 to 30 % of the pixels; nose 29, 30 with 70 %."""
    assert ROIS[0] == Roi("left_brow_inner", (20,), (10, 10, 10, 10), 0.3)
    assert ROIS[6] == Roi("mouth_left_corner", (48,), (10, 10, 20, 10), 0.2)
    assert ROIS[7] == Roi("mouth_right_corner", (54,), (20, 10, 10, 10), 0.2)
    assert ROIS[NOSE] == Roi("nose", (29, 30), (10, 10, 10, 10), 0.7)
    assert ROI_NAMES[11:] == ("left_lower_eyelid", "right_lower_eyelid", "inner_mouth")


def test_a_table_of_ones_own_may_change_numbers_and_add_regions(tmp_path):
    rois = read(tmp_path, [*changed(1, "left_brow_inner,21 20,5,6,7,8,1"), "chin,8,4,4,4,4,0.5"])
    assert rois[0] == Roi("left_brow_inner", (21, 20), (5, 6, 7, 8), 1)
    assert (len(rois), rois[-1].name) == (12, "chin")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "the first line is empty; expected name,points"),
        (["name,points"], "the first line is name,points; expected name,points,left"),
        (LINES[:5], "region missing where right_brow_middle must be"),
        (changed(1, LINES[2]), "region left_brow_middle where left_brow_inner must be"),
        ([*LINES, LINES[1]], "region left_brow_inner appears 2 times"),
        (changed(3, "left_brow_outer,68,10,10,10,10,0.3"), "line 4: region 'left_brow_outer' at points '68'; expected"),
        (changed(3, "left_brow_outer,,10,10,10,10,0.3"), "line 4: region 'left_brow_outer' at points ''"),
        (changed(3, "left_brow_outer,18,10,x,10,10,0.3"), "line 4: could not convert string to float: 'x'"),
        (changed(3, "left_brow_outer,18,10,10,10,10,1.5"), "line 4: margins 10 10 10 10, share 1.5; expected"),
        (changed(3, "left_brow_outer,18,10,10,nan,10,.5"), "line 4: margins 10 10 nan 10, share 0.5; expected"),
        (changed(3, "left_brow_outer,18,10"), "line 4: 3 values, expected 7"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read(tmp_path, lines)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match="mine.csv: cannot be read as a table of regions of interest"):
        read_rois(tmp_path / "mine.csv")
