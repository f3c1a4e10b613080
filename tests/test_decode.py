"""Frame counts come from decoding; native and sampled frames line up; bad files say what they are."""

import cv2
import numpy as np
import pytest

from pfes.decode import (
    SamplingParameters,
    count_frames,
    frame_rate,
    native_to_sampled,
    read_frames,
    read_sampled,
    sampled_to_native,
)
from pfes.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Twelve grey images img1.png .. img12.png whose grey level is ten times their number."""
    for number in range(1, 13):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((16, 16, 3), 10 * number, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("native_fps", "step"),
    [(30, 1), (29.97, 1), (60, 2), (200, 7), (25, 25 / 30), (23.976, 23.976 / 30), (45, 1.5)],
)
def test_an_integer_stride_is_taken_where_it_is_near_enough(native_fps, step):
    assert SamplingParameters().step(native_fps) == pytest.approx(step)


def test_sampled_frame_of_a_label_rounds_ties_to_even():
    """At 60 fps, k = 2: frames 1, 3, 5, 7 lie half way; the even neighbour takes them."""
    assert native_to_sampled(np.array([0, 1, 2, 3, 4, 5, 6, 7]), 2.0, 100).tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


def test_a_label_at_the_end_stays_inside_the_video():
    n_frames = len(sampled_to_native(11, 7.0))  # native 0 and 7
    assert n_frames == 2
    assert native_to_sampled(np.array([10, 11]), 7.0, n_frames).tolist() == [1, 1]


@pytest.mark.parametrize("step", [1.0, 2.0, 7.0, 25 / 30, 23.976 / 30, 1.5])
@pytest.mark.parametrize("n_native", [0, 1, 2, 17, 100])
def test_streaming_and_the_index_agree(step, n_native, monkeypatch):
    """What read_sampled yields is what sampled_to_native says, for every length and step."""
    monkeypatch.setattr("pfes.decode.read_frames", lambda path: iter(range(n_native)))
    streamed = [native for native, _ in read_sampled("any", step)]
    assert streamed == sampled_to_native(n_native, step).tolist()


def test_folders_sort_by_number(folder):
    levels = [int(frame[0, 0, 0]) for frame in read_frames(folder)]
    assert levels == [10 * number for number in range(1, 13)]
    assert count_frames(folder) == 12


def test_an_unreadable_image_keeps_its_place(folder):
    (folder / "img5.png").write_bytes(b"broken")
    frames = list(read_frames(folder))
    assert [index for index, frame in enumerate(frames) if frame is None] == [4]
    assert len(frames) == 12


def test_counts_are_decoded_and_not_the_headers(shared_data):
    assert count_frames(shared_data / "videos/no_face.mp4") == 95  # the header says 98
    assert sum(1 for _ in read_frames(shared_data / "videos/WolfgangLanger_Pexels.mp4")) == 472


def test_a_recording_below_30_fps_is_resampled_by_time(shared_data):
    path = shared_data / "videos/WolfgangLanger_Pexels.mp4"
    step = SamplingParameters().step(frame_rate(path))
    assert len(sampled_to_native(472, step)) == pytest.approx(472 / 23.976 * 30, abs=1)


def test_missing_empty_and_foreign_files_are_named(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video " * 100)
    for name, message in (("gone.mp4", "no such file"), ("empty.mp4", "0 bytes"), ("text.mp4", "not a video")):
        with pytest.raises(InputError, match=rf"{name}: .*{message}"):
            next(read_frames(tmp_path / name))


def test_folder_problems_are_named(tmp_path):
    with pytest.raises(InputError, match="holds no image"):
        count_frames(tmp_path)
    with pytest.raises(InputError, match="no frame rate"):
        frame_rate(tmp_path)
    (tmp_path / "first.png").touch()
    with pytest.raises(InputError, match=r"first.png does not end in a number"):
        count_frames(tmp_path)
