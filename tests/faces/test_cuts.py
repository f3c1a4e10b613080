"""A splice is found; light, noise, flashes, blinks and moving heads are none."""

from itertools import islice

import cv2
import numpy as np
import pytest
from skimage.data import astronaut, coffee

from pfes.faces.cuts import LARGE, SMALL, Pictures, face_jumps, find_cuts
from pfes.faces.geometry import Face
from pfes.media.decode import read_frames

FACE = np.ascontiguousarray(cv2.resize(astronaut()[:260, 60:380, ::-1], (320, 260)))
OTHER = np.ascontiguousarray(cv2.resize(coffee()[..., ::-1], (320, 260)))
POINTS = np.stack([np.linspace(120, 200, 68), 60 + 80 * (np.arange(68) % 9) / 8], axis=-1).astype(np.float32)
EYES = float(np.linalg.norm(POINTS[36:42].mean(0) - POINTS[42:48].mean(0)))


def cuts(frames, shifts=None):
    """Return the frames where a shot begins; ``shifts`` [T]: how far the face has moved to the right, None: no face."""
    pictures = Pictures()
    for frame in frames:
        pictures.add(frame)
    shifts = np.zeros(len(frames)) if shifts is None else shifts
    detections = [[] if x is None else [Face(POINTS + np.float32([x, 0]))] for x in shifts]
    return np.flatnonzero(find_cuts(pictures.change(), face_jumps(detections))).tolist()


def moved(shifts):
    """The portrait, moved to the right by so many px."""
    return [np.roll(FACE, round(shift), axis=1) for shift in shifts]


def lit(gains):
    return [np.clip(FACE * gain, 0, 255).astype(np.uint8) for gain in gains]


def test_another_picture_begins_a_shot():
    assert cuts([FACE] * 20 + [OTHER] * 20 + [FACE] * 3 + [OTHER] * 3) == [20, 40, 43]


def test_a_splice_within_a_scene_is_a_cut_where_the_head_is_elsewhere():
    """The head stands still, then is 6 px away from one frame to the next, and stands still again."""
    shifts = [0] * 20 + [6] * 20
    assert cuts(moved(shifts), shifts) == [20]


def test_a_head_that_starts_to_move_is_no_cut():
    """The same way and more, at once fast: 2, 5, 8, 10, 10, 8, 5, 2 px a frame."""
    shifts = np.cumsum([0] * 20 + [2, 5, 8, 10, 10, 8, 5, 2] + [0] * 20)
    assert cuts(moved(shifts), shifts) == []


@pytest.mark.parametrize(
    "frames",
    [
        lit(1 + 0.3 * np.random.default_rng(0).normal(size=60)),
        lit([0.4] * 30 + [1.0] * 30),
        [np.clip(FACE + 200.0 * (t == 30), 0, 255).astype(np.uint8) for t in range(60)],
        [FACE * (t != 30) for t in range(60)],
        [None if t in (0, 30, 31) else FACE for t in range(60)],
        [
            np.clip(FACE + np.random.default_rng(t).normal(0, 15, FACE.shape), 0, 255).astype(np.uint8)
            for t in range(40)
        ],
        [FACE[::, :: (-1 if t == 30 else 1)] for t in range(60)],
    ],
    ids=["flicker", "light switched on", "flash", "blank frame", "unreadable frames", "noise", "one wrong frame"],
)
def test_what_is_no_cut(frames):
    assert cuts(frames) == []


def test_a_blink_is_no_cut():
    """Both eyes are covered with skin over three frames."""
    frames = [FACE.copy() for _ in range(40)]
    for t, share in zip(range(18, 23), (0.4, 1, 1, 1, 0.4), strict=True):
        rows = slice(95, 95 + round(14 * share))
        frames[t][rows, 130:190] = FACE[80:81, 130:190]
    assert cuts(frames) == []


def test_a_thing_that_appears_while_the_head_moves_is_no_cut():
    """The head moves by 1 px a frame, .1 eye distances, all the time; in frame 20 a screen in the corner is switched on."""
    shifts = list(range(40))
    frames = moved(shifts)
    for frame in frames[20:]:
        frame[:32, :32] = 255
    pictures = Pictures()
    for frame in frames:
        pictures.add(frame)
    change = pictures.change()
    assert SMALL < 2 * np.delete(change, 20).max() < change[20] < LARGE
    assert cuts(frames, shifts) == []


def test_a_face_detected_elsewhere_without_a_change_of_picture_is_no_cut():
    assert cuts([FACE] * 40, [0] * 20 + [60] * 20) == []


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_short_streams_have_no_cut(n_frames):
    assert cuts([FACE, OTHER][:n_frames]) == ([1] if n_frames == 2 else [])


def test_real_motion_has_no_cut_and_a_splice_of_two_clips_has_one(shared_data):
    frames = list(islice(read_frames(shared_data / "videos/WolfgangLanger_Pexels.mp4"), 200))
    still = list(read_frames(shared_data / "videos/single_face.mp4"))
    assert cuts(frames, [None] * len(frames)) == []
    assert cuts(still, [None] * len(still)) == []
    assert cuts(frames[:50] + still, [None] * (50 + len(still))) == [50]


def test_most_splices_within_one_scene_are_found_and_nothing_else(shared_data):
    """Fifty times a piece of a recording of a moving head is left out: nine of ten splices are found, and no other frame."""
    from pfes.faces.facemesh import detector

    frames = list(islice(read_frames(shared_data / "videos/WolfgangLanger_Pexels.mp4"), 240))
    with detector(1, 0.5) as detect:
        faces = [detect(frame) for frame in frames]
    random, found, false = np.random.default_rng(0), 0, 0
    for _ in range(50):
        first, second = np.sort(random.choice(np.arange(12, 228, 12), 2, replace=False))
        kept = [*range(first - 12, first), *range(second, second + 12)]
        pictures = Pictures()
        for t in kept:
            pictures.add(frames[t])
        at = np.flatnonzero(find_cuts(pictures.change(), face_jumps([faces[t] for t in kept]))).tolist()
        found += 12 in at
        false += len(set(at) - {12})
    assert false == 0
    assert found >= 45
