"""One face is followed through a recording; what cannot be used says why."""

import numpy as np
import pytest
from skimage.data import astronaut

from pfes import store
from pfes.decode import SamplingParameters, recording_clock, sampling_map
from pfes.flow import FlowParameters, write_flow
from pfes.landmarks import FaceParameters, choose_track, find_faces, head_pose, write_faces
from tests.conftest import write_video


def square(x, y, side):
    """68 points spread over a square whose corner is (x, y)."""
    t = np.linspace(0, 1, 68, dtype=np.float32)
    return np.stack([x + side * t, y + side * (np.arange(68) % 9) / 8], axis=-1).astype(np.float32)


def test_the_largest_and_most_persistent_face_is_followed():
    """A    aaaaaaaaaa   large, moves slowly
    B    bb......bb   larger still, but seen in four frames only
    The order of detections changes; track A is taken throughout, its missing frame is NaN.
    """
    detections = []
    for t in range(10):
        faces = [square(100 + 2 * t, 50, 40)]
        if t in (0, 1, 8, 9):
            faces.insert(t % 2, square(300, 60, 50))
        detections.append(faces if t != 5 else [])
    track = choose_track(detections)
    assert np.isnan(track[5]).all()
    assert np.allclose(np.delete(track[:, 0, 0], 5), np.delete(100 + 2 * np.arange(10), 5))


def test_no_detection_gives_all_nan():
    assert np.isnan(choose_track([[], []])).all()


def test_a_tilted_head_has_that_roll():
    """The generic head seen from the front, turned by 20 degrees in the image plane."""
    from pfes.landmarks import HEAD_MODEL

    points = np.zeros((68, 2), np.float32)
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for index, (x, y, z) in HEAD_MODEL.items():
        points[index] = turn @ np.array([x, y]) * 640 / (600 + z) + [320, 240]
    yaw, pitch, roll = head_pose(points, (640, 480))
    assert roll == pytest.approx(20, abs=1)
    assert abs(yaw) < 2
    assert abs(pitch) < 2


def test_a_real_face_is_found_in_every_frame(shared_data, tmp_path):
    out = tmp_path / "faces.h5"
    write_faces(str(shared_data / "videos/single_face.mp4"), 0, out, SamplingParameters(), FaceParameters())
    faces = store.read(out, "faces")
    assert faces["found"].all()
    assert faces["landmarks"].shape == (72, 68, 2)
    jump = np.abs(np.diff(faces["landmarks"], axis=0)).max()
    assert jump < 0.3 * faces["interocular"].mean()  # one face all along, no jump to another


def test_a_frame_without_a_face_is_a_gap(shared_data):
    """Three frames are blanked: not found, NaN, everything else stays."""
    from pfes.decode import read_frames

    frames = list(read_frames(shared_data / "videos/single_face.mp4"))[:30]
    for index in (10, 11, 12):
        frames[index] = np.zeros_like(frames[index])
    faces = find_faces(enumerate(frames), FaceParameters())
    assert np.flatnonzero(~faces["found"]).tolist() == [10, 11, 12]
    assert np.isnan(faces["landmarks"][11]).all()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_face.mp4", "no face was found in any of its 120 frames"),
        ("multi_face_5_frames.mp4", r"5 frames \(6 at the sampled rate\), expected at least 17"),
        ("gone.mp4", "no such file"),
    ],
)
def test_an_unusable_recording_becomes_a_refusal(shared_data, tmp_path, name, reason):
    """It is a file with the reason, so that the other videos of a run go on."""
    import re

    out = tmp_path / "faces.h5"
    write_faces(str(shared_data / "videos" / name), 0, out, SamplingParameters(), FaceParameters())
    assert re.search(rf"{name}: {reason}", store.refusal(out, "faces"))


def test_flow_and_overlay_see_the_frames_whose_faces_were_found(tmp_path):
    """A portrait at a variable rate: the faces file says which native frames are meant, and flow follows it."""
    image = np.ascontiguousarray(astronaut()[:260, 90:350, ::-1])
    times = np.cumsum(np.random.default_rng(1).choice([1 / 30, 1 / 10], 30))
    path = write_video(tmp_path / "webcam.mp4", times, lambda index: np.roll(image, index // 4, axis=1))
    write_faces(str(path), 0, tmp_path / "faces.h5", SamplingParameters(), FaceParameters())
    faces, facts = store.read(tmp_path / "faces.h5", "faces"), store.attributes(tmp_path / "faces.h5", "faces")
    clock = recording_clock(path)
    assert faces["native_frame"].tolist() == sampling_map(clock, 30, SamplingParameters()).tolist()
    assert (facts["fps"], facts["native_fps"], bool(facts["variable"])) == (30.0, clock.fps, True)
    write_flow(str(path), tmp_path / "faces.h5", tmp_path / "flow.h5", FlowParameters(method="dis", size=64))
    flow = store.read(tmp_path / "flow.h5", "flow")["flow"]
    assert len(flow) == len(faces["native_frame"])
    t = int(np.flatnonzero(np.diff(faces["native_frame"]) == 0)[0])  # t + 1 shows the frame of t again
    np.testing.assert_array_equal(flow[t + 8, 1], 0)  # the window of t + 8 begins at t
    assert np.abs(flow[:, 1:]).max() > 0.3
