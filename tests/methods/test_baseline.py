"""The training-free baseline: motion that is known is found, stillness and steady drift are not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import PROPOSAL_COLUMNS
from pfes.methods.baseline import BaselineParameters
from pfes.spotting import baseline

T = 300


def bump(onset: int, apex: int, offset: int, height_px: float) -> np.ndarray:
    """Displacement [T] in px that rises from onset to apex and falls to offset."""
    t = np.arange(T)
    rise, fall = (t - onset) / (apex - onset), (offset - t) / (offset - apex)
    return height_px * np.sin(np.clip(np.minimum(rise, fall), 0, 1) * np.pi / 2) ** 2


def snippets_of(positions: np.ndarray) -> np.ndarray:
    """Snippets [T, 17, R, 2] of ROIs that stand at positions [T, R, 2]: exact flow from frame t-8 to frame t-8+e."""
    window = np.clip(np.arange(len(positions))[:, None] - 8 + np.arange(17), 0, len(positions) - 1)
    return (positions[window] - positions[window[:, :1]]).astype(np.float32)


def two_expressions() -> np.ndarray:
    positions = np.zeros((T, 10, 2))
    positions[:, 6:8, 1] += bump(60, 75, 92, 3.0)[:, None]  # lip corners, macro of 33 frames
    positions[:, 0:3, 1] -= bump(200, 206, 213, 0.8)[:, None]  # one brow, micro of 14 frames
    return positions


def spot(positions: np.ndarray, **options: object) -> pd.DataFrame:
    params = BaselineParameters()
    return baseline.propose_peaks(baseline.class_magnitudes(snippets_of(positions), params), params, **options)  # type: ignore[arg-type]


def test_displacement_between_any_two_frames_within_reach() -> None:
    positions = np.cumsum(np.random.default_rng(0).normal(size=(40, 10, 2)), axis=0)
    snippets = snippets_of(positions).astype(np.float64)
    for distance in range(17):
        start = np.arange(-3, 40)
        end = start + distance
        expected = positions[np.clip(end, 0, 39)] - positions[np.clip(start, 0, 39)]
        assert np.allclose(baseline.displacement(snippets, start, end), expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 5, 9, 17])
def test_displacement_in_videos_shorter_than_a_window(length: int) -> None:
    positions = np.cumsum(np.random.default_rng(0).normal(size=(length, 10, 2)), axis=0)
    start = np.arange(length)
    found = baseline.displacement(snippets_of(positions), start, start + 16)
    assert np.allclose(found, positions[-1] - positions, atol=1e-5)
    assert np.isfinite(baseline.flow_magnitude(snippets_of(positions), 8)).all()


def test_magnitude_of_a_single_displaced_frame() -> None:
    positions = np.zeros((60, 10, 2))
    positions[30] = [3.0, 4.0]  # every ROI, 5 px
    magnitude = baseline.flow_magnitude(snippets_of(positions), 8)
    expected = np.zeros(60)
    expected[30], expected[[22, 38]] = 5.0, 2.5  # |d - (before + after) / 2|
    assert magnitude == pytest.approx(expected, abs=1e-5)


def test_steady_drift_has_no_magnitude() -> None:
    positions = np.arange(80.0)[:, None, None] * np.ones((80, 10, 2))
    for distance in (4, 8, 16):
        magnitude = baseline.flow_magnitude(snippets_of(positions), distance)
        assert magnitude[distance : 80 - distance] == pytest.approx(0, abs=1e-4)


def test_the_strongest_rois_alone() -> None:
    positions = np.zeros((60, 10, 2))
    positions[30, :2] = [0.0, 1.0]
    assert baseline.flow_magnitude(snippets_of(positions), 8, roi_share=1.0)[30] == pytest.approx(0.2)
    assert baseline.flow_magnitude(snippets_of(positions), 8, roi_share=0.2)[30] == pytest.approx(1.0)


@pytest.mark.parametrize("distance", [0, 17])
def test_a_distance_beyond_the_snippet_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 16"):
        baseline.flow_magnitude(np.zeros((20, 17, 10, 2)), distance)


@pytest.mark.parametrize("noise_px", [0.0, 0.03])
def test_a_macro_and_a_micro_expression_are_found(noise_px: float) -> None:
    noise = noise_px * np.random.default_rng(0).normal(size=(T, 10, 2))
    found = spot(two_expressions() + noise)
    assert found["class"].tolist() == ["macro", "micro"]
    assert found["apex"].to_numpy() == pytest.approx([75, 206], abs=2)
    for (onset, offset), (true_onset, true_offset) in zip(
        found[["onset", "offset"]].to_numpy(), [(60, 92), (200, 213)], strict=True
    ):
        shared = min(offset, true_offset) - max(onset, true_onset) + 1
        assert shared / (offset - onset + true_offset - true_onset + 2 - shared) >= 0.5


def test_the_rate_decides_what_is_micro() -> None:
    found = spot(two_expressions(), fps=120.0)  # 33 frames are .28 s
    assert set(found["class"]) == {"micro"}


@pytest.mark.parametrize("positions", [np.zeros((T, 10, 2)), np.zeros((0, 10, 2)), np.zeros((3, 10, 2))])
def test_a_still_video_gives_nothing(positions: np.ndarray) -> None:
    found = baseline.propose_peaks(
        baseline.class_magnitudes(np.zeros((len(positions), 17, 10, 2), np.float32), BaselineParameters()),
        BaselineParameters(),
    )
    assert len(found) == 0
    assert found["onset"].dtype == np.int64


def test_noise_below_the_least_peak_gives_nothing() -> None:
    assert len(spot(0.02 * np.random.default_rng(0).normal(size=(T, 10, 2)))) == 0


def test_a_constant_magnitude_has_no_peak() -> None:
    found = baseline.propose_peaks(np.full((T, 2), 5.0), BaselineParameters())
    assert len(found) == 0


def test_no_micro_expression_is_proposed_inside_a_macro_expression() -> None:
    macro = bump(70, 100, 130, 3.0)
    micro = bump(100, 105, 110, 3.0) + bump(200, 205, 210, 1.0)
    found = baseline.propose_peaks(np.stack([macro, micro], axis=1), BaselineParameters())
    assert found[["class", "apex"]].to_numpy().tolist() == [["macro", 100], ["micro", 205]]


def test_motion_without_a_face_is_no_motion() -> None:
    valid = np.ones(T, bool)
    valid[50:110] = False
    found = spot(two_expressions(), valid=valid)
    assert found["apex"].to_numpy() == pytest.approx([206], abs=2)
    assert len(spot(two_expressions(), valid=np.zeros(T, bool))) == 0


def test_intervals_stay_inside_the_video() -> None:
    positions = np.zeros((T, 10, 2))
    positions[:, :, 0] += bump(-12, 4, 20, 3.0)[:, None] + bump(280, 296, 312, 3.0)[:, None]
    found = spot(positions)
    assert len(found) > 0
    assert found["onset"].min() >= 0
    assert found["offset"].max() <= T - 1


def write_inputs(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    origin = provenance.record("test", {})
    snippets, faces = (
        {name: folder / kind / f"{name}.h5" for name in ("a_1", "b_1")} for kind in ("snippets", "faces")
    )
    arrays = {"snippets": snippets_of(two_expressions()), "valid": np.ones(T, np.uint8)}
    store.write(snippets["a_1"], "snippets", arrays, origin)
    arrays = {"native_frame": 2 * np.arange(T, dtype=np.int64), "found": np.ones(T, np.uint8)}
    store.write(faces["a_1"], "faces", arrays, origin, fps=30.0)
    for kind, paths in (("snippets", snippets), ("faces", faces)):
        store.refuse(paths["b_1"], kind, "b_1: no face was found", origin)
    names = pd.DataFrame({"subject": ["a", "b"], "video_id": ["a_1", "b_1"]})
    store.write_table(folder / "videos.parquet", "videos", names, origin)
    return snippets, faces


def test_a_run_is_written_and_a_refused_video_passed_over(tmp_path: Path) -> None:
    snippets, faces = write_inputs(tmp_path)
    out = tmp_path / "proposals.parquet"
    baseline.write_baseline(snippets, faces, tmp_path / "videos.parquet", out, BaselineParameters())
    found = store.read_table(out, "proposals")
    assert tuple(found.columns) == PROPOSAL_COLUMNS
    assert found[["subject", "video_id", "class"]].to_numpy().tolist() == [["a", "a_1", "macro"], ["a", "a_1", "micro"]]
    assert (found["native_apex"] == 2 * found["apex"]).all()
    assert found["apex_s"].to_numpy() == pytest.approx(found["apex"].to_numpy() / 30)


def test_a_video_that_is_not_in_the_table_is_named(tmp_path: Path) -> None:
    snippets, faces = write_inputs(tmp_path)
    with pytest.raises(InputError, match="video c_1 is not in"):
        baseline.write_baseline(
            {"c_1": snippets["a_1"]}, faces, tmp_path / "videos.parquet", tmp_path / "out.parquet", BaselineParameters()
        )
