"""Displacement against a rest: known motion of regions is found, whatever the head does, and windows join without a step."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.faces.align import ROI_NAMES, roi_boxes
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.flow import displacement as stage
from pfes.flow.displacement import LongWindow
from pfes.flow.sw_mro import FlowParameters, placement
from pfes.media.decode import SamplingParameters


def face() -> np.ndarray:
    """A face [68, 2] whose crop is 180 px wide (g = 20), with its points where 68-point faces have them, roughly."""
    points = np.zeros((68, 2), np.float32)
    points[:17] = np.stack([np.linspace(40, 200, 17), 180 + 60 * np.sin(np.linspace(0, np.pi, 17))], 1)
    points[17:22] = np.stack([np.linspace(60, 105, 5), np.full(5, 95)], 1)
    points[22:27] = np.stack([np.linspace(135, 180, 5), np.full(5, 95)], 1)
    points[27:31] = np.stack([np.full(4, 120), np.linspace(110, 150, 4)], 1)
    points[31:36] = np.stack([np.linspace(105, 135, 5), np.full(5, 160)], 1)
    points[36:42] = [[70, 115], [78, 110], [88, 110], [100, 115], [88, 120], [78, 120]]
    points[42:48] = [[140, 115], [152, 110], [162, 110], [170, 115], [162, 120], [152, 120]]
    points[48:68] = np.stack([np.linspace(95, 145, 20), np.full(20, 190)], 1)
    points[[51, 62]], points[[57, 66]] = [120, 184], [120, 200]
    return points


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_similarity_is_found_though_a_part_moves_by_itself(share: float) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 128, (400, 2))
    shift, turn = np.array([1.5 - 0.5j, -2 + 1j]), np.array([0.01 + 0.02j, -0.005 - 0.01j])
    z = points @ [1, 1j]
    field = shift[:, None] + turn[:, None] * z
    field[:, : int(share * 400)] += 4 + 2j
    found = stage.similarity(points, np.stack([field.real, field.imag], -1).astype(np.float32))
    assert found[0] == pytest.approx(shift, abs=0.1 if share else 1e-4)
    assert found[1] == pytest.approx(turn, abs=1e-3 if share else 1e-5)


def test_no_motion_has_no_similarity() -> None:
    shift, turn = stage.similarity(np.random.default_rng(0).uniform(0, 128, (50, 2)), np.zeros((3, 50, 2), np.float32))
    assert not shift.any() and not turn.any()


def test_windows_overlap_by_half_and_do_not_cross_a_cut() -> None:
    landmarks = np.broadcast_to(face(), (50, 68, 2)).copy()
    cut = np.zeros(50, bool)
    cut[30] = True
    found = stage.long_windows(landmarks, np.ones(50, bool), stage.shots(cut), 20)
    assert [(window.start, window.stop) for window in found] == [(0, 20), (10, 30), (30, 50)]
    assert all(window.start <= window.reference < window.stop for window in found)


@pytest.mark.parametrize("n_frames", [1, 2, 19, 20, 21, 47])
def test_windows_cover_a_recording_of_any_length(n_frames: int) -> None:
    landmarks = np.broadcast_to(face(), (n_frames, 68, 2))
    found = stage.long_windows(landmarks, np.ones(n_frames, bool), stage.shots(np.zeros(n_frames, bool)), 20)
    assert set().union(*(range(window.start, window.stop) for window in found)) == set(range(n_frames))


def test_the_reference_is_at_rest() -> None:
    landmarks = np.broadcast_to(face(), (60, 68, 2)) + np.random.default_rng(0).normal(0, 0.1, (60, 68, 2))
    landmarks[:25, 48:] += [0, 12]  # the mouth is open in the first frames
    landmarks += np.linspace(0, 40, 60)[:, None, None]  # and the head moves
    assert stage.rest_frame(landmarks.astype(np.float32), np.ones(60, bool)) >= 25


def test_a_frame_without_a_face_is_no_reference() -> None:
    usable = np.zeros(10, bool)
    usable[7] = True
    assert stage.densest(np.zeros((10, 3)), usable) == 7


def test_known_motion_of_a_region_is_found_in_g_and_the_head_is_left_out() -> None:
    place = placement(np.broadcast_to(face(), (2, 68, 2)).copy(), FlowParameters())
    box = place.boxes[0]
    x0, y0, x1, y1 = roi_boxes(place.landmarks[0], box, 128)[ROI_NAMES.index("mouth_left_corner")]
    grid = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0)), -1)
    turned = (3 - 1j) + 0.03j * (grid @ [1, 1j] - (64 + 64j))
    field = np.stack([turned.real, turned.imag], -1)
    field[y0:y1, x0:x1] += [0.0, 2.0]
    measured = stage.window_displacement(
        (LongWindow(0, 1, 0), np.zeros((2, 128, 128), np.uint8)), place, lambda stacks: [field[None].astype(np.float32)]
    )
    expected = np.zeros((10, 2))
    expected[ROI_NAMES.index("mouth_left_corner")] = [0, 2 * 9 / 128]
    assert measured.shape == (1, 10, 2)
    others = [i for i, name in enumerate(ROI_NAMES[:10]) if not name.startswith("mouth")]
    assert measured[0, others] == pytest.approx(expected[others], abs=0.01)
    assert measured[0, 6] == pytest.approx(expected[6], abs=0.02)


def test_windows_that_start_elsewhere_join_to_one_track() -> None:
    track = np.cumsum(np.random.default_rng(0).normal(size=(60, 10, 2)), axis=0)
    found = [LongWindow(0, 30, 4), LongWindow(15, 45, 20), LongWindow(30, 60, 50)]
    parts = [track[window.start : window.stop] - track[window.reference] for window in found]
    whole = stage.stitched(found, parts, 60)
    assert whole - whole[:1] == pytest.approx(track - track[:1])


def test_shots_stay_apart() -> None:
    found = [LongWindow(0, 5, 0), LongWindow(5, 9, 5)]
    whole = stage.stitched(found, [np.ones((5, 10, 2)), np.full((4, 10, 2), 7.0)], 9)
    assert (whole[:5] == 1).all() and (whole[5:] == 7).all()


def test_a_recording_that_ended_early_is_said() -> None:
    place = placement(np.broadcast_to(face(), (4, 68, 2)).copy(), FlowParameters())
    frames = [np.zeros((256, 256, 3), np.uint8)] * 3
    with pytest.raises(InputError, match="ended before frame 3"):
        list(stage.stacks(frames, [LongWindow(0, 4, 0)], place))


def test_an_unreadable_frame_shows_the_one_before() -> None:
    place = placement(np.broadcast_to(face(), (3, 68, 2)).copy(), FlowParameters())
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    ((_, crops),) = stage.stacks([picture, None, picture], [LongWindow(0, 3, 1)], place)
    assert len(crops) == 4
    assert (crops == crops[0]).all()


@pytest.fixture(scope="module")
def faces(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    recording, out = str(shared_data / "videos/single_face.mp4"), tmp_path_factory.mktemp("faces") / "faces.h5"
    write_faces(recording, 0.0, out, SamplingParameters(), FaceParameters())
    return recording, out


def test_a_recording_has_one_row_per_frame_on_any_number_of_cores(faces: tuple[str, Path], tmp_path: Path) -> None:
    write = partial(stage.write_displacement, *faces, flow=FlowParameters(method="farneback"))
    params = stage.DisplacementParameters(window_s=1.0)
    for cores in (1, 2):
        write(tmp_path / f"{cores}.h5", params=params, cores=cores)
    one, two = (store.read(tmp_path / f"{cores}.h5", "displacement")["displacement"] for cores in (1, 2))
    assert one.shape == (72, 10, 2)
    assert np.isfinite(one).all() and one.any()
    assert (one == two).all()
    assert store.attributes(tmp_path / "1.h5", "displacement")["rois"].split() == list(ROI_NAMES[:10])


def test_a_refusal_passes_through(tmp_path: Path) -> None:
    store.refuse(tmp_path / "faces.h5", "faces", "a_1: no face was found", provenance.record("test", {}))
    stage.write_displacement("a.mp4", tmp_path / "faces.h5", tmp_path / "out.h5", FlowParameters())
    assert store.refusal(tmp_path / "out.h5", "displacement") == "a_1: no face was found"
