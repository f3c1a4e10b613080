"""The demo dataset: what is planned, and that the pixels show what the truth says.

Two recordings of 3 s at 256 px are rendered once for the whole module.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import EXPRESSION_COLUMNS
from pfes.datasets import demo, demo_face, demo_render
from pfes.faces.facemesh import MESH_68

SMALL = demo.DemoParameters(subjects=2, videos=2, seconds=3.0, width=256, height=256)
ROIS = [20, 19, 18, 23, 24, 25, 48, 54, 51, 57]


def show(params: demo.DemoParameters, **changes: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frame, landmarks and expression of subject 0 at rest, but for ``changes`` to a script of one frame."""
    still = demo.Script(0, (), np.zeros(1), np.zeros(1), np.zeros(1), np.zeros((1, 6)), np.ones(1), 0)
    script = dataclasses.replace(still, **changes)
    face = demo_render.still_face(params, 0)
    one_frame = dataclasses.replace(params, noise=0.0)
    landmarks, expression = demo_render.move_landmarks(face, script)
    frame = next(demo_render.render_frames(one_frame, face, script))
    return frame, landmarks[0] - demo_render.MARGIN, expression[0]


def act(name: str, pixels: float) -> tuple[demo.Instance, ...]:
    """Return one expression at its apex on frame 0."""
    return (demo.Instance("macro", 0, 0, 0, ((name, pixels),), 0, 1.0, 1.0),)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    for video_id in ("s01_v01", "s02_v01"):
        demo_render.render(SMALL, video_id, folder / f"{video_id}.mp4", folder / f"{video_id}.h5")
    return folder


def decode(path: Path) -> np.ndarray:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames)


# The plan


def test_plan_is_the_same_every_time_and_names_the_files():
    (videos, first), (_, second) = (demo.plan(demo.DemoParameters(), "folder/demo") for _ in range(2))
    assert first.equals(second)
    assert tuple(first.columns) == EXPRESSION_COLUMNS
    assert [video.path for video in videos][:2] == ["folder/demo/s01_v01.mp4", "folder/demo/s01_v02.mp4"]
    assert len({video.video_id for video in videos}) == 24


def test_another_seed_gives_another_plan():
    assert not demo.plan(demo.DemoParameters(seed=1), "")[1].equals(demo.plan(demo.DemoParameters(seed=2), "")[1])


@pytest.mark.parametrize("larger", [{"subjects": 9}, {"videos": 5}])
def test_more_subjects_or_videos_change_no_other(larger: dict[str, int]):
    columns = ["class", "onset", "apex", "offset"]
    few, many = demo.DemoParameters(), dataclasses.replace(demo.DemoParameters(), **larger)
    before, after = (demo.plan(params, "")[1].set_index("video_id")[columns] for params in (few, many))
    for video_id in {video.video_id for video in demo.plan(few, "")[0]}:
        assert before[before.index == video_id].equals(after[after.index == video_id])
    np.testing.assert_array_equal(demo.script(few, "s02_v03").pose, demo.script(many, "s02_v03").pose)


def test_durations_follow_the_real_label_sets():
    table = demo.plan(demo.DemoParameters(subjects=60, videos=5), "")[1]
    length = table["offset"] - table["onset"] + 1
    macro, micro = length[table["class"] == "macro"], length[table["class"] == "micro"]
    assert (macro.min() >= 16, macro.max() <= 100, abs(macro.median() - 31) <= 2) == (True, True, True)
    assert (micro.min() >= 8, micro.max() <= 15, 12 <= micro.median() <= 13) == (True, True, True)


def test_instances_keep_order_distance_and_inside_of_the_video():
    params = demo.DemoParameters(subjects=40)
    table = demo.plan(params, "")[1]
    assert ((table["onset"] > 0) & (table["onset"] < table["apex"]) & (table["apex"] < table["offset"])).all()
    assert (table["offset"] < params.frames - 1).all()
    for _, video in table.groupby("video_id"):
        assert (video["onset"].to_numpy()[1:] - video["offset"].to_numpy()[:-1] > 12).all()
    assert 3 <= table.groupby("video_id").size().mean() <= 5


def test_every_subject_has_both_classes_and_about_one_video_in_five_none():
    for seed in range(20):
        videos, table = demo.plan(demo.DemoParameters(seed=seed), "")
        assert (table.groupby("subject")["class"].nunique() == 2).sum() == 6
        assert 4 <= len({video.video_id for video in videos} - set(table["video_id"])) <= 6


