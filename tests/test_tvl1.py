"""The TV-L1 solver against displacement that is known, and against OpenCV's at the same scenes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pfes.bench import bench_flow, displacement, endpoint_error, face, machine, scene
from pfes.tvl1 import TVL1, tvl1, tvl1_window

SIZE = 96

Image = NDArray[Any]


@pytest.fixture(scope="module")
def frames() -> Image:
    """Four frames of one face, uint8 [4, 96, 96]: frame k is displaced by bumps of k / 2 px."""
    return np.stack([scene(face(SIZE), k / 2, seed=k)[0] for k in range(4)])


@pytest.mark.parametrize(
    ("amplitude", "shift", "median", "p95"),
    # 1.3 times the largest error of seeds 0 to 4
    [(0.1, 0, 0.045, 0.11), (0.3, 0, 0.05, 0.115), (1, 0, 0.075, 0.32), (3, 0, 0.125, 0.9), (0.5, 1.5, 0.06, 0.2)],
)
def test_known_displacement_is_recovered(amplitude: float, shift: float, median: float, p95: float) -> None:
    """Bumps on a face with noise of 2 grey levels and 1 % light change; errors in px."""
    reference, moving, truth = scene(face(128), amplitude, shift=shift, seed=3)
    error = endpoint_error(tvl1(reference, moving), truth)
    assert error[0] < median and error[1] < p95


@pytest.mark.parametrize(("amplitude", "shift"), [(0.1, 0.0), (0.3, 0.0), (1.0, 0.0), (3.0, 0.0), (0.5, 1.5)])
def test_error_is_not_above_opencv(amplitude: float, shift: float) -> None:
    reference, moving, truth = scene(face(SIZE), amplitude, shift=shift, seed=1)
    opencv = cv2.optflow.DualTVL1OpticalFlow_create().calc(reference, moving, None)  # type: ignore[attr-defined]
    ours = endpoint_error(tvl1(reference, moving), truth)
    theirs = endpoint_error(opencv, truth)
    assert ours[0] <= theirs[0] and ours[1] <= theirs[1]


@pytest.mark.parametrize("amplitude", [0.1, 0.3])
def test_small_bumps_keep_their_height(amplitude: float) -> None:
    """Slope of flow on truth over the bumps: 0 is no motion, 1 all of it. 0.87 to 1.02 over seeds 0 to 4."""
    reference, moving, truth = scene(face(128), amplitude, seed=3)
    bumps = np.linalg.norm(truth, axis=-1) > amplitude / 2
    slope = (tvl1(reference, moving) * truth)[bumps].sum() / (truth**2)[bumps].sum()
    assert 0.8 < slope < 1.1


def test_without_noise_and_light_change_a_small_motion_is_nearly_exact() -> None:
    reference, moving, truth = scene(face(128), 0.3, seed=2, noise=0, light=0)
    assert endpoint_error(tvl1(reference, moving), truth)[0] < 0.02


def test_shift_right_is_positive_x_and_shift_down_positive_y() -> None:
    """moving(x + u) = reference(x): the pattern stands 2 px further right, then 2 px further down."""
    image = face(SIZE)
    right = np.median(tvl1(image, np.roll(image, 2, axis=1)), axis=(0, 1))
    down = np.median(tvl1(image, np.roll(image, 2, axis=0)), axis=(0, 1))
    np.testing.assert_allclose(right, [2, 0], atol=0.1)
    np.testing.assert_allclose(down, [0, 2], atol=0.1)


def test_a_large_shift_is_followed() -> None:
    """12 px at 128 px, a tenth of the face: needs the coarse scales."""
    image = face(128)
    flow = tvl1(image, np.roll(image, 12, axis=1))
    np.testing.assert_allclose(np.median(flow[16:-16, 16:-16], axis=(0, 1)), [12, 0], atol=0.1)


def test_swapped_order_reverses_the_flow() -> None:
    image = face(SIZE)
    moved = np.roll(image, 1, axis=1)
    assert np.median(tvl1(image, moved)[..., 0]) == pytest.approx(-np.median(tvl1(moved, image)[..., 0]), abs=0.05)


@pytest.mark.parametrize("params", [TVL1(), TVL1(delta=0), TVL1(highpass=0, median=0, scales=1)])
def test_zero_motion_gives_exactly_zero(params: TVL1) -> None:
    image = face(SIZE)
    assert not tvl1(image, image, params).any()


def test_a_uniform_image_gives_zero() -> None:
    assert not tvl1(np.full((64, 64), 90, np.uint8), np.full((64, 64), 90, np.uint8)).any()


def test_uniform_light_change_of_a_still_face_is_no_motion() -> None:
    """10 grey levels brighter, all over: without the local mean removed this flows."""
    image = np.minimum(face(SIZE), 240)
    assert not np.abs(tvl1(image, image + np.uint8(10))).max() > 1e-3


def test_result_is_float32_with_x_and_y_last(frames: Image) -> None:
    single, batch = tvl1(frames[0], frames[1]), tvl1(frames[:2], frames[2:])
    assert single.shape == (SIZE, SIZE, 2) and single.dtype == np.float32
    assert batch.shape == (2, SIZE, SIZE, 2) and batch.dtype == np.float32


def test_sides_may_be_odd_and_unequal() -> None:
    image = np.asarray(cv2.resize(face(SIZE), (91, 67)), np.uint8)
    flow = tvl1(image, np.roll(image, 1, axis=1))
    assert flow.shape == (67, 91, 2)
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [1, 0], atol=0.1)


def test_batch_equals_single(frames: Image) -> None:
    batch = tvl1(frames[:3], frames[1:])
    np.testing.assert_array_equal(batch, [tvl1(frames[k], frames[k + 1]) for k in range(3)])


def test_empty_batch_gives_empty_flow() -> None:
    assert tvl1(np.zeros((0, SIZE, SIZE), np.uint8), np.zeros((0, SIZE, SIZE), np.uint8)).shape == (0, SIZE, SIZE, 2)


def test_window_equals_pairwise(frames: Image) -> None:
    np.testing.assert_array_equal(tvl1_window(frames), [tvl1(frames[0], frames[k]) for k in (1, 2, 3)])


@pytest.mark.parametrize("count", [0, 1])
def test_window_without_a_second_frame_is_empty(count: int) -> None:
    assert tvl1_window(np.zeros((count, SIZE, SIZE), np.uint8)).shape == (0, SIZE, SIZE, 2)


def test_uint8_equals_float32(frames: Image) -> None:
    as_float = frames.astype(np.float32)
    np.testing.assert_array_equal(tvl1(frames[0], frames[3]), tvl1(as_float[0], as_float[3]))


def test_memory_layout_does_not_matter(frames: Image) -> None:
    expected = tvl1(frames[0], frames[3])
    np.testing.assert_array_equal(tvl1(np.asfortranarray(frames[0]), frames[::3][1]), expected)
    np.testing.assert_array_equal(tvl1(frames[0].astype(np.float32, order="F"), frames[3].astype(np.float32)), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_input_is_untouched_and_may_be_read_only(frames: Image, dtype: type) -> None:
    images: Image = frames.astype(dtype)
    images.flags.writeable = False
    tvl1(images[0], images[1])
    tvl1_window(images)
    np.testing.assert_array_equal(images, frames)


def test_float64_is_refused(frames: Image) -> None:
    with pytest.raises(
        ValueError, match="reference is a ndarray of float64, expected a numpy array of uint8 or float32"
    ):
        tvl1(frames[0].astype(float), frames[1].astype(float))


def test_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match="reference is a list of None, expected a numpy array"):
        tvl1([[1, 2], [3, 4]], [[1, 2], [3, 4]])  # type: ignore[arg-type]


def test_mixed_dtypes_are_refused(frames: Image) -> None:
    with pytest.raises(
        ValueError, match=r"reference is uint8 \(96, 96\) and moving float32 .* expected the same dtype"
    ):
        tvl1(frames[0], frames[1].astype(np.float32))


def test_different_shapes_are_refused(frames: Image) -> None:
    with pytest.raises(ValueError, match=r"\(96, 96\) and moving uint8 \(96, 90\), expected the same dtype and shape"):
        tvl1(frames[0], frames[1, :, :90])


def test_colour_images_are_refused(frames: Image) -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 96, 96, 3\), expected \[H, W\] or \[N, H, W\] \(grey images\)"):
        tvl1(np.stack([frames] * 3, -1), np.stack([frames] * 3, -1))


def test_a_window_of_one_image_is_refused(frames: Image) -> None:
    with pytest.raises(ValueError, match=r"frames has shape \(96, 96\), expected \[N, H, W\]"):
        tvl1_window(frames[0])


def test_too_small_images_are_refused_and_fewer_scales_help(frames: Image) -> None:
    small = frames[:2, :63, :80]
    with pytest.raises(ValueError, match="80 x 63 px, expected at least 64 px a side for 4 scales; enlarge the crop"):
        tvl1(small[0], small[1])
    assert tvl1(small[0], small[1], TVL1(scales=3)).shape == (63, 80, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(frames: Image, value: float) -> None:
    bad = frames[0].astype(np.float32)
    bad[5, 7] = value
    with pytest.raises(ValueError, match="moving has 1 values that are not finite"):
        tvl1(frames[0].astype(np.float32), bad)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lambda_", 0), ("tau", -1), ("delta", -1), ("highpass", np.nan), ("scales", 0), ("warps", 1.5), ("median", 4)],
)
def test_impossible_parameters_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"TVL1: {name} is {value}, expected"):
        TVL1(**{name: value})  # type: ignore[arg-type]


CACHE_ONLY = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
CODE = "import numpy as np; from pfes.tvl1 import tvl1; z = np.zeros((64, 64), np.uint8); print(tvl1(z, z).any())"


def start(cache: Path) -> subprocess.Popen[str]:
    """Solve in a new process whose only place for compiled code is ``cache``."""
    env = os.environ | CACHE_ONLY | {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, "-c", CODE], env=env, text=True, stdout=-1, stderr=-1)


def test_works_where_no_compile_cache_can_be_written(tmp_path: Path) -> None:
    """A folder below a plain file cannot be made."""
    (tmp_path / "file").touch()
    out, errors = start(tmp_path / "file" / "cache").communicate()
    assert out == "False\n", errors


def test_processes_may_fill_the_compile_cache_together(tmp_path: Path) -> None:
    for process in [start(tmp_path), start(tmp_path)]:
        out, errors = process.communicate()
        assert out == "False\n", errors
    out, errors = start(tmp_path).communicate()
    assert out == "False\n", errors
    assert len(list(tmp_path.rglob("*.nbc"))) == 3


def test_scene_matches_its_truth_without_noise() -> None:
    """The benchmark's own pairs: sampling moving at x + u gives reference, to rounding."""
    reference, moving, truth = scene(face(128), 2.0, shift=1.0, noise=0, light=0)
    y, x = np.mgrid[:128, :128].astype(np.float32)
    back = cv2.remap(moving, x + truth[..., 0], y + truth[..., 1], cv2.INTER_CUBIC)
    assert np.abs(back.astype(int) - reference)[8:-8, 8:-8].mean() < 1.0
    assert np.linalg.norm(displacement(128, 2.0), axis=-1).max() == pytest.approx(2.0)


def test_bench_has_a_row_per_size_and_solver_and_names_the_machine() -> None:
    table = bench_flow((64,), repeats=1).set_index("solver")
    assert list(table["size"].unique()) == [64] and len(table) == 6
    assert table.loc["OpenCV TV-L1", "speedup"] == 1
    assert (table.loc["no flow"].filter(like="median") > 0).all() and table.loc[["no flow"], "ms"].isna().all()
    assert "OpenCV" in machine() and "\n" not in machine()
