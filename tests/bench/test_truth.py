"""The comparison with the demo's truth, on motion that is known."""

import numpy as np
import pytest

from pfes.bench.truth import _frames, agreement, true_motion

RNG = np.random.default_rng(0)


def test_the_truth_agrees_with_itself():
    true = RNG.normal(size=(5, 16, 10, 2))
    found = agreement(true, true)
    assert found["correlation"] == pytest.approx(1)
    assert found["slope"] == pytest.approx(1)
    assert found["p90"] == found["moving p90"] == 0


def test_half_of_the_motion_is_a_slope_of_a_half():
    """Ten vectors of 2 px measured as 1 px, ten of .1 px measured exactly: the latter do not count as moving."""
    true = np.concatenate([np.tile([2.0, 0.0], (10, 1)), np.tile([0.0, 0.1], (10, 1))])
    measured = true * np.where(true[:, :1] > 0, 0.5, 1)
    found = agreement(measured, true)
    assert found["slope"] == pytest.approx(0.5)
    assert (found["moving"], found["moving median"]) == (10, pytest.approx(1))
    assert found["median"] == pytest.approx(0.5)  # between ten errors of 0 and ten of 1


def test_nothing_that_moves_is_nan_not_an_error():
    found = agreement(np.zeros((3, 2)), np.zeros((3, 2)))
    assert found["moving"] == 0
    assert all(np.isnan(found[name]) for name in ("correlation", "slope", "moving median"))


def test_true_motion_is_that_of_the_landmarks_in_crop_px():
    """Point 20 moves by 1 px a frame to the right, the nose stays; the eyes set a crop of 90 px, scaled to 180: twice."""
    landmarks = np.tile(RNG.uniform(50, 60, (68, 2)).astype(np.float32), (20, 1, 1))
    landmarks[:, 39], landmarks[:, 42] = (40, 50), (60, 50)  # g = 10
    moved = landmarks.copy()
    moved[:, 20, 0] += np.arange(20)
    motion = true_motion(moved, landmarks, 180)
    assert motion[10, :, 0, 0] == pytest.approx(2 * np.arange(17), abs=1e-4)
    assert np.abs(motion[:, :, 1:]).max() < 1e-4
    assert motion[0, :9, 0, 0] == pytest.approx(0)  # the first frame repeats


def test_frames_of_a_class_and_those_far_from_any():
    """Instance 20 .. 29 of 60 frames: outside are the frames whose window of 17 does not touch it, 0 .. 11 and 38 .. 59."""
    spans = _frames([{"class": "micro", "onset": 20, "offset": 29}], np.ones(60, bool))
    assert np.flatnonzero(spans["micro"]).tolist() == list(range(20, 30))
    assert np.flatnonzero(spans["none"]).tolist() == [*range(12), *range(38, 60)]
    assert not spans["macro"].any()
