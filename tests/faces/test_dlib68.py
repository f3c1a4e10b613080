"""The backend dlib gives the same 68 points; what it lacks is named."""

import sys
from itertools import islice
from types import ModuleType

import cv2
import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.faces import dlib68
from pfes.faces.landmarks import FaceParameters, check_backend, find_faces, write_faces
from pfes.media.decode import SamplingParameters, read_frames


@pytest.fixture(scope="module")
def dlib():
    """dlib and its model; a test that asks for it is skipped where one is missing."""
    try:
        return check_backend(FaceParameters(backend="dlib"))[0]
    except InputError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A stand-in for packages that may be installed: dlib there, the carrier of the model at ``tmp_path`` or nowhere."""

    def install(*names):
        def find_spec(name):
            if name not in names:
                return None
            spec = ModuleType("spec")
            spec.origin = str(tmp_path / name / "__init__.py")
            return spec

        monkeypatch.setattr(dlib68.importlib.util, "find_spec", find_spec)

    return install


def clip(shared_data, n_frames):
    return list(islice(read_frames(shared_data / "videos/single_face.mp4"), n_frames))


def find(frames, **params):
    return find_faces(enumerate(frames), FaceParameters(backend="dlib", **params))


def test_both_backends_give_the_same_named_points(dlib, shared_data):
    """Every point but those of the jaw and the bridge of the nose, which the mesh lacks, within 12 % of the eye distance."""
    frames = clip(shared_data, 12)
    ours, mesh = find(frames), find_faces(enumerate(frames), FaceParameters())
    distance = np.linalg.norm(ours["landmarks"] - mesh["landmarks"], axis=-1) / mesh["interocular"][:, None]
    named = [*range(17, 27), *range(30, 68)]
    assert np.median(distance, axis=0)[named].max() < 0.12
    assert (ours["confidence"] > 0).all()
    assert (ours["state"] == 0).all()


def test_a_face_is_lost_and_found_again(dlib, shared_data):
    frames = clip(shared_data, 20)
    for index in range(8, 12):
        frames[index] = np.zeros_like(frames[index])
    assert np.flatnonzero(find(frames)["state"] == 1).tolist() == [8, 9, 10, 11]


def test_two_faces_are_followed_and_the_second_one_may_come_later(dlib, shared_data):
    """A smaller copy of the face appears close beside it in frame 5: it is seen when all is searched again, in frame 30."""
    frames = []
    for index, frame in enumerate(clip(shared_data, 36)):
        left = frame[:, 150:420]
        right = np.zeros_like(left)
        if index >= 5:
            right[:288, :216] = cv2.resize(left, (216, 288), interpolation=cv2.INTER_AREA)
        frames.append(np.hstack([left, right]))
    faces = find(frames)
    assert faces["faces"].tolist() == [1] * 30 + [2] * 6
    assert faces["landmarks"][:, :, 0].max() < 270


def test_a_small_face_is_found_down_to_the_least_that_is_used(dlib, shared_data):
    """The clip at 26 %: eyes 18 px apart, a box of 47 px, half of what the detector finds in the picture as it is."""
    small = [cv2.resize(frame, (166, 94), interpolation=cv2.INTER_AREA) for frame in clip(shared_data, 3)]
    assert find(small)["found"].all()
    assert not find(small, min_interocular=40)["found"].any()


def test_the_model_and_the_version_are_in_the_provenance(dlib, shared_data, tmp_path):
    from pfes.base import store

    out = tmp_path / "faces.h5"
    write_faces(
        str(shared_data / "videos/single_face.mp4"), 0, out, SamplingParameters(), FaceParameters(backend="dlib")
    )
    made = store.attributes(out, "faces")["provenance"]
    assert any(name.endswith(dlib68.MODEL) for name in made["sources"])
    assert made["libraries"]["dlib"] == dlib68.version()


def test_a_file_that_is_no_model_is_named(dlib, tmp_path):
    (tmp_path / "model.dat").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"faces.dlib_model: .*model.dat is not a shape predictor of dlib"):
        find([], dlib_model=str(tmp_path / "model.dat"))


def test_a_missing_package_says_what_to_install(package):
    package()
    with pytest.raises(InputError, match=r"dlib is not installed; install it with: pip install 'pfes\[dlib\]'"):
        check_backend(FaceParameters(backend="dlib"))
    assert check_backend(FaceParameters()) == []


def test_a_missing_model_says_which_file(package, tmp_path):
    package("dlib")
    with pytest.raises(InputError, match=r"faces.dlib_model: null, and no package face_recognition_models"):
        check_backend(FaceParameters(backend="dlib"))
    with pytest.raises(InputError, match=rf"no file {tmp_path}/a.dat; expected shape_predictor_68_face_landmarks.dat"):
        check_backend(FaceParameters(backend="dlib", dlib_model=str(tmp_path / "a.dat")))


def test_the_model_is_taken_from_the_package_that_carries_it(package, tmp_path):
    package("dlib", dlib68.CARRIER)
    model = tmp_path / dlib68.CARRIER / "models" / dlib68.MODEL
    model.parent.mkdir(parents=True)
    model.write_bytes(b"")
    assert check_backend(FaceParameters(backend="dlib")) == [model]
    assert dlib68.CARRIER not in sys.modules  # found without being imported


def test_a_missing_backend_is_no_refusal_of_a_recording(package, tmp_path):
    """It is wrong for all recordings alike: the stage stops, and leaves no file behind."""
    package()
    with pytest.raises(InputError, match="dlib is not installed"):
        write_faces("a.mp4", 0, tmp_path / "a.h5", SamplingParameters(), FaceParameters(backend="dlib"))
    assert not (tmp_path / "a.h5").exists()
