"""Excursions from rest: known motion is found where it is, holds included; stillness, blinks and a turning head are not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.decoding.proposals import SpotParameters
from pfes.methods.base import Signals
from pfes.methods.registry import training_free
from pfes.methods.training_free import calibration, channels
from pfes.methods.training_free.excursions import find_excursions
from pfes.methods.training_free.parameters import TrainingFreeParameters
from tests.flow.test_displacement import face
from tests.methods.test_baseline import snippets_of

T, FPS = 400, 30.0
METHOD = training_free("training_free")
LEFT_BROW, MOUTH = slice(0, 3), slice(6, 10)


def excursion(onset: int, rise: int, hold: int, fall: int, height: float) -> np.ndarray:
    """Displacement [T]:  ____/----\\____  rises from onset on, holds, falls; ``rise`` .. ``fall`` in frames."""
    corners = np.cumsum([onset, rise, hold, fall])
    return height * np.interp(np.arange(T), corners, [0, 1, 1, 0])


def signals(measured: np.ndarray, **others: Any) -> Signals:
    """A video of displacement [T, 10, 2] in g with a little noise, of a face whose landmarks stand still."""
    noise = 0.003 * np.random.default_rng(0).normal(size=measured.shape)
    made = Signals(
        measured=measured + noise,
        valid=np.ones(len(measured), bool),
        cut=np.zeros(len(measured), bool),
        fps=FPS,
        landmarks=np.broadcast_to(face(), (len(measured), 68, 2)).copy(),
        pose=np.zeros((len(measured), 3)),
    )
    return replace(made, **others)


def spot(seen: Signals, **own: Any) -> pd.DataFrame:
    params = SpotParameters(sections=(TrainingFreeParameters(**own),))
    return METHOD.propose({**METHOD.curves(seen, params), "valid": seen.valid}, params, seen.fps)


def moved(onset: int = 150, rise: int = 10, hold: int = 0, fall: int = 14, height: float = 0.2) -> np.ndarray:
    """Displacement [T, 10, 2] of a mouth that is pulled once."""
    track = np.zeros((T, 10, 2))
    track[:, MOUTH, 1] = excursion(onset, rise, hold, fall, height)[:, None]
    return track


#        100   112   124               300 306 313
#  rest ___/ macro  \__________________/micro \_____
def test_a_macro_and_a_micro_expression_are_found_where_they_are() -> None:
    track = moved(100, 12, 0, 12, 0.3)
    track[:, LEFT_BROW, 1] -= excursion(300, 6, 0, 7, 0.09)[:, None]
    found = spot(signals(track))
    assert found["class"].tolist() == ["macro", "micro"]
    assert found["apex"].to_numpy() == pytest.approx([112, 306], abs=2)
    assert found["onset"].to_numpy() == pytest.approx([100, 300], abs=2)
    assert found["offset"].to_numpy() == pytest.approx([124, 313], abs=2)
    assert (found["score"] > 1).all()


@pytest.mark.parametrize("hold", [0, 30, 60])
def test_a_held_expression_is_one_interval(hold: int) -> None:
    found = spot(signals(moved(150, 8, hold, 10)))
    assert len(found) == 1
    assert found["onset"][0] == pytest.approx(150, abs=2)
    assert found["offset"][0] == pytest.approx(150 + 8 + hold + 10, abs=2)


def test_what_is_held_for_longer_than_any_expression_is_none() -> None:
    curve, params = excursion(100, 8, 140, 10, 5.0), TrainingFreeParameters()
    assert len(find_excursions(curve, FPS, params, 0.7).apexes) == 0
    assert len(find_excursions(curve, 2 * FPS, params, 0.7).apexes) == 1  # half as long


def test_an_excursion_that_the_recording_cuts_off_ends_with_it() -> None:
    """And backwards begins with it: no frame is named that is not there."""
    curve = np.r_[np.zeros(60), np.linspace(0, 3, 20), np.full(40, 3.0)]
    for seen, side in ((curve, 1), (curve[::-1], 0)):
        found = find_excursions(seen, FPS, TrainingFreeParameters(), 0.7)
        assert len(found.intervals) == 1
        assert found.intervals[0, side] == (len(curve) - 1 if side else 0)
        assert 0 < found.intervals[0, 1 - side] < len(curve) - 1


def test_two_expressions_that_nearly_meet_are_two() -> None:
    found = spot(signals(moved(100, 8, 8, 8) + moved(126, 8, 8, 8)))
    assert found["onset"].tolist() == pytest.approx([100, 126], abs=2)


@pytest.mark.parametrize("n_frames", [0, 1, 17, T])
def test_a_still_face_gives_nothing(n_frames: int) -> None:
    assert len(spot(signals(np.zeros((n_frames, 10, 2))))) == 0


def test_noise_sets_the_threshold() -> None:
    noise = np.random.default_rng(1).normal(size=(T, 10, 2))
    assert len(spot(signals(moved(height=0.1)))) == 1
    assert len(spot(signals(moved(height=0.1) + 0.08 * noise))) == 0
    assert len(spot(signals(moved(height=2.0) + 0.08 * noise))) == 1


def test_motion_of_landmarks_alone_counts_too() -> None:
    landmarks = np.broadcast_to(face(), (T, 68, 2)).copy()
    landmarks[:, 48:60, 1] += 20 * excursion(150, 10, 20, 10, 0.6)[:, None]  # the face has g = 20 px
    found = spot(signals(np.zeros((T, 10, 2)), landmarks=landmarks))
    assert found["onset"].tolist() == pytest.approx([150], abs=2)


def test_landmarks_of_a_head_that_moves_as_a_whole_do_not() -> None:
    sway = excursion(150, 10, 20, 10, 1.0)
    turn = (1 + 0.2 * sway) * np.exp(0.3j * sway)
    z = (face() @ [1, 1j])[None] * turn[:, None] + 30 * sway[:, None]
    landmarks = np.stack([z.real, z.imag], -1)
    assert channels.aligned(landmarks) == pytest.approx(
        np.broadcast_to(channels.aligned(landmarks)[:1], (T, 68, 2)), abs=1e-6
    )
    assert len(spot(signals(np.zeros((T, 10, 2)), landmarks=landmarks))) == 0


def test_a_turned_head_raises_the_threshold() -> None:
    pose = np.zeros((T, 3))
    pose[:, 0] = 20 * excursion(150, 10, 0, 14, 1.0)
    assert len(spot(signals(moved()))) == 1
    assert len(spot(signals(moved(), pose=pose))) == 0
    assert len(spot(signals(moved(), pose=pose), head_g_per_deg=0.0)) == 1


def blinking(*frames: int) -> np.ndarray:
    """Landmarks [T, 68, 2] whose eyes shut for five frames from each of ``frames`` on."""
    landmarks = np.broadcast_to(face(), (T, 68, 2)).copy()
    for first in frames:
        for lids in ([37, 38, 40, 41], [43, 44, 46, 47]):
            landmarks[first : first + 5, lids, 1] = 115
    return landmarks


def test_a_blink_is_found_and_a_shut_eye_is_none() -> None:
    found = channels.blinks(blinking(100), FPS)
    assert np.flatnonzero(found).tolist() == list(range(97, 108))
    asleep = blinking(*range(100, 160, 5))
    assert not channels.blinks(asleep, FPS)[110:150].any()
    assert not channels.blinks(np.full((T, 68, 2), np.nan), FPS).any()


def test_brows_that_move_with_a_blink_are_no_expression() -> None:
    track = np.zeros((T, 10, 2))
    track[:, LEFT_BROW, 1] = excursion(97, 4, 3, 3, 0.12)[:, None]
    assert len(spot(signals(track))) == 1
    assert len(spot(signals(track, landmarks=blinking(100)))) == 0


def test_an_expression_that_is_cut_off_by_the_end_counts_only_once_it_has_arrived() -> None:
    assert len(spot(signals(moved(360, 10, 100, 1)))) == 1
    assert len(spot(signals(moved(380, 30, 10, 1)))) == 0


def test_frames_without_a_face_hold_no_expression() -> None:
    valid = np.ones(T, bool)
    valid[140:200] = False
    assert len(spot(signals(moved(), valid=valid))) == 0
    assert len(spot(signals(moved(), valid=np.zeros(T, bool)))) == 0


def test_nothing_passes_a_cut() -> None:
    cut = np.zeros(T, bool)
    cut[200] = True
    track = np.zeros((T, 10, 2))
    track[200:] = 5.0  # another shot, displaced against another picture
    assert len(spot(signals(track, cut=cut))) == 0


def test_signals_are_left_as_they_are() -> None:
    seen = signals(moved(), landmarks=blinking(100))
    before = seen.measured.copy(), seen.landmarks.copy()
    spot(seen)
    assert (seen.measured == before[0]).all() and (seen.landmarks == before[1]).all()


def test_positions_summed_up_from_exact_snippets_are_exact() -> None:
    positions = np.cumsum(np.random.default_rng(0).normal(size=(60, 10, 2)), axis=0)
    found = channels.integrated(snippets_of(positions).astype(np.float64))
    assert found - found[0] == pytest.approx(positions - positions[0], abs=1e-3)
    assert channels.integrated(np.zeros((0, 17, 10, 2))).shape == (0, 10, 2)


def test_an_expression_is_found_from_snippets_too() -> None:
    px = 128 / 9
    found = spot(signals(snippets_of(moved() * px)), motion="snippets")
    assert found["onset"].tolist() == pytest.approx([150], abs=2)


def peaks(heights: list[float], minutes: float) -> np.ndarray:
    """A distance curve of ``minutes`` with one triangle of each height, of 21 frames, evenly spread."""
    curve = np.zeros(round(minutes * 60 * FPS))
    for place, height in zip(np.linspace(30, len(curve) - 30, len(heights)).astype(int), heights, strict=True):
        curve[place - 10 : place + 11] = height * (1 - np.abs(np.arange(-10, 11)) / 11)
    return curve


@pytest.mark.parametrize(("rate", "alarms"), [(1, 2), (2, 4), (3, 6)])
def test_the_threshold_leaves_the_wanted_alarms_on_the_neutral_stretch(rate: float, alarms: int) -> None:
    curve = peaks([0.1 * k for k in range(1, 13)], 2.0)
    params = TrainingFreeParameters()
    found = calibration.calibrate(curve, np.ones(len(curve), bool), FPS, params, rate)
    assert (found.rule, found.alarms) == ("counted", alarms)
    assert len(find_excursions(curve, FPS, params, found.threshold).apexes) == alarms
    assert found.threshold == pytest.approx(0.1 * (12 - alarms))


def test_alarms_outside_of_the_neutral_stretch_count_for_nothing() -> None:
    curve = np.concatenate([peaks([1.0] * 5, 1.0), peaks([9.0] * 5, 1.0)])
    neutral = np.arange(len(curve)) < len(curve) // 2
    found = calibration.calibrate(curve, neutral, FPS, TrainingFreeParameters(), 2)
    assert found.threshold == pytest.approx(1.0)


def test_a_short_stretch_is_extended_by_a_law_of_extremes() -> None:
    """Mean .5 and standard deviation .25 of the maxima of 8 blocks: Gumbel scale .195, location .387; quantile 1 - 1 / 30."""
    curve = np.concatenate([peaks([height], 2 / 60) for height in [0.25, 0.75] * 4])
    found = calibration.calibrate(curve, np.ones(len(curve), bool), FPS, TrainingFreeParameters(), 1)
    scale = np.std([0.25, 0.75] * 4, ddof=1) * np.sqrt(6) / np.pi
    assert found.rule == "law"
    assert found.threshold == pytest.approx(0.5 - 0.5772 * scale - scale * np.log(-np.log(1 - 1 / 30)), abs=1e-3)


def test_a_minute_without_alarms_bounds_the_rate_by_three() -> None:
    assert calibration.Calibration(1.0, 1.0, 0, "counted").bound == pytest.approx(3.0, abs=0.01)
    assert calibration.Calibration(1.0, 2.0, 0, "counted").bound == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize(
    ("minutes", "rate", "message"), [(0.1, 1, "expected at least 10"), (1.0, 0, "expected more than 0")]
)
def test_a_calibration_that_can_say_nothing_is_refused(minutes: float, rate: float, message: str) -> None:
    curve = np.zeros(round(minutes * 60 * FPS))
    with pytest.raises(InputError, match=message):
        calibration.calibrate(curve, np.ones(len(curve), bool), FPS, TrainingFreeParameters(), rate)
