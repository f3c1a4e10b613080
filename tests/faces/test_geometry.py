"""Size and pose of a face whose geometry is known."""

import numpy as np
import pytest

from pfes.faces.geometry import HEAD_MODEL, interocular, pose, sharpness, size


def seen(yaw=0.0, pitch=0.0, roll=0.0, picture=(640, 480)):
    """The generic head turned by these angles in degrees, seen from 600 mm by the camera that ``pose`` assumes."""
    y, p, r = np.deg2rad([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    points = np.zeros((68, 2), np.float32)
    for index, place in HEAD_MODEL.items():
        x, down, z = about_z @ about_y @ about_x @ np.array(place, float)
        points[index] = np.array([x, down]) * picture[0] / (600 + z) + np.array(picture) / 2
    return points


@pytest.mark.parametrize("angle", [-75, -60, -30, 0, 30, 60, 75])
def test_a_head_turned_to_a_side_has_that_yaw(angle):
    yaw, pitch, roll = pose(seen(yaw=angle), (640, 480))
    assert yaw == pytest.approx(angle, abs=1)
    assert abs(pitch) < 2 and abs(roll) < 2


def test_pitch_and_roll_are_told_apart():
    assert pose(seen(pitch=25), (640, 480)) == pytest.approx([0, 25, 0], abs=1)
    assert pose(seen(roll=20), (640, 480)) == pytest.approx([0, 0, 20], abs=1)


def test_no_face_has_no_pose():
    assert np.isnan(pose(np.full((68, 2), np.nan, np.float32), (640, 480))).all()


def test_sizes_are_those_of_the_points():
    points = np.zeros((2, 68, 2), np.float32)
    points[0, 36:42], points[0, 42:48], points[0, 8] = (30, 40), (90, 120), (50, 162)
    points[1] = np.nan
    assert interocular(points)[0] == pytest.approx(100)
    assert np.isnan(interocular(points)[1])
    assert size(points[0]) == pytest.approx(np.sqrt(90 * 162))


def test_a_blurred_face_is_less_sharp():
    rng = np.random.default_rng(0)
    sharp = np.repeat(rng.integers(0, 255, (100, 100, 1), np.uint8), 3, axis=2)
    import cv2

    points = np.stack([np.linspace(20, 80, 68)] * 2, axis=-1).astype(np.float32)
    assert sharpness(cv2.GaussianBlur(sharp, (0, 0), 2), points) < 0.1 * sharpness(sharp, points)
    assert np.isnan(sharpness(sharp, points - 500))
