"""Times from stamps: gaps, joins and what is refused, on stamps typed by hand."""

import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.media.clock import Clock, SamplingParameters, clock_of_places, clock_of_stamps, sampling_map

PARAMS = SamplingParameters()
EVEN = np.arange(60) / 30


@pytest.mark.parametrize(("header", "rate"), [(30.0, 30.0), (30000 / 1001, 30000 / 1001), (15.6, 30.0), (60.0, 30.0), (0.0, 30.0)])  # fmt: skip
def test_the_header_counts_where_it_agrees_with_the_stamps(header, rate):
    """29.97 moves the last of 60 frames by .06 frames: the header is the exact one; 15.6 and 60 are wrong."""
    clock = clock_of_stamps(EVEN, header)
    assert (clock.fps, clock.times, clock.source) == (pytest.approx(rate), None, "stamps")


def test_without_stamps_the_header_counts_and_is_named():
    assert (clock_of_stamps(None, 25.0).fps, clock_of_stamps(None, 25.0).source) == (25.0, "header")
    assert clock_of_stamps(None, 25.0, given=50.0).source == "sheet"
    with pytest.raises(InputError, match="the file gives a frame rate of 0"):
        clock_of_stamps(None, 0.0)


def test_a_gap_is_time_without_pictures():
    """0 .. 29 at 30 fps, nothing for the time of 18 frames, then 30 more: 78 sampled frames."""
    clock = clock_of_stamps(np.concatenate([EVEN[:30], 1.6 + EVEN[:30]]), 30.0)
    native = sampling_map(clock, 60, PARAMS)
    assert clock.fps == pytest.approx(30)  # not 23.6: the gap is no slow frame
    assert len(native) == 78
    assert np.flatnonzero(clock.missing(native, PARAMS)).tolist() == list(range(32, 46))
    assert np.flatnonzero(clock.begins(native)).tolist() == [39]
    assert clock.gaps() == [(30, pytest.approx(19 / 30))]


def test_a_camera_of_few_frames_has_no_gaps():
    """5 frames per second: each interval is longer than GAP_S."""
    clock = clock_of_stamps(np.arange(20) / 5 + 0.02 * np.sin(np.arange(20)), 5.0)
    assert clock.gaps() == []
    assert not clock.missing(sampling_map(clock, 20, PARAMS), PARAMS).any()


def test_stamps_that_start_anew_are_a_second_recording():
    clock = clock_of_stamps(np.concatenate([10 + EVEN, 1.4 + EVEN]), 30.0)
    assert clock.starts == (60,)
    np.testing.assert_allclose(clock.seconds(np.arange(120)), np.arange(120) / 30, atol=1e-9)


def test_a_leap_is_a_second_recording_only_where_clocks_may_start_anew():
    stamps = np.concatenate([EVEN, 60 + EVEN])
    assert clock_of_stamps(stamps, 30.0, may_jump=True).seconds(np.array([60]))[0] == pytest.approx(2)
    assert clock_of_stamps(stamps, 30.0).gaps() == [(60, pytest.approx(60 - EVEN[-1]))]
    with pytest.raises(InputError, match=r"frame 60 is stamped 2.0 h after the one before"):
        clock_of_stamps(np.concatenate([EVEN, 7200 + EVEN]), 30.0)


def test_stamps_out_of_order_are_put_in_order():
    """H.264 in AVI has none for showing: the decoder's guesses swap neighbours."""
    swapped = EVEN.copy()
    swapped[[10, 11, 20, 22]] = swapped[[11, 10, 22, 20]]
    assert clock_of_stamps(swapped, 30.0).times is None


@pytest.mark.parametrize("rate", [0.5, -30.0, 50_000.0])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(InputError, match="gives a frame rate of"):
        clock_of_stamps(None, 0.0, given=rate)


def test_places_are_times():
    assert clock_of_places(np.arange(10), 25.0).times is None
    clock = clock_of_places(np.array([0, 1, 2, 5, 6, 20]), 25.0)
    np.testing.assert_allclose(clock.times, np.array([0, 1, 2, 5, 6, 20]) / 25)
    assert clock.starts == (5,)
    assert [clock.lost_before(frame) for frame in range(6)] == [0, 0, 0, 2, 2, 15]


def test_a_stretch_begins_where_a_start_was_passed_over():
    """At every 7th frame, start 10 shows in sampled frame 2 (native 14)."""
    clock = Clock(210.0, None, (10,))
    assert clock.begins(np.array([0, 7, 14, 21])).tolist() == [False, False, True, False]
