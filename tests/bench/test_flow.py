"""The flow benchmark: its scenes are what they say, its tables hold what they promise, its energy goes down."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from pfes.base.errors import InputError
from pfes.bench import flow as bench_flow
from pfes.bench import scenes
from pfes.bench.energy import LAMBDA, bench_energy, energy, minimise
from pfes.bench.machine import machine, peak, speedup, timed
from pfes.bench.recordings import bench_recordings
from pfes.commands import cli


@pytest.mark.parametrize("name", list(scenes.TEXTURES))
def test_scene_matches_its_truth_without_noise(name: str) -> None:
    """Sampling moving at x + u gives reference, to rounding."""
    reference, moving, truth = scenes.scene(scenes.texture(name, 128), 2.0, scenes.CONDITIONS["clean"], shift=1.0)
    y, x = np.mgrid[:128, :128].astype(np.float32)
    back = cv2.remap(moving, x + truth[..., 0], y + truth[..., 1], cv2.INTER_CUBIC)
    assert np.abs(back.astype(int) - reference)[8:-8, 8:-8].mean() < 1.5


def test_longest_vector_of_a_displacement_is_its_amplitude() -> None:
    assert np.linalg.norm(scenes.displacement(128, 2.0), axis=-1).max() == pytest.approx(2.0)


def test_error_of_a_flow_that_is_off_by_a_vector_is_its_length() -> None:
    truth = scenes.displacement(64, 1.0)
    off = truth + np.array([0.3, 0.4], np.float32)
    assert scenes.endpoint_error(off, truth) == pytest.approx((0.5, 0.5), abs=1e-6)
    np.testing.assert_allclose(scenes.roi_errors(off, truth, scenes.roi_boxes(64)), 0.5, atol=1e-6)


def test_roi_boxes_lie_where_brows_and_mouth_are() -> None:
    boxes = scenes.roi_boxes(128)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= 128).all()
    assert (boxes[:6, 3] < 50).all() and (boxes[6:10, 1] > 80).all()


@pytest.fixture(scope="module")
def tables():
    return bench_flow.tables((64,), 1)


def test_bench_has_a_row_per_solver_with_paired_ratios(tables) -> None:
    times = tables["time per flow of one pair"].set_index("solver")
    assert list(times.index[:5]) == ["OpenCV TV-L1", "OpenCV TV-L1 light", "pfes TV-L1", "DIS", "Farneback"]
    assert times.loc["OpenCV TV-L1", "speed"] == 1 and (times["ms"] > 0).all()


def test_bench_has_errors_in_the_face_and_at_the_rois_for_every_cell(tables) -> None:
    errors = tables["error, px"]
    cells = errors.groupby(["condition", "amplitude"])["solver"].nunique()
    assert len(cells) == len(scenes.CONDITIONS) * len(scenes.AMPLITUDES) and (cells >= 6).all()
    still = errors[errors["solver"] == "no flow"].set_index(["condition", "amplitude"])
    assert still.loc[("clean", 3.0), "ROI p95"] > 10 * still.loc[("clean", 0.1), "ROI p95"] > 0
    assert " / " in bench_flow.printable(errors)


def test_limit_counts_the_operations_of_the_scheme(tables) -> None:
    """64 px: cells of 2 px at 4 scales, 2 warps of 25 steps."""
    limit = tables["limit of one core"].iloc[0]
    assert limit["steps"] == pytest.approx((32**2 + 16**2 + 8**2 + 4**2) * 50 / 1e6)
    assert 0 < limit["share"] < 1


def test_times_are_paired() -> None:
    seconds, results = timed({"a": lambda: 1, "b": lambda: 2}, 3)
    assert results == {"a": 1, "b": 2} and [len(values) for values in seconds.values()] == [3, 3]
    assert speedup([4.0, 9.0, 2.0], [2.0, 3.0, 2.0]) == 2.0


def test_peak_is_plausible_and_the_machine_is_one_line() -> None:
    top = peak(seconds=0.05)
    assert 1 < top["gflops"] < 1000 and 0.5 < top["gbytes"] < 2000
    assert "OpenCV" in machine() and "\n" not in machine()


def test_energy_of_a_known_flow() -> None:
    """u_x = x / 10 on an image that stays: variation H (W - 1) / 10; data lambda times what sampling changes."""
    x = np.arange(16, dtype=np.float32)
    flow = np.zeros((16, 16, 2), np.float32)
    flow[..., 0] = x / 10
    image = np.full((16, 16), 90, np.uint8)
    variation, data = energy(flow, image, image + np.uint8(2))
    assert variation == pytest.approx(16 * 15 / 10, rel=1e-4) and data == pytest.approx(LAMBDA * 2 * 256, rel=1e-4)


def test_a_long_minimisation_has_the_lowest_energy(shared_data: Path) -> None:
    table = bench_energy(shared_data / "flow" / "I0.png", shared_data / "flow" / "I1.png", steps=60).set_index("flow")
    assert table["energy"].idxmin() == "long minimisation" and table["energy"].idxmax() == "no flow"


def test_minimisation_never_ends_above_its_start() -> None:
    reference, moving, truth = scenes.scene(scenes.face(64), 1.0, seed=1)
    assert sum(energy(minimise(truth, reference, moving, 5), reference, moving)) <= sum(
        energy(truth, reference, moving)
    )


def test_energy_refuses_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no.png: not an image"):
        bench_energy(tmp_path / "no.png", tmp_path / "no.png")


def test_command_times_windows_of_a_video_and_writes_json(shared_data: Path, tmp_path: Path) -> None:
    video = shared_data / "videos" / "single_face.mp4"
    out = tmp_path / "flow.json"
    arguments = ["bench", "flow", "--video", str(video), "--sizes", "64", "--repeats", "1", "--json", str(out)]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    rows = {row["solver"]: row for row in found["time per flow on windows"]}
    assert rows["pfes TV-L1"]["speed"] > 10
    assert "OpenCV" in found["machine"] and len(found["limit of one core"]) == 1
    stages = {row["stage"]: row for row in found["whole stage"]}
    assert list(stages) == ["faces", "flow, tvl1", "flow, dis", "flow, farneback"]
    for row in stages.values():
        assert row["casme2_minutes"] * row["frames_per_s"] * 32 * 60 == pytest.approx(252_000)


def test_recordings_differ_from_clean_pairs_only_by_what_they_name() -> None:
    """Noise, light, blur and files change grey levels; the truth stays, but for common motion."""
    image = scenes.face(64)
    clean = scenes.scene(image, 1.0, scenes.RECORDINGS["clean"], seed=1)
    for name, condition in scenes.RECORDINGS.items():
        reference, moving, truth = scenes.scene(image, 1.0, condition, seed=1)
        assert (name == "clean") == (
            np.array_equal(reference, clean[0]) and np.array_equal(moving, clean[1]) and not condition.common
        )
        assert bool(condition.common) == (not np.array_equal(truth, clean[2]))
        assert np.abs(moving.astype(int) - clean[1]).mean() < 25


def test_common_motions_are_those_that_the_condition_says() -> None:
    """Translation by a third; rotation moves the middle of the right border along y, scale along x, by the amplitude."""
    still = scenes.common_motion(65, 0.9, "translation", 3)
    np.testing.assert_allclose(np.linalg.norm(still, axis=-1), 0.3, rtol=1e-5)
    turned, grown = (scenes.common_motion(65, 0.9, kind, 3) for kind in ("rotation", "scale"))
    np.testing.assert_allclose(np.abs(turned[32, -1]), [0, 0.9], atol=0.02)
    np.testing.assert_allclose(np.abs(grown[32, -1]), [0.9, 0], atol=0.02)


def test_a_shadow_edge_moves_across_a_uniform_face_by_its_length() -> None:
    """On a grey picture the place where light is half way between lit and shaded moves by 12 px of 128."""
    flat = np.full((128, 128), 200, np.uint8)
    reference, moving, _ = scenes.scene(flat, 1.0, scenes.RECORDINGS["moving shadow"], seed=4)
    shaded = [(image < 170).mean() * 128 for image in (reference, moving)]
    assert 10 < abs(shaded[0] - shaded[1]) < 17  # 12 px along x or y, 17 along a diagonal


def test_recordings_table_marks_where_a_rival_is_better(shared_data: Path) -> None:
    table = bench_recordings((64,), 1, [shared_data / "videos" / "single_face.mp4"], ("clean", "JPEG 15"), (0.5, 1.0))
    assert table[["condition", "amplitude"]].to_numpy().tolist() == [
        ["clean", 0.5], ["clean", 1.0], ["JPEG 15", 0.5], ["JPEG 15", 1.0],
    ]  # fmt: skip
    better = table[["OpenCV TV-L1", "DIS"]].min(axis=1)
    np.testing.assert_allclose(table["ratio"], table["pfes TV-L1"] / better)
    assert (table["lost"] == (table["pfes TV-L1"] > better)).all()
    assert (table["ratio"][:2] < 1).all() and (table["no flow"] > 0).all()
    marked = bench_flow.printable(table.assign(lost=[True, False, False, False]))
    assert marked.count("*") == 2 and "1 of 4 cells lost" in marked


def test_a_video_without_a_face_is_refused_as_a_texture(shared_data: Path) -> None:
    with pytest.raises(InputError, match="no_face.mp4: no usable face in its first frame"):
        bench_recordings((64,), 1, [shared_data / "videos" / "no_face.mp4"], ("clean",), (1.0,))
