"""What one row of an expressions sheet says, in frames or in seconds."""

import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.datasets.marks import read_mark
from pfes.media.clock import Clock


def test_a_row_may_hold_one_frame_an_interval_or_both():
    click = read_mark({"class": "MaE", "point": "12"}, 0)
    assert (click.kind, click.click, click.interval) == ("macro", 12, False)
    apex = read_mark({"class": "micro", "apex": "7", "onset": "5"}, 0)
    assert (apex.click, apex.interval) == (7, False)
    both = read_mark({"class": "macro", "onset": "11", "apex": "15", "offset": "20", "point": "13"}, 1)
    assert (both.onset, both.apex, both.offset, both.click, both.interval) == (10, 14, 19, 12, True)
    assert read_mark({"class": "Neutral", "onset": "0", "offset": "9"}, 0).kind == "neutral"


def test_seconds_are_the_nearest_frames_of_the_clock():
    #  frame   0    1    2        3
    #  shown   0   .1   .2       .5     (a gap of three frame times before frame 3)
    clock = Clock(10.0, np.array([0, 0.1, 0.2, 0.5]))
    mark = read_mark({"class": "macro", "onset_s": "0.06", "offset_s": "0,46", "point_s": "0.2"}, 0)
    assert mark.frames(clock) == {"onset": 1, "apex": None, "offset": 3, "point": 2}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"class": "blink", "point": "1"}, "class 'blink', expected macro, micro or neutral"),
        ({"class": "macro"}, "no frame: expected point, or apex, or both onset and offset"),
        ({"class": "macro", "onset": "3"}, "no frame"),
        (
            {"class": "macro", "point": "1.5"},
            r"point '1.5', expected a frame number from 0 on, not seconds \(those are",
        ),
        ({"class": "macro", "point_s": "-1"}, "point_s '-1', expected a time from 0 on"),
        ({"class": "macro", "point": "3", "onset_s": "0.1"}, "point in frames and onset_s in seconds"),
        ({"class": "macro", "onset": "3", "offset": "9", "point": "10"}, r"point 10 lies outside of 3\.\.9"),
        ({"class": "macro", "onset": "3", "point": "2"}, r"point 2 lies outside of 3\.\."),
        ({"class": "neutral", "point": "3"}, "a neutral stretch has an onset and an offset"),
        ({"class": "neutral", "onset": "3"}, "a neutral stretch has an onset and an offset"),
    ],
)
def test_what_cannot_be_meant_is_said(cells, message):
    with pytest.raises(InputError, match=message):
        read_mark(cells, 0)
