"""`pfes check` says of each recording what it is, and draws its face."""

import base64

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from pfes.base import store
from pfes.base.records import Video
from pfes.commands.cli import app, console
from pfes.drawing.thumbnails import thumbnails
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.media.decode import SamplingParameters, read_frames
from pfes.workflow.recordings import look, write_pictures
from tests.media.drawn import picture, set_matrix, write

EVEN = np.arange(30) / 30


@pytest.fixture
def lab(tmp_path):
    """A turned video, a folder with a gap, a dark one, one file under two names and one that is not there."""
    set_matrix(
        write(tmp_path / "a.mp4", EVEN, show=lambda i: np.ascontiguousarray(np.rot90(picture(i), 3))), 0, -1, 1, 0
    )
    for name, numbers, shift in (("gap", [*range(20), *range(40, 60)], 0), ("dark", range(20), 5)):
        (tmp_path / name).mkdir()
        for number in numbers:
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture(number) >> shift)
    rows = "anna,a,a.mp4,\nben,gap,gap,30\ncarl,dark,dark,30\ndora,b,a.mp4,\nemil,gone,gone.mp4,\n"
    (tmp_path / "videos.csv").write_text(f"subject,video,path,fps\n{rows}")
    (tmp_path / "expressions.csv").write_text(
        "subject,video,onset,apex,offset,class\nanna,a,2,5,25,macro\nben,gap,30,32,34,micro\nben,gap,2,5,15,ME\n"
    )
    (tmp_path / "my.yaml").write_text(
        f"run: x\ndataset: {{videos: {tmp_path}/videos.csv, expressions: {tmp_path}/expressions.csv}}\n"
    )
    return tmp_path


def test_every_recording_has_a_line(lab, monkeypatch):
    monkeypatch.setattr(console, "width", 300)
    done = CliRunner().invoke(app, ["check", str(lab / "my.yaml"), "--no-estimate"])
    lines = {
        line.split()[1]: line for line in done.output.splitlines() if line.startswith("│ ") and len(line.split()) > 1
    }
    for text in ("30", "stamps", "160x96", "90 degrees"):
        assert text in lines["anna_a"]
    for text in ("40", "sheet", "0.70 s before frame 20", "20 numbers of images are missing"):
        assert text in lines["ben_gap"]
    assert "dark in 100% of the frames" in lines["carl_dark"]
    assert "emil_gone: " in done.output
    assert "videos anna_a and dora_b are one recording" in done.output
    assert "counted as frames that are there, not as time" in done.output  # the label behind the gap
    assert done.exit_code == 1


def test_pictures_are_written_and_what_is_wrong_with_faces_is_said(shared_data, tmp_path):
    """The right way up: nothing to say; turned by hand, without a word in the file: it is said."""
    path = shared_data / "videos/single_face.mp4"
    turned = [np.ascontiguousarray(np.rot90(frame)) for frame in list(read_frames(path))[:30]]
    lying = write(tmp_path / "lying.mp4", EVEN, show=lambda i: turned[i])
    videos = [Video("d", "anna", "a", str(path)), Video("d", "ben", "b", str(lying)), Video("d", "c", "c", "gone.mp4")]
    said = list(write_pictures(videos, tmp_path / "pictures", FaceParameters()))
    assert len(said) == 1
    assert said[0].startswith("video ben_b: its face lies at -9")
    assert sorted(item.name for item in (tmp_path / "pictures").iterdir()) == ["anna_a.jpg", "ben_b.jpg"]
    drawn = cv2.imread(str(tmp_path / "pictures/anna_a.jpg")).astype(int)
    green = (drawn[..., 1] > drawn[..., 0] + 60) & (drawn[..., 1] > drawn[..., 2] + 60)
    assert 300 < green.sum() < 6000  # box and points


def test_thumbnails_of_a_turned_file_are_upright(shared_data, tmp_path):
    """The report's pictures go through the same decoder: the crop of a turned copy is that of the original."""
    folder = shared_data / "files"
    if not folder.is_dir():
        pytest.skip(f"no files at {folder}")
    made = {}
    for name in ("upright", "rotated_90"):
        path = folder / f"{name}.mp4"
        write_faces(str(path), 0, tmp_path / f"{name}.h5", SamplingParameters(), FaceParameters())
        faces = store.read(tmp_path / f"{name}.h5", "faces")
        shown = thumbnails({"v": [{"frame": 40}]}, {"v": path}, {"v": faces}.__getitem__, limit=1, size=64)
        made[name] = shown["v"][0]["src"]
    crops = [cv2.imdecode(np.frombuffer(base64.b64decode(src.split(",")[1]), np.uint8), 1) for src in made.values()]
    assert np.corrcoef(crops[0].ravel(), crops[1].ravel())[0, 1] > 0.97


def test_a_look_at_nothing_is_nothing():
    assert list(look([Video("d", "a", "a", ""), Video("d", "a", "b", "gone.mp4")])) == []
