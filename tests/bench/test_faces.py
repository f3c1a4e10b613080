"""What the comparison of two backends says where the difference is known."""

import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.bench.faces import backend_differences

T = 30


def arrays(shift=(0.0, 0.0), gain=1.0):
    """A face of 68 points at random places, with eyes 40 px apart (crop box 9 x 20 px), and random flow."""
    points = np.random.default_rng(0).uniform(50, 150, (1, 68, 2)).astype(np.float32)
    points[0, 39], points[0, 42] = (80, 80), (120, 80)
    flow = np.random.default_rng(1).normal(size=(T, 17, 14, 2)).astype(np.float32)
    return {
        "landmarks": np.repeat(points + np.float32(shift), T, axis=0),
        "cut": np.zeros(T, np.uint8),
        "interocular": np.full(T, 50.0),
        "state": np.zeros(T, np.uint8),
        "valid": np.ones(T, np.uint8),
        "flow": gain * flow,
    }


def test_the_same_differs_by_nothing():
    table = backend_differences(arrays(), arrays(), size=128).set_index("region")
    assert len(table) == 11
    assert table.loc["all", "r"] == pytest.approx(1)
    assert table.drop(columns=["r", "flow"]).to_numpy().max() == 0


def test_a_shift_is_measured_in_px_of_the_crop_and_in_eye_distances():
    """(3, 4) px of the recording are 5 px x 128 / 180 of the crop, and 10 % of 50 px."""
    row = backend_differences(arrays(), arrays(shift=(3, 4)), size=128).set_index("region").loc["left_brow_inner"]
    assert row[["px median", "px p95", "px constant"]].tolist() == pytest.approx([5 * 128 / 180] * 3, abs=1e-3)
    assert row[["eyes median", "eyes p95"]].tolist() == pytest.approx([10, 10], abs=1e-3)


def test_features_of_half_the_size_correlate_and_differ_by_half():
    row = backend_differences(arrays(), arrays(gain=0.5), size=128).set_index("region").loc["all"]
    assert row["r"] == pytest.approx(1)
    assert row["difference"] == pytest.approx(row["flow"] / 2, rel=1e-3)


def test_frames_that_one_of_them_cannot_use_do_not_count():
    wrong = arrays()
    wrong["state"][:20] = 2
    wrong["landmarks"][:20] += 50
    wrong["cut"][20] = 1
    assert backend_differences(arrays(), wrong, size=128)["px p95"].max() == 0
    wrong["valid"][20:] = 0
    with pytest.raises(InputError, match="no frame is usable and valid with both backends"):
        backend_differences(arrays(), wrong, size=128)
