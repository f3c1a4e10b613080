"""Crops and regions of interest lie where METHOD 4 and 5 put them."""

import numpy as np
import pytest

from pfes.faces.align import crop, crop_boxes, roi_boxes, stabilise
from pfes.faces.rois import Roi


def face(n_frames=1):
    """Landmarks at zero but for the inner eye corners, 40 px apart around (200, 150)."""
    landmarks = np.zeros((n_frames, 68, 2), np.float32)
    landmarks[:, 39], landmarks[:, 42] = (180, 150), (220, 150)
    return landmarks


def test_crop_box_is_nine_g_wide_around_the_eye_corners():
    """g = 20: columns 200 - 90 .. 200 + 90, rows 150 - 70 .. 150 + 110."""
    assert crop_boxes(face()).tolist() == [[110, 80, 180]]


def test_roi_boxes_scale_with_the_crop():
    """At S = 320 the box of a brow point is 20 x 20 px around it, at S = 160 half of that; corners lean inward."""
    landmarks = np.full((68, 2), 160.0, np.float32)
    box = np.array([0, 0, 320])
    large, small = roi_boxes(landmarks, box, 320), roi_boxes(landmarks, box, 160)
    assert large[0].tolist() == [150, 150, 170, 170]
    assert small[0].tolist() == [75, 75, 85, 85]
    assert large[6].tolist() == [150, 150, 180, 170]
    assert large[7].tolist() == [140, 150, 170, 170]


def test_roi_boxes_outside_of_the_crop_are_cut_and_never_empty():
    boxes = roi_boxes(np.full((68, 2), -500.0, np.float32), np.array([0, 0, 320]), 128)
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 128


@pytest.mark.parametrize("x0", [-2, 3, 6])
@pytest.mark.parametrize("y0", [-2, 3, 6])
def test_crop_beyond_any_border_repeats_the_edge(x0, y0):
    """A box of 6 px in a picture of 10 px, within it and over each of its sides and corners."""
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    padded = np.pad(image, 2, mode="edge")
    expected = padded[y0 + 2 : y0 + 8, x0 + 2 : x0 + 8]
    np.testing.assert_array_equal(crop(image, np.array([x0, y0, 6]), 6), expected)


def test_gaps_are_filled_between_and_held_at_the_ends():
    landmarks = np.tile(np.arange(9, dtype=np.float32)[:, None, None], (1, 68, 2))
    landmarks[[0, 4, 8]] = np.nan
    filled = stabilise(landmarks, sigma=1e-3)
    assert filled[:, 0, 0].tolist() == [1, 1, 2, 3, 4, 5, 6, 7, 7]
    assert np.isnan(landmarks[4]).all()  # the input stays as it was


def test_nothing_passes_from_one_shot_to_the_next():
    """shot    0 0 0 0 1 1 1 1     held at the ends of each shot, not drawn from 1 to 101 over the cut
    x          1 1 1 . . 101 101 101
    """
    landmarks = np.ones((8, 68, 2), np.float32)
    landmarks[5:] = 101
    landmarks[3:5] = np.nan
    cut = np.arange(8) == 4
    assert stabilise(landmarks, cut)[:, 0, 0].tolist() == [1] * 4 + [101] * 4
    assert 1 < stabilise(landmarks)[4, 0, 0] < 101


def test_a_shot_without_a_face_takes_the_nearest_frame_with_one():
    landmarks = np.ones((9, 68, 2), np.float32)
    landmarks[6:] = 7
    landmarks[2:6] = np.nan
    cut = np.isin(np.arange(9), [2, 6])
    assert stabilise(landmarks, cut)[:, 0, 0].tolist() == [1] * 4 + [7] * 5


def test_a_box_is_placed_from_the_table_that_is_given():
    mine = (Roi("chin", (8,), (10, 20, 30, 40), 0.5),)
    boxes = roi_boxes(np.full((68, 2), 160.0, np.float32), np.array([0, 0, 320]), 320, mine)
    assert boxes.tolist() == [[150, 140, 190, 200]]
