"""One face is followed through a recording; what cannot be used says why."""

from itertools import islice

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from pfes.base import store
from pfes.base.errors import InputError
from pfes.faces.align import stabilise
from pfes.faces.landmarks import FaceParameters, check_usable, face_facts, find_faces, frame_states, write_faces
from pfes.flow.sw_mro import FlowParameters, write_flow
from pfes.media.decode import SamplingParameters, read_frames, recording_clock, sampling_map
from tests.conftest import write_video

OK, NO_FACE, PROFILE, TINY, UNREADABLE = range(5)


def clip(shared_data, name, n_frames=None):
    return list(islice(read_frames(shared_data / "videos" / name), n_frames))


def find(frames, **params):
    return find_faces(enumerate(frames), FaceParameters(**params))


def test_states_name_the_first_reason_that_holds():
    """frame          0     1     2     3     4      5      6
    image             ok    ok    ok    ok    ok     broken ok
    face              yes   no    yes   yes   yes    no     yes
    yaw               60    nan   -61   0     70     nan    nan (no pose)
    eyes, px          16    nan   40    15.9  10     nan    40
    """
    nan = np.nan
    found = np.array([1, 0, 1, 1, 1, 0, 1], bool)
    readable = np.array([1, 1, 1, 1, 1, 0, 1], bool)
    yaw = np.array([60, nan, -61, 0, 70, nan, nan])
    eyes = np.array([16, nan, 40, 15.9, 10, nan, 40])
    states = frame_states(readable, found, yaw, eyes, FaceParameters(max_yaw=60, min_interocular=16))
    assert states.tolist() == [OK, NO_FACE, PROFILE, TINY, TINY, UNREADABLE, OK]


def test_the_quality_of_a_video_counts_its_frames():
    """state 0 1 1 0 2 1 1 1 3 4 : gaps without points of 2, 3 and 1 frames."""
    state = np.array([0, 1, 1, 0, 2, 1, 1, 1, 3, 4], np.uint8)
    found = np.isin(state, [0, 2, 3])
    cut, faces = np.arange(10) == 3, np.array([2, 0, 0, 1, 1, 0, 0, 0, 3, 0])
    assert face_facts({"found": found, "state": state, "cut": cut, "faces": faces}) == {
        "share": 0.4, "longest_gap": 3, "cuts": 1, "usable": 2, "no_face": 5, "profile": 1, "tiny": 1, "unreadable": 1, "missing": 0,
        "several_faces": 2,
    }  # fmt: skip


def test_a_real_face_is_found_in_every_frame(shared_data, tmp_path):
    out = tmp_path / "faces.h5"
    write_faces(str(shared_data / "videos/single_face.mp4"), 0, out, SamplingParameters(), FaceParameters())
    faces = store.read(out, "faces")
    assert faces["found"].all()
    assert faces["landmarks"].shape == (72, 68, 2)
    jump = np.abs(np.diff(faces["landmarks"], axis=0)).max()
    assert jump < 0.3 * faces["interocular"].mean()  # one face all along, no jump to another
    assert faces["blur"].min() > 0
    assert np.isnan(faces["confidence"]).all()  # this backend gives none
    facts = store.attributes(out, "faces")
    assert (facts["usable"], facts["share"], facts["longest_gap"], facts["cuts"]) == (72, 1, 0, 0)


def test_gaps_and_unreadable_frames_are_told_apart(shared_data):
    """Three frames are blanked, two cannot be read: NaN there, everything else stays, and none of it is a cut."""
    frames = clip(shared_data, "single_face.mp4", 30)
    for index in (10, 11, 12):
        frames[index] = np.zeros_like(frames[index])
    frames[20] = frames[21] = None
    faces = find(frames)
    assert np.flatnonzero(faces["state"] == NO_FACE).tolist() == [10, 11, 12]
    assert np.flatnonzero(faces["state"] == UNREADABLE).tolist() == [20, 21]
    assert (~faces["found"]).sum() == 5
    for name in ("landmarks", "pose", "interocular", "blur"):
        assert np.isnan(faces[name][[11, 20]]).all(), name
    assert np.flatnonzero(faces["cut"]).tolist() == [10, 13]  # a blank over several frames is a shot of its own


