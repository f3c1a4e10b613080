"""Frame counts come from decoding; native and sampled frames line up; bad files say what they are."""

import cv2
import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.media.decode import (
    Clock,
    SamplingParameters,
    count_frames,
    native_to_sampled,
    read_at,
    read_frames,
    read_sampled,
    recording_clock,
    sampled_to_native,
    sampling_map,
    strides,
)
from pfes.media.encode import encode
from tests.conftest import write_video

PARAMS = SamplingParameters()


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A webcam in the dark: 60 frames at 1/30, 1/20 or 1/15 s from each other, the first not at 0; path and times."""
    times = np.cumsum(np.random.default_rng(0).choice([1 / 30, 1 / 20, 1 / 15], 60))
    return write_video(tmp_path_factory.mktemp("uneven") / "webcam.mp4", times), times - times[0]


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
    """What is read is what sampled_to_native says, for every length and step."""
    monkeypatch.setattr("pfes.media.decode.read_frames", lambda path: iter(range(n_native)))
    streamed = [native for native, _ in read_at("any", strides(step))]
    assert streamed == sampled_to_native(n_native, step).tolist()


def test_labels_at_stride_seven_take_the_nearest_sampled_frame_and_half_ones_the_even():
    """200 fps, k = 7: whole labels have no ties, half ones do: 3.5, 10.5, 17.5, 24.5 lie between 0 1, 1 2, 2 3, 3 4."""
    labels = np.arange(700)
    nearest = np.abs(7 * np.arange(101)[:, None] - labels).argmin(0).tolist()
    assert native_to_sampled(labels, 7.0, 101).tolist() == nearest
    assert Clock(200.0).sampled(labels, PARAMS, 101).tolist() == nearest
    assert native_to_sampled(np.array([3.5, 10.5, 17.5, 24.5]), 7.0, 101).tolist() == [0, 2, 2, 4]


@pytest.mark.parametrize("fps", [24, 25, 29.97, 50, 60, 120, 200])
def test_an_even_file_of_any_rate_has_no_times_of_its_own(fps, tmp_path):
    """Its map, and what is read of it, are those of the step; labels round as f / step."""
    encode(tmp_path / "a.mp4", (np.full((64, 64, 3), i % 250, np.uint8) for i in range(150)), fps)
    clock = recording_clock(tmp_path / "a.mp4")
    assert clock.times is None
    assert clock.fps == pytest.approx(fps, abs=0.01)
    step = PARAMS.step(clock.fps)
    native = sampling_map(clock, count_frames(tmp_path / "a.mp4"), PARAMS)
    assert native.tolist() == sampled_to_native(150, step).tolist()
    assert [index for index, _ in read_sampled(tmp_path / "a.mp4", clock, PARAMS)] == native.tolist()
    assert clock.sampled_fps(PARAMS) == pytest.approx(30, abs=1.5)
    labels = np.arange(150)
    expected = np.minimum(np.rint(labels / step), len(native) - 1)
    assert clock.sampled(labels, PARAMS, len(native)).tolist() == expected.tolist()


def test_a_variable_rate_is_found_by_its_times(uneven):
    path, times = uneven
    clock = recording_clock(path)
    np.testing.assert_allclose(clock.times, times, atol=2e-5)
    assert clock.fps == pytest.approx(59 / times[-1])
    assert clock.sampled_fps(PARAMS) == 30.0


def test_sampled_frames_of_a_variable_rate_show_what_was_there_at_their_time(uneven):
    path, times = uneven
    clock = recording_clock(path)
    native = sampling_map(clock, 60, PARAMS)
    shown = np.arange(len(native)) / 30
    assert np.abs(times[native] - shown).max() <= 1 / 30 + 1e-3  # half of the longest interval
    assert (np.abs(times[native] - shown) <= np.abs(times[:, None] - shown).min(0) + 1e-4).all()
    assert shown[-1] <= times[-1] + 0.5 / clock.fps < shown[-1] + 1 / 30
    streamed = list(read_sampled(path, clock, PARAMS))
    assert [index for index, _ in streamed] == native.tolist()
    levels = [int(np.rint(frame.mean() / 4)) for _, frame in streamed]
    full_range = [int(np.rint(frame.mean() / 4)) for frame in read_frames(path)]
    assert levels == [full_range[index] for index in native]  # the picture is that of the index


def test_labels_of_a_variable_rate_lie_at_their_time(uneven):
    """Every native frame's label is the sampled frame nearest in time: within half a sampled interval."""
    path, times = uneven
    clock = recording_clock(path)
    n_frames = len(sampling_map(clock, 60, PARAMS))
    sampled = clock.sampled(np.arange(60), PARAMS, n_frames)
    assert np.abs(sampled / 30 - times).max() <= 0.5 / 30 + 1e-4
    assert clock.sampled(np.array([59, 200]), PARAMS, n_frames).max() <= n_frames - 1


def test_times_and_frames_of_a_clock_are_inverse(uneven):
    for clock in (recording_clock(uneven[0]), Clock(29.97)):
        frames = np.arange(61)  # the end of the last frame too
        assert clock.frames(clock.seconds(frames)).tolist() == frames.tolist()


def test_one_lost_frame_makes_no_variable_rate(tmp_path):
    """It shifts nothing by more than half a frame; a pause of five frames does."""
    even = np.arange(41) / 30
    assert recording_clock(write_video(tmp_path / "lost.mp4", np.delete(even, 20))).times is None
    assert recording_clock(write_video(tmp_path / "pause.mp4", np.delete(even, range(20, 25)))).times is not None


def test_a_given_rate_is_believed_where_it_is_not_the_files_own(uneven):
    """A fast camera's file that plays slowly: 200 fps in the sheet; but the mean rate, as in a run's table, changes nothing."""
    path, _ = uneven
    fast = recording_clock(path, 200.0)
    assert (fast.fps, fast.times) == (200.0, None)
    assert recording_clock(path, recording_clock(path).fps).times is not None


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
    step = SamplingParameters().step(recording_clock(path).fps)
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
        recording_clock(tmp_path)
    (tmp_path / "first.png").touch()
    with pytest.raises(InputError, match=r"first.png has no number"):
        count_frames(tmp_path)
