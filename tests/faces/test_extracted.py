"""Points that OpenFace or py-feat extracted take the place of a detector, if they are of this recording."""

import numpy as np
import pandas as pd
import pytest

from pfes.base import store
from pfes.base.errors import InputError
from pfes.faces.extracted import check_place, points_file, read_points
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.media.decode import SamplingParameters, read_frames


def points(frames=4):
    """Points whose number can be read off them: x is 100 + frame + point / 100, y 200 more."""
    x = 100 + np.arange(frames)[:, None] + np.arange(68) / 100
    return np.stack([x, x + 200], axis=-1)


def openface(path, landmarks, **cells):
    """As OpenFace writes: frames from 1, a blank after each comma, -2Dfp columns."""
    frames = np.arange(1, len(landmarks) + 1)
    table = {
        "frame": frames, "face_id": 0, "timestamp": (frames - 1) / 30, "confidence": 0.98, "success": 1,
        **{f"x_{i}": landmarks[:, i, 0] for i in range(68)}, **{f"y_{i}": landmarks[:, i, 1] for i in range(68)},
    } | cells  # fmt: skip
    table = pd.DataFrame(table)
    text = [", ".join(table.columns), *(", ".join(map(str, row)) for row in table.itertuples(index=False))]
    path.write_text("\n".join(text) + "\n")
    return path


def pyfeat(path, landmarks, score=0.99):
    """As py-feat writes: frames from 0, a box, empty cells where there is no face."""
    table = {"FaceRectX": 1.0, "FaceRectY": 1.0, "FaceRectWidth": 9.0, "FaceRectHeight": 9.0, "FaceScore": score}
    table |= {f"x_{i}": landmarks[:, i, 0] for i in range(68)} | {f"y_{i}": landmarks[:, i, 1] for i in range(68)}
    pd.DataFrame({**table, "AU01": 0.1, "input": "film.mp4", "frame": np.arange(len(landmarks))}).to_csv(path)
    return path


@pytest.mark.parametrize("write", [openface, pyfeat])
def test_both_layouts_give_the_same_points_of_each_frame(tmp_path, write):
    known = read_points(write(tmp_path / "film.csv", points()), 4, 0.5)
    assert sorted(known) == [0, 1, 2, 3]
    assert np.stack([known[frame][0].points for frame in range(4)]) == pytest.approx(points(), abs=1e-4)


def test_rows_that_are_no_face_give_none(tmp_path):
    known = read_points(openface(tmp_path / "a.csv", points(), success=np.array([1, 0, 1, 1])), 4, 0.5)
    assert sorted(known) == [0, 2, 3] and known[0][0].confidence == pytest.approx(0.98)
    empty = points()
    empty[2] = np.nan
    known = read_points(pyfeat(tmp_path / "b.csv", empty, score=np.array([0.9, 0.4, np.nan, 0.6])), 4, 0.5)
    assert sorted(known) == [0, 3] and known[3][0].confidence == pytest.approx(0.6)


def test_two_faces_of_a_frame_are_both_kept(tmp_path):
    table = pd.concat(
        [pd.read_csv(openface(tmp_path / "a.csv", points(), face_id=i), skipinitialspace=True) for i in range(2)]
    )
    table.to_csv(tmp_path / "a.csv", index=False)
    assert [len(faces) for faces in read_points(tmp_path / "a.csv", 4, 0.5).values()] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.iloc[:3], "rows of 3 frames, the last one 2 counted from 0, but the recording has 4"),
        (lambda table: table.assign(frame=table["frame"] * 2), "without skipping frames"),
        (lambda table: table.assign(frame=table["frame"] - 1), "rows of 4 frames"),
        (lambda table: table.assign(frame="first"), "frame is no whole number"),
        (lambda table: table.drop(columns="y_67"), "no column y_67"),
        (lambda table: table.drop(columns="success"), "neither a column success"),
        (lambda table: table.assign(**{name: table[name] / 400 for name in table if name[:2] in ("x_", "y_")}), "expected px"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_or_recording_is_refused(tmp_path, change, message):
    table = pd.read_csv(openface(tmp_path / "a.csv", points()), skipinitialspace=True)
    change(table).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match=message):
        read_points(tmp_path / "a.csv", 4, 0.5)


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "frames.v2").mkdir()
    with pytest.raises(InputError, match=r"no frames\.v2\.csv beside it; faces\.backend: file"):
        points_file(tmp_path / "frames.v2")
    with pytest.raises(InputError, match=r"no film\.csv beside it"):
        points_file(tmp_path / "film.mp4")


@pytest.fixture(scope="module")
def filmed(shared_data, tmp_path_factory):
    """A real recording, and what MediaPipe finds in it."""
    folder = tmp_path_factory.mktemp("filmed")
    film = folder / "film.mp4"
    film.write_bytes((shared_data / "videos/single_face.mp4").read_bytes())
    write_faces(str(film), 0, folder / "seen.h5", SamplingParameters(), FaceParameters())
    return film, store.read(folder / "seen.h5", "faces")


def test_a_recording_with_its_points_becomes_a_file_of_faces(filmed, tmp_path):
    film, seen = filmed
    openface(film.with_suffix(".csv"), seen["landmarks"].round(1))
    out = tmp_path / "faces.h5"
    write_faces(str(film), 0, out, SamplingParameters(), FaceParameters(backend="file"))
    faces = store.read(out, "faces")
    assert faces["landmarks"] == pytest.approx(seen["landmarks"], abs=0.06)
    assert (faces["state"] == seen["state"]).all() and faces["confidence"] == pytest.approx(0.98)
    assert faces["pose"] == pytest.approx(seen["pose"], abs=1) and faces["blur"] == pytest.approx(seen["blur"], rel=0.1)


def test_points_of_another_size_or_rotation_are_refused(filmed, tmp_path):
    film, seen = filmed
    pictures = list(enumerate(read_frames(film)))[::20]
    for change in (lambda xy: xy / 2, lambda xy: xy[..., ::-1], lambda xy: xy + [80, 0]):
        known = read_points(openface(tmp_path / "a.csv", change(seen["landmarks"])), len(seen["found"]), 0.5)
        with pytest.raises(InputError, match="eye distances from the face in the picture"):
            check_place(tmp_path / "a.csv", pictures, known)
