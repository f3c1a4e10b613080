"""Agreement of two coders, against numbers worked out by hand."""

import numpy as np
import pytest

from pfes.labelling.agreement import agreement_of, compare, frame_labels, kappa
from pfes.media.clock import Clock
from tests.conftest import write_video


def row(kind, onset=None, offset=None, point=None, video=0):
    return {"class": kind, "onset": onset, "apex": None, "offset": offset, "point": point, "video": video}


def test_kappa_is_cohens():
    # 20 frames: both yes 9, first alone 3, second alone 1, both no 7; p_o = .8, p_e = .6 .5 + .4 .5 = .5
    first = np.repeat([1, 1, 0, 0], [9, 3, 1, 7])
    second = np.repeat([1, 0, 1, 0], [9, 3, 1, 7])
    assert kappa(first, second) == pytest.approx((0.8 - 0.5) / 0.5)
    assert kappa(first, first) == 1 and np.isnan(kappa(np.zeros(4), np.zeros(4)))


def test_intervals_and_clicks_are_paired_one_to_one():
    # 100 frames, 10 per second
    # first   macro [10..19]   macro [40..49]     micro click 70
    # second  macro [12..21]   macro [46..55]     micro click 74   micro click 75
    # IoU     8 / 12           4 / 16: no pair    .4 s: a pair     its click is taken
    first = [row("macro", 10, 19), row("macro", 40, 49), row("micro", point=70)]
    second = [row("macro", 12, 21), row("macro", 46, 55), row("micro", point=74), row("micro", point=75)]
    found = compare(first, second, [Clock(10.0)], [100]).set_index("class")
    assert found.loc["macro", ["first", "second", "pairs"]].tolist() == [2, 2, 1]
    assert found.loc["macro", "agreement"] == 0.5 and found.loc["macro", "apart_s"] == pytest.approx(0.2)
    assert found.loc["micro", ["first", "second", "pairs"]].tolist() == [1, 2, 1]
    assert found.loc["micro", "apart_s"] == pytest.approx(0.4)
    assert found.loc["overall", "agreement"] == pytest.approx(2 * 2 / 7)
    # macro frames: 20 each, 12 shared: p_o = .84, p_e = .2 .2 + .8 .8 = .68
    assert found.loc["macro", "kappa"] == pytest.approx((0.84 - 0.68) / 0.32)


def test_a_click_stands_for_the_frames_around_it_and_neutral_for_none():
    labels = frame_labels([row("macro", point=5), row("neutral", 0, 9), row("micro", point=0)], 12, 10.0, 0.5)
    assert labels.tolist() == [2, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0]


def test_sheets_of_two_coders(tmp_path):
    write_video(tmp_path / "a.mp4", np.arange(40) / 10)
    (tmp_path / "videos.csv").write_text("subject,video,path\nanna,a,a.mp4\n")
    for name, point in (("one", 10), ("two", 12)):
        (tmp_path / f"{name}.csv").write_text(f"subject,video,class,point\nanna,a,macro,{point}\n")
    found = agreement_of(tmp_path / "one.csv", tmp_path / "two.csv", tmp_path / "videos.csv").set_index("class")
    assert found.loc["overall", ["pairs", "agreement"]].tolist() == [1, 1.0]
    # frames 8..12 and 10..14 of 40: p_o = .9, p_e = .125^2 + .875^2
    assert found.loc["overall", "kappa"] == pytest.approx((0.9 - 0.78125) / 0.21875)
