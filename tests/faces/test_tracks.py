"""The largest and most persistent face is followed, and keeps its track beside others and over gaps."""

import numpy as np
import pytest

from pfes.faces.geometry import Face
from pfes.faces.tracks import follow


def square(x, y=50.0, side=40.0):
    """A face whose 68 points fill the square around (x, y)."""
    t = np.linspace(-0.5, 0.5, 68)
    return Face(np.stack([x + side * t, y + side * ((np.arange(68) % 9) / 8 - 0.5)], axis=-1).astype(np.float32))


def centres(detections, cut=()):
    """Follow faces and return {frame: x of the followed face}, and the number of other tracks."""
    cuts = np.zeros(len(detections), bool)
    cuts[list(cut)] = True
    track, others = follow(detections, cuts)
    return {t: round(float(np.ptp(f.points[:, 0]) / 2 + f.points[:, 0].min())) for t, f in track.items()}, others


def test_the_largest_and_most_persistent_face_is_followed():
    """A    aaaaa.aaaa   large, moves slowly
    B    bb......bb   larger still, but seen in four frames only
    The order of detections changes; track A is taken throughout, without its missing frame.
    """
    detections = []
    for t in range(10):
        faces = [square(100 + 2 * t)]
        if t in (0, 1, 8, 9):
            faces.insert(t % 2, square(300, side=50))
        detections.append(faces if t != 5 else [])
    assert centres(detections) == ({t: 100 + 2 * t for t in range(10) if t != 5}, 1)


def test_of_two_faces_of_one_size_it_is_the_same_one_all_along():
    """Cheek to cheek, nearer than one size. Either is the larger one in half of the frames, and first in half of the lists."""
    random = np.random.default_rng(0)
    detections = []
    for _ in range(60):
        faces = [square(x, side=40 + random.normal()) for x in (100, 135)]
        detections.append(faces if random.random() < 0.5 else faces[::-1])
    track, others = centres(detections)
    assert len(track) == 60 and others == 1
    assert max(track.values()) - min(track.values()) < 5


def test_a_face_that_passes_close_to_another_does_not_take_its_track():
    """A stands at 100; B, as large, walks by from 180 to 130 and back, nearer than one face size."""
    walk = [180 - 5 * min(t, 20 - t) for t in range(21)]
    detections = [[square(x), square(100)] for x in walk] + [[square(100)]] * 3
    track, _ = centres(detections)
    assert set(track.values()) == {100}


def test_a_face_that_comes_back_elsewhere_continues_its_track():
    """A leaves at x = 100 and is back 20 frames later, two of its sizes to the right: 1 + .1 x 20 sizes are plausible."""
    detections = [[square(100)]] * 10 + [[]] * 20 + [[square(180)]] * 5
    track, others = centres(detections)
    assert sorted(track) == [*range(10), *range(30, 35)] and others == 0


@pytest.mark.parametrize("back", [square(500), square(100, side=90)], ids=["too far", "too large"])
def test_a_face_that_cannot_be_the_same_is_another_track(back):
    detections = [[square(100)]] * 10 + [[]] * 5 + [[back]]
    track, others = centres(detections)
    assert sorted(track) == list(range(10)) and others == 1


def test_after_a_cut_the_largest_face_is_chosen_anew():
    """shot 1  A (40 px) at 100, B (20 px) at 300; shot 2  A gone, B at 100 as small as before, C (50 px) at 300."""
    detections = [[square(100), square(300, side=20)]] * 8 + [[square(100, side=20), square(300, side=50)]] * 8
    track, others = centres(detections, cut=[8])
    assert track == {t: 100 if t < 8 else 300 for t in range(16)} and others == 2


def test_no_detection_gives_no_track():
    assert centres([[], []]) == ({}, 0)
    assert centres([]) == ({}, 0)