def test_of_two_faces_the_larger_one_is_followed_all_along(shared_data):
    """The clip beside its mirror image, which is 6 % smaller and louder: always the left face, both are counted."""
    left = [frame[:, 100:420] for frame in clip(shared_data, "single_face.mp4", 40)]
    frames = []
    for frame in left:
        right = np.zeros_like(frame)
        right[:338, :300] = cv2.resize(frame[:, ::-1], (300, 338), interpolation=cv2.INTER_AREA)
        frames.append(np.hstack([frame, right]))
    faces = find(frames)
    assert (faces["faces"] == 2).sum() > 30
    assert faces["found"].all()
    assert faces["landmarks"][:, :, 0].max() < 320
    assert not faces["cut"].any()


def test_two_clips_in_one_file_are_two_shots(shared_data):
    """The cut is found, the face is followed on either side, and no smoothing reaches over it."""
    frames = clip(shared_data, "single_face.mp4", 30) + clip(shared_data, "WolfgangLanger_Pexels.mp4", 30)
    faces = find(frames)
    assert np.flatnonzero(faces["cut"]).tolist() == [30]
    assert (faces["state"] == OK).all()
    steady, apart = stabilise(faces["landmarks"], faces["cut"]), [find(part) for part in (frames[:30], frames[30:])]
    assert np.abs(steady[29] - stabilise(apart[0]["landmarks"])[29]).max() < 0.5  # px
    assert np.linalg.norm(steady[30] - steady[29], axis=-1).min() > 20


def test_a_face_that_is_too_small_is_kept_but_not_used(shared_data):
    """At a fifth of the size the eyes of the clip are 14 px apart."""
    small = [
        cv2.resize(frame, (128, 72), interpolation=cv2.INTER_AREA) for frame in clip(shared_data, "single_face.mp4", 20)
    ]
    faces = find(small)
    assert (faces["state"] == TINY).all()
    assert faces["interocular"].mean() == pytest.approx(14, abs=1)
    assert np.isfinite(faces["landmarks"]).all()
    assert (find(small, min_interocular=10)["state"] == OK).all()


def test_a_face_turned_away_is_kept_but_not_used(shared_data):
    """The limit is set to what the head of the clip does: its state follows the yaw that is stored."""
    frames = clip(shared_data, "WolfgangLanger_Pexels.mp4", 240)[::6]
    faces = find(frames, max_yaw=15)
    turned = np.abs(faces["pose"][:, 0]) > 15
    assert 0 < turned.sum() < len(frames)
    np.testing.assert_array_equal(faces["state"] == PROFILE, turned)
    assert np.isfinite(faces["landmarks"][turned]).all()


def test_a_recording_whose_every_frame_is_lost_says_to_what():
    found = np.ones(20, bool)
    state = np.array([TINY] * 12 + [PROFILE] * 5 + [NO_FACE] * 2 + [UNREADABLE], np.uint8)
    faces = {"found": found, "state": state, "native_frame": np.arange(20)}
    with pytest.raises(
        InputError,
        match=r"a.mp4: none of its 20 frames shows a usable face \(12 with eyes closer than 16 px,"
        r" 5 turned by more than 60 degrees, 2 without a face, 1 unreadable\); change faces.min_inter",
    ):
        check_usable("a.mp4", faces, FaceParameters())
    state[3] = OK
    check_usable("a.mp4", faces, FaceParameters())


def test_an_unknown_backend_is_an_error():
    with pytest.raises(ValueError, match="faces.backend 'haar': expected mediapipe, dlib or file"):
        find([], backend="haar")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_face.mp4", "no face was found in any of its 119 frames"),
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
