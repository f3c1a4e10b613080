"""The small files of shared data that trip software of this kind: every row of its README, in its order."""

import logging

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pfes import datasets
from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.cli import app
from pfes.exchange.annotations import import_labels
from pfes.faces.landmarks import FaceParameters, find_faces, write_faces
from pfes.media.decode import SamplingParameters, describe, read_frames, recording_clock
from tests.media.drawn import write

NAMES = ["subject", "video", "video_id", "path", "fps"]
FILM = pd.DataFrame([["anna", "film", "anna_film", "film.mp4", 30.0]], columns=NAMES)


@pytest.fixture(scope="module")
def files(shared_data):
    folder = shared_data / "files"
    if not folder.is_dir():
        pytest.skip(f"no files at {folder}")
    return folder


@pytest.fixture(scope="module")
def upright(files):
    frames = list(read_frames(files / "upright.mp4"))
    return frames, find_faces(enumerate(frames), FaceParameters())


def sheets(folder, **settings):
    return datasets.load(
        "generic", {"videos": str(folder / "videos.csv"), "expressions": str(folder / "expressions.csv"), **settings}
    )


def test_upright(files, upright):
    found = describe(files / "upright.mp4")
    assert (found.n_frames, found.clock.fps, found.turn, found.clock.times) == (96, 30, "", None)
    assert upright[1]["found"].all()


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotated(files, upright, angle):
    """The same pictures and points to compression noise; the stage faces takes them."""
    path = files / f"rotated_{angle}.mp4"
    frames = list(read_frames(path))
    assert len(frames) == 96
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(frames, upright[0], strict=True)) < 3
    faces = find_faces(enumerate(frames), FaceParameters())
    assert np.median(np.linalg.norm(faces["landmarks"] - upright[1]["landmarks"], axis=-1)) < 1.0
    assert np.abs(np.median(faces["pose"][:, 2])) < 10


def test_rotated_pixels_without_the_word_are_refused(files, tmp_path):
    """What a reader that ignores the container sees: the face lies on its side."""
    lying = [np.ascontiguousarray(np.rot90(frame)) for frame in list(read_frames(files / "upright.mp4"))[:30]]
    path = write(tmp_path / "a.mp4", np.arange(30) / 30, show=lambda i: lying[i], crf="12")
    write_faces(str(path), 0, tmp_path / "f.h5", SamplingParameters(), FaceParameters())
    assert "the face lies at -8" in store.refusal(tmp_path / "f.h5", "faces")


def test_long_last_frame(files):
    path = files / "long_last_frame.mp4"
    clock = recording_clock(path)
    np.testing.assert_allclose(clock.seconds(np.arange(97)), np.arange(97) / 30, atol=1e-6)
    assert describe(path).clock.source == "stamps"


def test_names_same_last_number(files):
    """The order of the names' second number, compared with the images read one by one."""
    folder = files / "names_same_last_number"
    expected = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
    assert len(expected) == 20
    assert all((a == b).all() for a, b in zip(read_frames(folder), expected, strict=True))


def test_png_12_bit(files):
    """As bright as the 8 bits of the same picture."""
    found = list(read_frames(files / "png_12_bit"))
    raw = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((files / "png_12_bit").iterdir())]
    assert max(int(image.max()) for image in raw) <= 4095
    assert all((frame == image >> 4).all() for frame, image in zip(found, raw, strict=True))
    assert describe(files / "png_12_bit", 30).bits == 12


def test_seconds_int(files, tmp_path):
    """A 2-frame macro-expression is said by `pfes check`, and the check ends with status 1."""
    folder = files / "sheets/seconds_int"
    (tmp_path / "my.yaml").write_text(
        f"run: x\ndataset: {{name: generic, videos: {folder}/videos.csv, expressions: {folder}/expressions.csv}}\n"
    )
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["check", str(tmp_path / "my.yaml"), "--no-estimate"])
    assert done.exit_code == 1
    assert "the median macro-expression is 0.067 s long (2 frames)" in done.output


def test_underscore_num(files):
    with pytest.raises(InputError, match="row 2: onset '1_0', expected a frame number"):
        sheets(files / "sheets/underscore_num")


def test_fps_neg(files):
    with pytest.raises(InputError, match="row 2: fps '-30', expected frames per second"):
        sheets(files / "sheets/fps_neg")


@pytest.mark.parametrize(("name", "subject"), [("zerowidth", "anna"), ("nfd_subject", "Zo\u00eb")])
def test_one_person_typed_twice_is_one_subject(files, name, subject):
    release = sheets(files / "sheets" / name)
    assert [video.subject for video in release.videos].count(subject) == 2
    assert set(release.expressions["subject"]) == {subject, "ben"}


def test_case_subject(files):
    with pytest.raises(InputError, match="subjects 'anna' and 'Anna' look alike"):
        sheets(files / "sheets/case_subject")
    assert len({video.subject for video in sheets(files / "sheets/case_subject", distinct_names=True).videos}) == 3


def test_mixed_class(files):
    assert sheets(files / "sheets/mixed_class").expressions["class"].tolist() == ["macro", "micro", "macro"]


def test_trailing_cols(files):
    assert len(sheets(files / "sheets/trailing_cols").expressions) == 3


def test_dec_comma(files):
    release = sheets(files / "sheets/dec_comma")
    assert [video.fps for video in release.videos] == [29.97, 0, 0]
    assert release.expressions["native_onset"].tolist() == [30, 100, 60]


def elan(path, **options):
    found = import_labels([path], "elan", FILM, **options)
    return found[["class", "native_onset", "native_offset"]].to_numpy().tolist()


def test_elan_words(files):
    assert elan(files / "elan/words.eaf") == [["macro", 30, 59], ["micro", 150, 152]]


def test_elan_twocams(files):
    assert elan(files / "elan/twocams.eaf")[0] == ["macro", 90, 119]


def test_elan_annot(files):
    with pytest.raises(InputError, match="'macro@coder1', 'macro@coder2' hold the macro labels of several annotators"):
        elan(files / "elan/annot.eaf")
    assert elan(files / "elan/annot.eaf", annotator="coder1") == [["macro", 30, 59]]


def test_elan_short(files, tmp_path, caplog):
    """10 ms and 0 ms are said, and are clicks; 10.4 to 10.5 s is the end of a recording of 10.5 s, and past that of one of 10 s."""
    videos = FILM.assign(path=str(write(tmp_path / "film.mp4", np.arange(315) / 30)))
    with caplog.at_level(logging.WARNING):
        found = import_labels([files / "elan/short.eaf"], "elan", videos)
    assert found["native_point"].tolist()[:2] == [90, 120] and found["native_onset"].isna().tolist() == [
        True,
        True,
        False,
    ]
    assert found["native_onset"].tolist()[2] == 312
    assert "10 ms, less than two frames: a click" in caplog.text
    assert "0 ms, less than two frames: a click" in caplog.text
    write(tmp_path / "film.mp4", np.arange(300) / 30)
    with pytest.raises(InputError, match="ends at 00:00:10.500, after the recording, which ends at 00:00:10.000"):
        import_labels([files / "elan/short.eaf"], "elan", videos)
