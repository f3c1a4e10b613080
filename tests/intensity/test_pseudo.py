"""The curve that onset, apex and offset stand for.

    1          /\\
              /   \\
    0  ______/______\\_____
          onset apex offset
"""

import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.intensity.pseudo import SHAPES, apex_position, pseudo_intensity

TAU = np.linspace(0, 1, 16)


def test_triangle_rises_to_the_apex_and_falls_to_the_offset():
    curve = pseudo_intensity(np.array([0, 0.1, 0.2, 0.4, 0.6, 0.8, 1]), alpha=0.2)
    np.testing.assert_allclose(curve, [0, 0.5, 1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize("shape", ["triangle", "half_sine"])
def test_ends_are_exactly_zero_and_the_apex_exactly_one(shape):
    curve = pseudo_intensity(np.array([0, 0.3, 1]), 0.3, shape)
    np.testing.assert_allclose(curve, [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("shape", ["triangle", "half_sine", "gaussian"])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_an_apex_on_onset_or_offset_has_one_side(shape, alpha):
    curve = pseudo_intensity(TAU, alpha, shape)
    assert curve[0 if alpha == 0 else -1] == 1
    assert curve[-1 if alpha == 0 else 0] == pytest.approx(0, abs=0.012)
    assert (np.diff(curve) * (1 if alpha else -1) > 0).all()


@pytest.mark.parametrize("shape", ["triangle", "half_sine", "gaussian"])
def test_intensity_outside_of_the_expression_is_zero(shape):
    assert (pseudo_intensity(np.array([-0.2, 1.2]), 0.0, shape) == 0).all()


def test_gaussian_has_its_width_on_each_side():
    np.testing.assert_allclose(
        pseudo_intensity(np.array([0.1, 0.5]), 0.3, "gaussian"), [np.exp(-2), np.exp(-((6 / 7) ** 2) / 2)]
    )


def test_gim_shape_follows_the_loop_written_distances():
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (16, 4, 4)).astype(float)
    alpha, apex = 0.4, 6
    centred = [crop - crop.mean() for crop in crops]
    squared = [float(((one - centred[apex]) ** 2).sum()) for one in centred]
    variance = sum(squared) / len(squared)
    expected = [np.exp(-value / (2 * variance)) for value in squared]
    np.testing.assert_allclose(pseudo_intensity(TAU, alpha, "gim", crops), expected)


def test_gim_shape_of_a_still_clip_is_one():
    assert (pseudo_intensity(TAU, 0.5, "gim", np.ones((16, 4, 4))) == 1).all()


@pytest.mark.parametrize(
    ("labels", "alpha"),
    [
        ((10, 13, 20), 0.3),
        ((10, 10, 20), 0),
        ((10, 20, 20), 1),
        ((5, 5, 5), 0),
        ((10, 40, 20), 0.5),
        ((10, np.nan, 20), 0.5),
    ],
)
def test_position_of_the_apex(labels, alpha):
    assert apex_position(*labels) == pytest.approx(alpha)


def test_onset_after_offset_is_named():
    with pytest.raises(InputError, match="onset 9 lies after offset 3"):
        apex_position(9, 9, 3)


def test_unknown_shape_names_the_known_ones():
    with pytest.raises(InputError, match=", ".join(SHAPES)):
        pseudo_intensity(TAU, 0.5, "box")


def test_step_is_0_before_the_apex_and_1_from_it_to_the_offset():
    curve = pseudo_intensity(np.array([-0.1, 0, 0.29, 0.3, 0.6, 1, 1.1]), 0.3, "step")
    assert curve.tolist() == [0, 0, 0, 1, 1, 1, 0]


def test_a_shuffled_triangle_has_its_values_in_an_order_of_its_own():
    rng = np.random.default_rng(1)
    tau = np.concatenate([[-0.1], TAU, [1.1]])
    clips = [rng.integers(0, 255, (18, 4, 4)).astype(np.uint8) for _ in range(20)]
    triangle = pseudo_intensity(tau, 0.4)
    curves = [pseudo_intensity(tau, 0.4, "shuffled", crops) for crops in clips]
    for curve, crops in zip(curves, clips, strict=True):
        assert sorted(curve) == sorted(triangle)
        assert curve[0] == curve[-1] == 0  # outside of the expression nothing moves
        np.testing.assert_array_equal(curve, pseudo_intensity(tau, 0.4, "shuffled", crops))
    assert len({tuple(curve) for curve in curves}) == 20
    mean = np.mean(curves, axis=0)[1:-1]
    assert mean.max() - mean.min() < 0.5  # the position tells little: it is no triangle on average


@pytest.mark.parametrize("shape", ["gim", "shuffled"])
def test_shapes_made_from_pixels_need_the_crops(shape):
    with pytest.raises(ValueError, match=f"{shape} needs the crops"):
        pseudo_intensity(TAU, 0.4, shape)
