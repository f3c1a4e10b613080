"""What the stages measure on the demo dataset against what was rendered.

The smoke run has three identities of 4 s with head motion, blinks and talking, 256 x 256 px, H.264: a coarse recording,
whose crop of 128 px is about as large as the face in it. Truth is the path of the 68 landmarks as rendered.
"""

import numpy as np
import pytest

from pfes.base import store
from pfes.bench.truth import true_motion

SIZE = 128


@pytest.fixture(scope="module")
def videos(run):
    """Per video: measured landmarks, true landmarks, snippets, true snippets (crop px), true intensity."""
    found = []
    for path in sorted(run.glob("snippets/*.h5")):
        faces = store.read(next(run.glob(f"faces/*/{path.name}")), "faces")
        truth = store.read(run / "dataset/demo" / path.name, "truth")
        measured = store.read(path, "snippets")["snippets"]
        found.append((faces, truth, measured, true_snippets(truth["landmarks"], faces["landmarks"])))
    return found


def true_snippets(landmarks, measured_landmarks):
    """Motion of the ten ROIs against the nose from the reference of each window on, [T, 17, 10, 2] in crop px."""
    motion = true_motion(landmarks, measured_landmarks, SIZE)
    return (motion - motion[:, :, 10:])[:, :, :10]


def test_every_frame_has_a_face(videos):
    assert all(faces["found"].all() for faces, *_ in videos)


def test_landmarks_lie_where_they_were_rendered(videos):
    """MediaPipe's own bias on another identity is a few per cent of the distance of the eyes; jumps would be far more."""
    for faces, truth, *_ in videos:
        error = np.linalg.norm(faces["landmarks"] - truth["landmarks"], axis=-1) / faces["interocular"].mean()
        assert np.median(error) < 0.05
        assert np.percentile(error, 99) < 0.25


def test_roi_flow_follows_the_rendered_displacement(videos):
    """Median error below .1 px of the crop, and correlation above .9 over all ROIs, frames and temporal distances."""
    measured = np.concatenate([snippets for _, _, snippets, _ in videos])
    true = np.concatenate([truth for *_, truth in videos])
    error = np.linalg.norm(measured - true, axis=-1)[:, 1:]
    assert np.median(error) < 0.1
    assert np.corrcoef(measured.ravel(), true.ravel())[0, 1] > 0.9


def test_roi_flow_has_the_right_size(videos):
    """Where the true motion exceeds 1 px, the measured one has 70 to 120 % of it on the whole (slope through the origin)."""
    measured = np.concatenate([snippets for _, _, snippets, _ in videos])
    true = np.concatenate([truth for *_, truth in videos])
    large = np.linalg.norm(true, axis=-1) > 1
    assert large.sum() > 1000
    slope = (measured[large] * true[large]).sum() / (true[large] ** 2).sum()
    assert 0.7 < slope < 1.2


def test_motion_is_larger_inside_expressions_than_outside(videos):
    inside = np.concatenate(
        [np.linalg.norm(snippets[truth["intensity"] > 0.8, 8], axis=-1).max(-1) for _, truth, snippets, _ in videos]
    )
    outside = np.concatenate(
        [np.linalg.norm(snippets[truth["intensity"] == 0, 8], axis=-1).max(-1) for _, truth, snippets, _ in videos]
    )
    assert np.median(inside) > 2 * np.median(outside)
