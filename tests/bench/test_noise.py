"""The parts of flow's error, of errors that are known."""

import numpy as np
import pytest

from pfes.bench.noise import figure, made, statistics
from pfes.synthetic.noise import NoiseParameters

RNG = np.random.default_rng(0)


def test_a_known_error_without_motion_is_told_apart():
    """White error of .05 px that is the same in every region, nothing of it common to two steps."""
    error = np.tile(RNG.normal(0, 0.05, (400, 17, 1, 2)), (1, 1, 10, 1))
    found = statistics([(error, np.zeros_like(error))])
    assert found["deviation, px"]["step 8"] == pytest.approx(0.05, rel=0.05)
    assert found["correlation"]["brow, mouth"] == pytest.approx(1)
    assert abs(found["correlation"]["steps 15, 16"]) < 0.05 and abs(found["correlation"]["4 frames"]) < 0.05
    assert np.isnan(found["share measured"]["1 to 2 px, median"])


def test_the_share_of_the_motion_that_is_measured_is_found():
    true = np.tile([1.5, 0.0], (100, 17, 10, 1))
    found = statistics([(0.8 * true, true)])["share measured"]
    assert found["1 to 2 px, p10"] == found["1 to 2 px, p90"] == pytest.approx(0.8)


def test_made_motion_without_error_has_none():
    none = NoiseParameters(0, 0, 1, 0, 1, 0, 0, 0, (1, 1), (5, 5), 0)
    found = statistics(made(3, noise=none))
    assert max(found["deviation, px"].values()) < 1e-5
    assert figure(found, found).axes[0].get_title() == "deviation, px"
