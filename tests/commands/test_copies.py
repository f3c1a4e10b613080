"""One rendered recording in many files: turned, squeezed, in another rate or container, it is the same recording.

A recording of 3 s at 192 px is rendered once for the module; every copy goes through faces, flow and snippets.
"""

import cv2
import numpy as np
import pytest

from pfes.base import store
from pfes.commands.extract import ExtractParameters, extract, stage_paths
from pfes.datasets import demo, demo_render
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.flow.sw_mro import FlowParameters
from pfes.media.decode import SamplingParameters
from pfes.methods.baseline import BaselineParameters, class_magnitudes, propose_peaks
from tests.media.drawn import set_matrix, stored, write

RENDERED = demo.DemoParameters(subjects=1, videos=1, seconds=3.0, width=192, height=192)
PARAMS = ExtractParameters(flow=FlowParameters(method="farneback", size=96))
EVEN = np.arange(90) / 30


@pytest.fixture(scope="module")
def pictures():
    script = demo.script(RENDERED, "s01_v01")
    return list(demo_render.render_frames(RENDERED, demo_render.still_face(RENDERED, script.subject), script))


def turned(folder, pictures, *matrix):
    path = write(folder / "turned.mp4", EVEN, show=lambda i: stored(pictures[i], *matrix), crf="12")
    return set_matrix(path, *matrix), 0.0


def squeezed(folder, pictures):
    narrow = [cv2.resize(picture, (96, 192), interpolation=cv2.INTER_AREA) for picture in pictures]
    return write(folder / "a.mp4", EVEN, show=lambda i: narrow[i], aspect=2, crf="12"), 0.0


def numbered(folder, pictures):
    (folder / "frames").mkdir()
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"frames/s01_{i + 7:03d}_192x192.png"), picture.astype(np.uint16) << 4)  # 12 bits
    return folder / "frames", 30.0


def uneven(folder, pictures):
    times = EVEN + np.random.default_rng(0).uniform(-0.012, 0.012, 90)
    return write(folder / "webcam.mkv", np.maximum(times, 0), show=lambda i: pictures[i], crf="12"), 0.0


COPIES = {
    "turned left": lambda folder, pictures: turned(folder, pictures, 0, -1, 1, 0),
    "on its head": lambda folder, pictures: turned(folder, pictures, -1, 0, 0, -1),
    "60 fps": lambda folder, pictures: (write(folder / "a.mp4", np.arange(180) / 60, rate=60, show=lambda i: pictures[i // 2], crf="12"), 0.0),
    "mjpeg.avi": lambda folder, pictures: (write(folder / "a.avi", EVEN, codec="mjpeg", pix_fmt="yuvj420p", show=lambda i: pictures[i], qmin="1", qmax="1"), 0.0),
    "a.ts": lambda folder, pictures: (write(folder / "a.ts", EVEN, show=lambda i: pictures[i], crf="12"), 0.0),
    "squeezed": squeezed,
    "numbered images of 12 bits": numbered,
    "webcam": uneven,
}  # fmt: skip


def result(folder, recording, fps):
    """Return points [T, 68, 2], magnitude [T, 2] and the seconds of the proposals."""
    paths = stage_paths(folder / "out", "copy")
    extract(str(recording), paths, PARAMS, fps=fps)
    faces, snippets = store.read(paths["faces"], "faces"), store.read(paths["snippets"], "snippets")
    rate = float(store.attributes(paths["faces"], "faces")["fps"])
    magnitude = class_magnitudes(snippets["snippets"], BaselineParameters())
    found = propose_peaks(magnitude, BaselineParameters(), rate, valid=snippets["valid"].astype(bool))
    return faces["landmarks"], magnitude, found.assign(onset=found["onset"] / rate, offset=found["offset"] / rate)


@pytest.fixture(scope="module")
def upright(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("upright")
    points, magnitude, found = result(folder, write(folder / "a.mp4", EVEN, show=lambda i: pictures[i], crf="12"), 0.0)
    assert len(found) >= 1
    return points, magnitude, found


@pytest.mark.slow
@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_gives_the_same_points_intensity_and_seconds(upright, pictures, tmp_path, copy):
    points, magnitude, found = result(tmp_path, *COPIES[copy](tmp_path, pictures))
    assert len(points) == len(upright[0])
    assert np.median(np.linalg.norm(points - upright[0], axis=-1)) < 1.0  # px
    assert np.corrcoef(magnitude[:, 0], upright[1][:, 0])[0, 1] > 0.95
    assert found["class"].tolist() == upright[2]["class"].tolist()
    times = ["onset", "offset"]
    np.testing.assert_allclose(found[times].to_numpy(), upright[2][times].to_numpy(), atol=0.1)


@pytest.mark.parametrize(("quarter", "advice"), [(1, "transpose=1"), (2, "hflip,vflip"), (3, "transpose=2")])
def test_a_face_on_its_side_without_a_word_from_the_container_is_refused(pictures, tmp_path, quarter, advice):
    path = write(
        tmp_path / "a.mp4", EVEN[:30], show=lambda i: np.ascontiguousarray(np.rot90(pictures[i], quarter)), crf="12"
    )
    write_faces(str(path), 0.0, tmp_path / "faces.h5", SamplingParameters(), FaceParameters())
    reason = store.refusal(tmp_path / "faces.h5", "faces")
    assert "from upright; turn the recording" in reason
    assert advice in reason


def test_nothing_is_measured_across_a_gap(pictures, tmp_path):
    """Images 0..39 and 60..89: the times of 22..37 have no picture, and no window that spans them is valid."""
    (tmp_path / "frames").mkdir()
    for i in [*range(40), *range(60, 90)]:
        cv2.imwrite(str(tmp_path / f"frames/{i}.png"), pictures[i])
    paths = stage_paths(tmp_path / "out", "gap")
    extract(str(tmp_path / "frames"), paths, PARAMS, fps=30)
    faces, snippets = store.read(paths["faces"], "faces"), store.read(paths["snippets"], "snippets")
    assert len(faces["state"]) == 90
    assert np.flatnonzero(faces["state"] == 5).tolist() == list(range(42, 58))
    assert faces["cut"].sum() == 1
    valid = snippets["valid"].astype(bool)
    assert np.flatnonzero(~valid).tolist() == list(range(int(np.flatnonzero(faces["cut"])[0]) - 8, 66))
    assert not snippets["snippets"][~valid].any()
    assert store.attributes(paths["faces"], "faces")["missing"] == 16


def test_exposure_is_told(pictures, tmp_path, caplog):
    dark = write(tmp_path / "a.mp4", EVEN[:30], show=lambda i: pictures[i] // 6 if i >= 15 else pictures[i], crf="4")
    write_faces(str(dark), 0.0, tmp_path / "faces.h5", SamplingParameters(), FaceParameters())
    assert store.attributes(tmp_path / "faces.h5", "faces")["dark"] == pytest.approx(0.5, abs=0.04)
    assert "a.mp4: dark in 5" in caplog.text