def test_macro_expressions_are_clearly_larger_than_micro():
    params = demo.DemoParameters()
    peaks: dict[str, list[float]] = {"macro": [], "micro": []}
    for video in demo.plan(params, "")[0]:
        for instance in demo.script(params, video.video_id).instances:
            peaks[instance.label].append(max(amplitude for _, amplitude in instance.actions))
    assert min(peaks["micro"]) >= 0.6 and max(peaks["micro"]) <= 1.2
    assert min(peaks["macro"]) >= 2.0 and max(peaks["macro"]) <= 4.5
    assert np.median(peaks["macro"]) > 2.5 * np.median(peaks["micro"])


def test_a_release_holds_the_plan():
    release = demo.load({"name": "demo", "folder": "out", "subjects": 2, "videos": 1, "macro_px": [2.0, 3.0]})
    assert [video.path for video in release.videos] == ["out/s01_v01.mp4", "out/s02_v01.mp4"]
    assert set(release.expressions["video_id"]) == {"s01_v01", "s02_v01"}


@pytest.mark.parametrize("wrong", [{"subjects": 0}, {"seconds": 1.0}, {"width": 255}])
def test_impossible_sizes_are_refused(wrong: dict[str, float]):
    with pytest.raises(InputError, match="demo"):
        demo.DemoParameters(**wrong)


def test_an_unknown_video_is_named_and_writes_nothing(tmp_path: Path):
    with pytest.raises(InputError, match=r"s03_v01: .* expected one of s01_v01, s01_v02, s02_v01, s02_v02"):
        demo_render.render(SMALL, "s03_v01", tmp_path / "v.mp4", tmp_path / "t.h5")
    assert not list(tmp_path.iterdir())


# The intensity


def test_intensity_rises_once_and_falls_once_slower():
    #   onset 10      apex 18                   offset 40
    #   0 0 . : | | | 1 | | | : : : . . . . . . 0 0
    curve = demo.Instance("macro", 10, 18, 40, (), 0, 1.2, 0.8).intensity(60)
    assert curve[18] == 1
    assert (curve[[9, 41]] == 0).all() and (curve[10:41] > 0).all() and not curve[:10].any() and not curve[41:].any()
    assert (np.diff(curve[10:19]) > 0).all() and (np.diff(curve[18:41]) < 0).all()
    assert (curve[18:] > 0.5).sum() > 1.3 * (curve[:18] > 0.5).sum()


def test_planned_apexes_lie_at_25_to_60_percent():
    table = demo.plan(demo.DemoParameters(subjects=40), "")[1]
    share = (table["apex"] - table["onset"]) / (table["offset"] - table["onset"])
    assert share.between(0.2, 0.6).all()
    assert 0.35 < share.mean() < 0.45


# The files


