"""Seeds by hand and against the rule written out frame by frame."""

import numpy as np
import pytest

from pfes.methods.ptal.seeds import find_seeds


def seeds(score, frames, classes=None):
    classes = np.zeros(len(frames), np.int64) if classes is None else np.array(classes, np.int64)
    return find_seeds(np.array(score, float), np.array(frames, np.int64), classes)


def where(mask):
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ([0.5, 0.6, 0.9, 0.2], [3]),  # none reaches .95: the highest alone
        ([0.5, 0.96, 0.9, 0.2], [2]),  # one
        ([0.96, 0.1, 0.5, 0.95], [1, 2, 3, 4]),  # two: all between them
        ([0.5, 0.96, 0.0, 0.95], [2, 3, 4]),
    ],
)
def test_background_between_two_points(between, expected):
    # frame   0   1 2 3 4   5
    # point   x             x
    found = seeds([0.5, *between, 0.5], [0, 5])
    assert where(found.background) == expected


def test_background_reaches_the_ends_of_the_video():
    # frame      0   1    2   3(x) 4    5    6
    found = seeds([0.2, 0.97, 0.3, 0.5, 0.3, 0.96, 0.1], [3])
    assert where(found.background) == [0, 1, 5, 6]
    found = seeds([0.2, 0.3, 0.9, 0.5, 0.8, 0.3, 0.1], [3])  # none at .95: up to the highest
    assert where(found.background) == [0, 1, 2, 4, 5, 6]


def test_points_at_both_ends_and_side_by_side_leave_no_gap():
    found = seeds([0.5, 0.99, 0.5, 0.5], [0, 2, 3], [0, 1, 0])
    assert where(found.background) == [1]
    assert where(found.action[:, 0]) == [0, 3]
    assert where(found.action[:, 1]) == [2]


def test_a_point_spreads_while_the_background_score_is_low():
    # frame      0    1    2    3(x) 4    5    6    7
    found = seeds([0.99, 0.2, 0.1, 0.5, 0.05, 0.1, 0.11, 0.99], [3], [1])
    assert where(found.action[:, 1]) == [2, 3, 4, 5]
    assert not found.action[:, 0].any()


def test_without_a_point_all_is_background():
    found = seeds([0.1, 0.2, 0.3], [])
    assert found.background.all()
    assert not found.action.any()


def test_random_videos_frame_by_frame():
    generator = np.random.default_rng(0)
    for _ in range(200):
        n = int(generator.integers(1, 20))
        score = generator.choice([0.0, 0.05, 0.1, 0.3, 0.6, 0.95, 1.0], n) + generator.random(n) * 1e-3
        frames = generator.integers(0, n, generator.integers(0, 5))
        classes = generator.integers(0, 2, len(frames))
        found = seeds(score, frames, classes)
        background, action = by_loop(score, frames.tolist(), classes.tolist())
        assert where(found.background) == sorted(background)
        for kind in (0, 1):
            assert where(found.action[:, kind]) == sorted(action[kind])


def by_loop(score, frames, classes):
    n = len(score)
    points = sorted(set(frames))
    if not points:
        return set(range(n)), [set(), set()]
    background = set()

    def certain(stretch):
        return [t for t in stretch if score[t] >= 0.95]

    before, after = range(0, points[0]), range(points[-1] + 1, n)
    if before:
        background |= set(range(0, max(certain(before) or [max(before, key=lambda t: score[t])]) + 1))
    if after:
        background |= set(range(min(certain(after) or [max(after, key=lambda t: score[t])]), n))
    for one, two in zip(points, points[1:], strict=False):
        gap = range(one + 1, two)
        if len(certain(gap)) >= 2:
            background |= set(range(certain(gap)[0], certain(gap)[-1] + 1))
        elif gap:
            background.add(max(gap, key=lambda t: score[t]))
    action = [set(), set()]
    for frame, kind in zip(frames, classes, strict=True):
        for t in range(frame, n):
            if t != frame and (score[t] > 0.1 or t in background):
                break
            action[kind].add(t)
        for t in range(frame, -1, -1):
            if t != frame and (score[t] > 0.1 or t in background):
                break
            action[kind].add(t)
    return background, action
