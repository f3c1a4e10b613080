"""Frames by number: entering a file anywhere gives the pictures that decoding it from the beginning gives."""

import cv2
import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.labelling.pictures import Pictures
from pfes.media import decode
from tests.conftest import write_video


def moving(index):
    """A bright square on its way, so that pictures between key frames are made from others."""
    picture = np.full((64, 96, 3), 40, np.uint8)
    picture[20:40, (2 * index) % 70 : (2 * index) % 70 + 20] = 220
    return picture


@pytest.mark.parametrize(
    "steps", [np.full(300, 1 / 30), np.where(np.arange(300) % 7 == 0, 0.05, 0.03)], ids=["even", "uneven"]
)
def test_a_leap_gives_the_frame_of_that_number(tmp_path, steps):
    path = write_video(tmp_path / "a.mp4", np.cumsum(steps), moving)
    whole = list(decode.read_frames(path))
    for first in (299, 0, 1, 137, 250, 251, 31):
        following = decode.read_frames(path, first)
        for expected in whole[first : first + 3]:
            assert np.array_equal(next(following), expected), first


@pytest.mark.parametrize("name", ["rotated_90.mp4", "long_last_frame.mp4"])
def test_a_phones_turn_and_an_odd_last_frame_make_no_difference(shared_data, name):
    path = shared_data / "files" / name
    whole = list(decode.read_frames(path))
    for first in (95, 50, 1):
        assert np.array_equal(next(decode.read_frames(path, first)), whole[first])


def test_pictures_are_those_frames_in_any_order(tmp_path):
    path = write_video(tmp_path / "a.mp4", np.arange(120) / 30, moving)
    pictures, whole = Pictures(path, 120), list(decode.read_frames(path))
    for frame in (0, 1, 2, 100, 40, 41, 99, 119, 0):
        shown = cv2.imdecode(np.frombuffer(pictures.jpeg(frame), np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(shown.astype(int) - whole[frame]).mean() < 3, frame
    with pytest.raises(InputError, match="no frame 120, expected 0 to 119"):
        pictures.jpeg(120)


def test_a_tall_recording_is_scaled_and_a_folder_of_images_read(tmp_path):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"img{index:03}.png"), np.full((1440, 200, 3), 60 * index, np.uint8))
    shown = cv2.imdecode(np.frombuffer(Pictures(tmp_path, 3).jpeg(2), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (720, 100, 3) and abs(int(shown[360, 50, 0]) - 120) <= 2