def test_recording_has_the_planned_rate_size_and_length_in_h264(rendered: Path):
    with av.open(str(rendered / "s01_v01.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, float(stream.average_rate), stream.width, stream.height) == (
            "h264",
            30,
            256,
            256,
        )
    assert decode(rendered / "s01_v01.mp4").shape == (90, 256, 256, 3)


def test_truth_holds_intensity_landmarks_expression_and_what_happens(rendered: Path):
    truth, attributes = (read(rendered / "s01_v01.h5", "truth") for read in (store.read, store.attributes))
    table = demo.plan(SMALL, "")[1].query("video_id == 's01_v01'")
    assert (truth["landmarks"].shape, truth["expression"].shape, truth["intensity"].shape) == (
        (90, 68, 2),
        (90, 68, 2),
        (90,),
    )
    assert {array.dtype for array in truth.values()} == {np.dtype(np.float32)}
    inside = np.zeros(90, bool)
    for onset, offset in zip(table["onset"], table["offset"], strict=True):
        inside[onset : offset + 1] = True
    assert (truth["intensity"][table["apex"]] == 1).all()
    np.testing.assert_array_equal(truth["intensity"] > 0, inside)
    np.testing.assert_array_equal(np.abs(truth["expression"]).max((1, 2)) > 0, inside)
    assert [item["class"] for item in json.loads(attributes["instances"])] == table["class"].tolist()
    assert isinstance(json.loads(attributes["blinks"]), list)


def test_another_process_renders_the_same_bytes(rendered: Path, tmp_path: Path):
    code = f"""
from pfes.datasets import demo, demo_render
demo_render.render(demo.{SMALL!r}, "s02_v01", {str(tmp_path / "s02_v01.mp4")!r}, {str(tmp_path / "s02_v01.h5")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "s02_v01.mp4").read_bytes() == (rendered / "s02_v01.mp4").read_bytes()
    truths = [store.read(folder / "s02_v01.h5", "truth") for folder in (tmp_path, rendered)]
    for name, array in truths[0].items():
        np.testing.assert_array_equal(array, truths[1][name])


def test_a_rendering_that_breaks_off_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> object:
        yield np.zeros((256, 256, 3), np.uint8)
        raise MemoryError

    monkeypatch.setattr(demo_render, "render_frames", broken)
    with pytest.raises(MemoryError):
        demo_render.render(SMALL, "s01_v01", tmp_path / "v.mp4", tmp_path / "t.h5")
    assert not list(tmp_path.iterdir())


# Pixels against truth


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_kept_mesh_is_the_one_that_mediapipe_finds(mirrored: bool):
    from mediapipe.python.solutions.face_mesh import FaceMesh
    from skimage import data

    photo = np.ascontiguousarray(data.astronaut()[:, ::-1] if mirrored else data.astronaut())
    with FaceMesh(static_image_mode=True) as detector:
        points = detector.process(photo).multi_face_landmarks[0].landmark[:468]
    found = np.array([(point.x, point.y, point.z) for point in points]) * 512
    away = np.abs(found - demo_face.portrait_mesh(mirrored)).mean(0)
    assert (away < (1, 1, 3)).all(), away  # the face is 160 px wide


def test_mediapipe_finds_the_face_where_the_truth_says(rendered: Path):
    from mediapipe.python.solutions.face_mesh import FaceMesh

    for video_id in ("s01_v01", "s02_v01"):
        truth = store.read(rendered / f"{video_id}.h5", "truth")["landmarks"]
        with FaceMesh() as mesh:
            found = [
                mesh.process(frame[:, :, ::-1]).multi_face_landmarks for frame in decode(rendered / f"{video_id}.mp4")
            ]
        assert all(found)
        seen = np.array([[(face[0].landmark[i].x, face[0].landmark[i].y) for i in MESH_68] for face in found]) * 256
        error = seen - truth
        interocular = np.linalg.norm(truth[:, 36:42].mean(1) - truth[:, 42:48].mean(1), axis=-1).mean()
        assert np.linalg.norm(error, axis=-1).mean() / interocular < 0.05
        assert np.linalg.norm(error - np.median(error, axis=0), axis=-1).mean() / interocular < 0.015


def test_mediapipe_sees_head_and_mouth_move_as_the_truth_says():
    from mediapipe.python.solutions.face_mesh import FaceMesh

    params = dataclasses.replace(SMALL, width=384, height=384)
    pose = np.array([[0.25, -0.2, 3.0, 0.02, 0.0, 0.0]])
    views = [show(params), show(params, pose=pose), show(params, instances=act("lip_pull", 4.5))]
    with FaceMesh(static_image_mode=True) as mesh:
        found = [mesh.process(frame[:, :, ::-1]).multi_face_landmarks[0].landmark for frame, _, _ in views]
    seen = np.array([[(face[i].x, face[i].y) for i in MESH_68] for face in found]) * 384
    truth = np.array([landmarks for _, landmarks, _ in views])
    (head_seen, mouth_seen), (head, mouth) = (track[1:, 17:] - track[0, 17:] for track in (seen, truth))
    interocular = np.linalg.norm(truth[0, 36:42].mean(0) - truth[0, 42:48].mean(0))
    assert np.linalg.norm(head, axis=1).mean() > 5
    assert np.linalg.norm(head_seen - head, axis=1).mean() / interocular < 0.015
    corners = [48 - 17, 54 - 17]
    share = (mouth_seen[corners] * mouth[corners]).sum(1) / (mouth[corners] ** 2).sum(1)
    assert ((share > 0.3) & (share < 1.2)).all()  # its face model holds back local motion, here by about 40 %


@pytest.mark.parametrize("name", [*demo.ACTIONS])
def test_optical_flow_sees_the_true_displacement(name: str):
    params = dataclasses.replace(SMALL, width=384, height=384)
    rest, points, _ = show(params)
    moved, landmarks, expression = show(params, instances=act(name, 2.5))
    before, after = (cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (rest, moved))
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)
    seen = cv2.remap(flow, points[None].astype(np.float32), np.empty(0), cv2.INTER_LINEAR)[0]
    np.testing.assert_allclose(landmarks - points, expression, atol=1e-3)
    error = np.linalg.norm(seen - expression, axis=1)[ROIS]
    assert error.mean() < 0.45 and error.max() < 1.2, error  # of 4 px; what flow itself misses, see the exact test
    length = np.linalg.norm(expression, axis=1)
    assert length[ROIS].max() == pytest.approx(2.5 * 9 / 128 * demo_render.still_face(params, 0).g, rel=0.02)
    assert length.max() < 1.35 * length[ROIS].max()
    assert length[[29, 30]].max() < 0.05 * length.max()


@pytest.mark.parametrize("column", range(6))
def test_optical_flow_sees_the_head_move(column: int):
    pose = np.zeros((1, 6))
    pose[0, column] = (0.1, 0.1, 2.0, 0.02, 2.0, 2.0)[column]
    rest, points, _ = show(SMALL)
    moved, landmarks, expression = show(SMALL, pose=pose)
    before, after = (cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (rest, moved))
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)
    seen = cv2.remap(flow, points[None].astype(np.float32), np.empty(0), cv2.INTER_LINEAR)[0]
    inner = np.arange(17, 68)
    assert not expression.any()
    assert np.linalg.norm(landmarks - points, axis=1)[inner].max() > 0.5
    assert np.linalg.norm(seen - landmarks + points, axis=1)[inner].mean() < 0.3


def test_a_field_inverts():
    nodes = demo_render.pixel_grid((120, 160), 1)
    field = (
        4 * np.exp(-((nodes - (80, 60)) ** 2).sum(-1, keepdims=True) / 200).astype(np.float32) * np.ones(2, np.float32)
    )
    inverse = demo_render.invert(field)
    points = np.array([[160.0, 120.0], [150.0, 110.0], [30.0, 30.0]], np.float32)
    arrived = points + demo_render.sample(field, points)
    np.testing.assert_allclose(arrived + demo_render.sample(inverse, arrived), points, atol=0.1)


def test_a_blink_closes_the_eyes_and_leaves_the_brows():
    rest, points, _ = show(SMALL)
    shut, landmarks, expression = show(SMALL, blink=np.ones(1))
    assert (landmarks[[37, 38, 43, 44], 1] >= landmarks[[41, 40, 47, 46], 1] - 1).all()
    np.testing.assert_allclose(landmarks[17:27], points[17:27], atol=0.3)
    assert not expression.any()
    x0, y0, x1, y1 = *points[36:42].min(0).astype(int), *points[36:42].max(0).astype(int) + 1
    assert shut[y0:y1, x0:x1].std() < rest[y0:y1, x0:x1].std()


def test_talking_moves_the_lower_lip_only_a_little():
    _, points, _ = show(SMALL)
    _, landmarks, expression = show(SMALL, talk=np.full(1, 0.3))
    crop_px = (landmarks - points)[:, 1] / (demo_render.still_face(SMALL, 0).g * 9 / 128)
    assert 0.5 < crop_px[57] < 3
    assert np.abs(crop_px[17:48]).max() < 0.05
    assert not expression.any()


def test_talking_oscillates_and_stays_out_of_expressions():
    params = demo.DemoParameters(subjects=20)
    talking = [demo.script(params, video.video_id) for video in demo.plan(params, "")[0]]
    talking = [script for script in talking if script.talk.any()]
    assert len(talking) > 15
    for script in talking:
        busy = (
            np.max([np.zeros(params.frames), *(item.intensity(params.frames) for item in script.instances)], axis=0) > 0
        )
        assert not script.talk[busy].any()
        episode = np.flatnonzero(script.talk > 0.01)
        peaks = ((script.talk[1:-1] > script.talk[:-2]) & (script.talk[1:-1] >= script.talk[2:])).sum()
        assert 2 < peaks / (len(episode) / params.fps) < 8


def test_subjects_differ_in_geometry_and_in_colour():
    faces = [demo_render.still_face(SMALL, subject) for subject in (0, 1)]
    shapes = [(face.landmarks - face.centre) / face.g for face in faces]
    assert np.abs(shapes[0] - shapes[1]).max() > 0.2
    colours = [face.image.mean((0, 1)) for face in faces]
    assert np.abs(colours[0] - colours[1]).max() > 3
