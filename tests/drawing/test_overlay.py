"""The overlay has the frames of the recording, survives gaps and holes, and refuses a recording of another length."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.drawing import overlay
from pfes.media.encode import encode

T, FPS, SIZE = 24, 30.0, (360, 640)
PROPOSALS = pd.DataFrame(
    {"class": ["macro", "micro"], "onset": [2, 14], "apex": [5, 16], "offset": [9, 18], "score": [0.8, 0.4]}
)


def grey_frames(count: int = T) -> Iterator[np.ndarray]:
    return (np.full((*SIZE, 3), 90, np.uint8) for _ in range(count))


def face() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks, ROI boxes, crop box and intensity of a face in the middle of the picture; none in frames 10 to 12."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.tile(np.stack([320 + 60 * np.cos(angle), 180 + 80 * np.sin(angle)], axis=1), (T, 1, 1))
    points[10:13] = np.nan
    rois = np.tile(np.array([[300.0, 130, 320, 150]]), (T, 1, 1))
    return points, rois, np.tile(np.array([230.0, 90, 410, 270]), (T, 1)), np.linspace(0, 1, T)


def drawn(frames: Iterator[np.ndarray | None], proposals: pd.DataFrame = PROPOSALS) -> list[np.ndarray]:
    return list(overlay.draw_overlay(frames, FPS, *face(), proposals))


def decode(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (answer := capture.read())[0]:
        frames.append(answer[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def test_overlay_decodes_to_every_frame_at_the_rate_of_the_analysis(tmp_path: Path) -> None:
    overlay.write_overlay(grey_frames(), tmp_path / "o.mp4", FPS, *face(), PROPOSALS)
    frames, fps = decode(tmp_path / "o.mp4")
    assert len(frames) == T and fps == FPS
    assert frames[0].shape == (360 + 132, 640, 3)  # as large as it is, and a strip


def test_frame_without_a_face_shows_no_face_and_breaks_nothing() -> None:
    frames = drawn(grey_frames())
    assert (frames[11][:360] == 90).all()
    assert not (frames[5][:360] == 90).all()


def test_recording_without_any_face_or_proposal_is_drawn() -> None:
    points, rois, crop, intensity = face()
    frames = overlay.draw_overlay(grey_frames(), FPS, points * np.nan, rois, crop, intensity, PROPOSALS.iloc[:0])
    assert len(list(frames)) == T


def test_cursor_moves_with_time() -> None:
    frames = drawn(grey_frames())
    columns = [np.flatnonzero((frame[400:] == overlay._CURSOR).all(axis=2).any(axis=0)).mean() for frame in frames]
    assert (np.diff(columns) > 0).all()
    assert np.ptp(np.diff(columns)) <= 2  # evenly, but for rounding to pixels


def test_caption_names_every_current_detection_in_frames_and_seconds() -> None:
    assert [text for text, _ in overlay.caption(5, FPS, 0.25, "", PROPOSALS)] == [
        "  0.17 s   frame 5", "intensity 0.25", "macro  0.07\N{EN DASH}0.30 s  score 0.80",
    ]  # fmt: skip
    assert [text for text, _ in overlay.caption(11, FPS, 0.25, "no face", PROPOSALS)] == [
        "  0.37 s   frame 11",
        "no face",
    ]


def test_unreadable_frames_take_a_neighbour() -> None:
    frames = list(grey_frames())
    assert len(drawn(iter([None, None, *frames[2:20], None, *frames[21:]]))) == T
    with pytest.raises(InputError, match="none of 24 frames can be read"):
        drawn(iter([None] * T))


@pytest.mark.parametrize(
    ("count", "message"), [(T - 1, "23 frames for the 24"), (T + 1, "more frames than the 24"), (0, "none of 0")]
)
def test_recording_of_another_length_is_refused_and_leaves_no_file(tmp_path: Path, count: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        overlay.write_overlay(grey_frames(count), tmp_path / "o.mp4", FPS, *face(), PROPOSALS)
    assert list(tmp_path.iterdir()) == []


def test_boxes_are_those_of_the_flow_stage_in_px_of_the_recording() -> None:
    """A face of twice the size at another place has boxes of twice the size at that place."""
    points = np.nan_to_num(face()[0][:1], nan=0.0)
    points[:, [39, 42]] = [[300.0, 170.0], [340.0, 170.0]]
    rois, crop = overlay.face_boxes(points, 320)
    np.testing.assert_allclose(crop[0], [230, 100, 410, 280])  # g = 20: 4.5 g to each side, 3.5 g up, 5.5 g down
    assert (rois[..., :2] >= crop[0, :2]).all() and (rois[..., 2:] <= crop[0, 2:]).all()
    larger_rois, larger_crop = overlay.face_boxes(2 * points, 320)
    np.testing.assert_allclose(larger_crop, 2 * crop)
    np.testing.assert_allclose(larger_rois, 2 * rois, atol=2 * 180 / 320 + 1e-9)


def test_encoding_twice_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        assert encode(tmp_path / name, grey_frames(), FPS) == T
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_odd_sides_are_padded_and_the_picture_is_kept(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(1, 234, dtype=np.uint8)[None, :, None], 121, axis=0).repeat(3, axis=2)  # 121 x 233
    encode(tmp_path / "a.mp4", [ramp] * 3, 29.97, crf=5)
    frames, fps = decode(tmp_path / "a.mp4")
    assert frames[0].shape == (122, 234, 3) and fps == pytest.approx(29.97)
    assert np.abs(frames[1][:121, :233].astype(int) - ramp).mean() < 2


def test_encoder_refuses_nothing_to_encode_and_frames_of_two_sizes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame"):
        encode(tmp_path / "a.mp4", [], FPS)
    with pytest.raises(InputError, match="frame 1 has shape"):
        encode(tmp_path / "a.mp4", [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], FPS)
    assert list(tmp_path.iterdir()) == []
