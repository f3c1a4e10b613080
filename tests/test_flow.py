"""SW-MRO against motion that is known: a real face, moved by a known field or as a whole."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from pfes import flow as flow_stage
from pfes.align import NOSE, ROI_NAMES
from pfes.flow import FlowParameters, roi_means, valid_frames, window_flow
from pfes.landmarks import FaceParameters, find_faces
from pfes.snippets import SnippetParameters, make_snippets

DISPLACEMENT = 1.5  # px of the recording, at the left brow


@pytest.fixture(scope="module")
def portrait():
    image = cv2.resize(astronaut()[:260, 90:350, ::-1], (390, 390), interpolation=cv2.INTER_CUBIC)
    landmarks = find_faces([(0, image)], FaceParameters())["landmarks"][0]
    return np.ascontiguousarray(image), landmarks


def moved(image, landmarks, amount, shift=(0.0, 0.0)):
    """The portrait with its left brow raised by ``amount`` px (a Gaussian field) and moved as a whole by ``shift`` px."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    centre = landmarks[19]
    field = amount * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 30**2))
    return cv2.remap(
        image, x - shift[0], y + field.astype(np.float32) - shift[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def run(frames, landmarks, **params):
    blocks = list(window_flow(frames, landmarks, FlowParameters(**params)))
    assert [start for start, _ in blocks] == np.cumsum([0, *[len(block) for _, block in blocks]])[:-1].tolist()
    return np.concatenate([block for _, block in blocks])


def step_video(portrait, n_frames=30, at=15, shift=(0.0, 0.0)):
    """Still until frame ``at``, then brow raised and head shifted."""
    image, points = portrait
    after = moved(image, points, DISPLACEMENT, shift)
    landmarks = np.stack([points + (np.array(shift, np.float32) if t >= at else 0) for t in range(n_frames)]).astype(
        np.float32
    )
    return [image if t < at else after for t in range(n_frames)], landmarks


def test_a_still_video_has_no_flow(portrait):
    image, points = portrait
    flow = run([image] * 20, np.stack([points] * 20))
    assert flow.shape == (20, 17, len(ROI_NAMES), 2)
    assert np.abs(flow).max() == 0


def test_a_raised_brow_shows_in_its_roi_from_that_frame_on(portrait):
    """Window of frame 15: reference 7, entries 8.. (frames 15..) see the raised brow; error below .15 px of the crop."""
    frames, landmarks = step_video(portrait)
    flow = run(frames, landmarks)
    crop_px = DISPLACEMENT * 128 / (9 * np.linalg.norm(landmarks[0, 39] - landmarks[0, 42]) / 2)
    brow = flow[15, :, ROI_NAMES.index("left_brow_middle")]
    assert np.abs(brow[:8]).max() < 0.02
    assert brow[8:, 1] == pytest.approx(-crop_px, abs=0.15)  # up is negative
    assert brow[8:, 0] == pytest.approx(0, abs=0.15)
    assert np.abs(flow[15, 8:, ROI_NAMES.index("right_brow_outer")]).max() < 0.15


@pytest.mark.parametrize("shift", [(3.0, -2.0), (-14.0, 9.0)])
def test_head_motion_is_measured_whole_and_cancels_against_the_nose(portrait, shift):
    """Small shifts and shifts far beyond one pyramid: the crop follows, the stored flow keeps all of it."""
    frames, landmarks = step_video(portrait, shift=shift)
    scale = 128 / round(9 * np.linalg.norm(landmarks[0, 39] - landmarks[0, 42]) / 2)
    flow, still = run(frames, landmarks), run(*step_video(portrait))
    assert flow[15, 12, NOSE] - still[15, 12, NOSE] == pytest.approx(np.array(shift) * scale, abs=0.15)
    assert make_snippets(flow)[15, 12] == pytest.approx(make_snippets(still)[15, 12], abs=0.3)


def test_recentring_finds_motion_that_the_landmarks_miss(portrait):
    """Landmarks claim that the head is still; it moved by 9 px: only the re-centring by nose flow can find that."""
    frames, landmarks = step_video(portrait, shift=(9.0, 0.0))
    landmarks[:] = landmarks[0]
    scale = 128 / round(9 * np.linalg.norm(landmarks[0, 39] - landmarks[0, 42]) / 2)
    assert run(frames, landmarks)[15, 12, NOSE, 0] == pytest.approx(9 * scale, abs=0.25)


def test_the_ends_repeat_the_first_and_last_frame(portrait):
    """Frame 0: entries 0..8 are the first frame itself. Last frame: entries 8..16 are all the last frame."""
    frames, landmarks = step_video(portrait, n_frames=20, at=3)
    flow = run(frames, landmarks)
    assert np.abs(flow[0, :9]).max() == 0
    assert np.abs(flow[0, 11:]).max() > 0.5  # frame 3 and later
    assert (flow[-1, 8:] == flow[-1, 8]).all()


def test_a_gap_is_bridged_and_marked(portrait):
    """Frames 10 and 11 have no face: flow stays finite; they and the windows that start there are not to be trusted."""
    image, points = portrait
    landmarks = np.stack([points] * 30)
    landmarks[10:12] = np.nan
    assert np.isfinite(run([image] * 30, landmarks)).all()
    valid = valid_frames(np.isfinite(landmarks[:, 0, 0]))
    assert np.flatnonzero(~valid).tolist() == [10, 11, 18, 19]


def test_an_unreadable_frame_shows_the_one_before(portrait):
    frames, landmarks = step_video(portrait)
    broken = [*frames[:20], None, *frames[21:]]
    assert np.array_equal(run(broken, landmarks), run(frames, landmarks))


def test_a_frame_that_repeats_the_reference_is_not_computed(portrait, monkeypatch):
    """Resampling from below 30 fps repeats native frames; here all twenty show the same one."""
    image, points = portrait

    def fail(frames):
        raise AssertionError("solved for a repeated frame")

    monkeypatch.setattr(flow_stage, "solver", lambda params: fail)
    blocks = list(window_flow([image] * 20, np.stack([points] * 20), native=np.zeros(20, np.int64)))
    assert np.abs(blocks[0][1]).max() == 0


@pytest.mark.parametrize("method", ["tvl1_opencv", "farneback", "dis"])
def test_other_methods_see_the_raised_brow_too(portrait, method):
    frames, landmarks = step_video(portrait, n_frames=8, at=4)
    brow = run(frames, landmarks, method=method)[4, 8:, ROI_NAMES.index("left_brow_middle"), 1]
    assert brow.max() < -0.4


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="'lucas': expected tvl1"):
        flow_stage.solver(FlowParameters(method="lucas"))


def test_roi_mean_is_over_the_strongest_share():
    """A box of 100 pixels, 20 of which move by 2 px: the strongest 20 % have mean 2, whatever the rest does."""
    field = np.full((128, 128, 2), 0.1, np.float32)
    field[10:12, 10:20] = (2.0, 0.0)
    boxes = np.tile([0, 0, 2, 2], (len(ROI_NAMES), 1))
    boxes[ROI_NAMES.index("mouth_left_corner")] = (10, 10, 20, 20)
    assert roi_means(field, boxes)[ROI_NAMES.index("mouth_left_corner")] == pytest.approx([2, 0])


def test_snippets_without_head_motion_removal_are_the_flow(portrait):
    flow = np.random.default_rng(0).normal(size=(3, 17, len(ROI_NAMES), 2)).astype(np.float32)
    before = flow.copy()
    assert np.array_equal(make_snippets(flow, SnippetParameters("none")), flow[:, :, :10])
    assert np.array_equal(make_snippets(flow), flow[:, :, :10] - flow[:, :, [NOSE]])
    assert np.array_equal(flow, before)
