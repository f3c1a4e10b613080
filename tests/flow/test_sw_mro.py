"""SW-MRO against motion that is known: a real face, moved by a known field or as a whole."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from pfes.base import store
from pfes.base.errors import InputError
from pfes.faces import align
from pfes.faces.align import NOSE, ROI_NAMES
from pfes.faces.landmarks import NO_FACE, USABLE, FaceParameters, find_faces
from pfes.flow import sw_mro as flow_stage
from pfes.flow.roi_means import roi_means
from pfes.flow.snippets import SnippetParameters, make_snippets
from pfes.flow.sw_mro import (
    FlowParameters,
    placement,
    solve_pairs,
    solve_windows,
    solver,
    valid_frames,
    window_flow,
    write_flow,
)
from pfes.flow.tvl1 import tvl1
from pfes.flow.windows import windows

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


def run(frames, landmarks, only=None, **params):
    """The flow of all frames, or of those in ``only`` and zero for the others."""
    valid = None if only is None else np.isin(np.arange(len(landmarks)), only)
    blocks = list(window_flow(frames, landmarks, FlowParameters(**params), valid=valid))
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
    flow = run([image] * 20, np.stack([points] * 20), [0, 10, 19])
    assert flow.shape == (20, 17, len(ROI_NAMES), 2)
    assert np.abs(flow).max() == 0


def test_a_raised_brow_shows_in_its_roi_from_that_frame_on(portrait):
    """Window of frame 15: reference 7, entries 8.. (frames 15..) see the raised brow; error below .15 px of the crop."""
    frames, landmarks = step_video(portrait)
    flow = run(frames, landmarks, [15])
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
    flow, still = run(frames, landmarks, [15]), run(*step_video(portrait), [15])
    assert flow[15, 12, NOSE] - still[15, 12, NOSE] == pytest.approx(np.array(shift) * scale, abs=0.15)
    assert make_snippets(flow)[15, 12] == pytest.approx(make_snippets(still)[15, 12], abs=0.3)


def test_recentring_finds_motion_that_the_landmarks_miss(portrait):
    """Landmarks claim that the head is still; it moved by 9 px: only the re-centring by nose flow can find that."""
    frames, landmarks = step_video(portrait, shift=(9.0, 0.0))
    landmarks[:] = landmarks[0]
    scale = 128 / round(9 * np.linalg.norm(landmarks[0, 39] - landmarks[0, 42]) / 2)
    assert run(frames, landmarks, [15])[15, 12, NOSE, 0] == pytest.approx(9 * scale, abs=0.25)


def test_the_ends_repeat_the_first_and_last_frame(portrait):
    """Frame 0: entries 0..8 are the first frame itself. Last frame: entries 8..16 are all the last frame."""
    frames, landmarks = step_video(portrait, n_frames=20, at=3)
    flow = run(frames, landmarks, [0, 19])
    assert np.abs(flow[0, :9]).max() == 0
    assert np.abs(flow[0, 11:]).max() > 0.5  # frame 3 and later
    assert (flow[-1, 8:] == flow[-1, 8]).all()


def test_a_gap_is_bridged_and_marked(portrait):
    """Frames 10 and 11 have no face: flow stays finite; they and the windows that start there are not to be trusted."""
    image, points = portrait
    landmarks = np.stack([points] * 30)
    landmarks[10:12] = np.nan
    assert np.isfinite(run([image] * 30, landmarks, [10, 15, 18])).all()
    valid = valid_frames(np.isfinite(landmarks[:, 0, 0]))
    assert np.flatnonzero(~valid).tolist() == [10, 11, 18, 19]


def test_a_window_across_a_cut_is_masked():
    """Frame 20 is the first of another shot: its window and those that hold it with an earlier reference, 12 .. 27.

    Frame 28 has the reference 20: all of its window lies behind the cut.
    """
    cut = np.zeros(40, bool)
    cut[20] = True
    assert np.flatnonzero(~valid_frames(np.ones(40, bool), cut)).tolist() == list(range(12, 28))


def test_a_cut_near_the_ends_masks_the_repeated_frames_too():
    cut = np.zeros(20, bool)
    cut[[0, 19]] = True  # frame 0 begins the recording; nothing lies before it
    assert np.flatnonzero(~valid_frames(np.ones(20, bool), cut)).tolist() == list(range(11, 20))


def test_frames_that_are_not_valid_are_zero_and_cost_nothing(portrait, monkeypatch):
    """Only the windows of the valid frames 14 and 15 are cropped and solved; theirs is the flow that all would give."""
    frames, landmarks = step_video(portrait)
    valid = np.zeros(30, bool)
    valid[[14, 15]] = True
    one = run(frames, landmarks, [15])
    solved = []
    solve = solver(FlowParameters())
    monkeypatch.setattr(flow_stage, "solver", lambda params: lambda stacks: solved.append(len(stacks)) or solve(stacks))
    (_, found), *_ = window_flow(frames, landmarks, FlowParameters(), valid=valid)
    assert sum(solved) == 2
    assert np.array_equal(found[15], one[15])
    assert np.abs(found[14]).max() > 0
    assert np.abs(found[~valid]).max() == 0


def test_a_still_head_is_cropped_once_a_frame(portrait, monkeypatch):
    """Seventeen windows see each frame; with one box for all of them, one crop serves them."""
    image, points = portrait
    made = []
    crop = align.crop
    monkeypatch.setattr(align, "crop", lambda *arguments: made.append(1) or crop(*arguments))
    still = np.zeros((128, 128, 2), np.float32)
    monkeypatch.setattr(flow_stage, "solver", lambda params: lambda stacks: ([still] * (len(s) - 1) for s in stacks))
    run([image] * 30, np.stack([points] * 30))
    assert len(made) == 30


def test_many_windows_at_once_are_solved_as_one_by_one(portrait):
    """What a GPU does in one launch, on the CPU: also where windows are shorter (ends) and crops are shifted again."""
    frames, landmarks = step_video(portrait, n_frames=20, at=12, shift=(9.0, 0.0))
    landmarks[:] = landmarks[0]  # so that the crops must be shifted by measured flow
    params = FlowParameters()
    place = placement(landmarks, params, valid=np.isin(np.arange(20), [2, 12, 18]))

    def every():
        return list(windows(frames, place))

    single = [solve_windows([window], params, solver(params))[0] for window in every()]
    together = solve_windows(every(), params, solve_pairs)
    assert np.abs(np.stack(single)[12]).max() > 3
    assert np.array_equal(np.stack(together), np.stack(single))


def test_the_way_to_a_gpu_gives_what_the_cpu_gives(portrait, monkeypatch):
    """Windows cropped ahead in a thread, all of a block in one call of tvl1; only that call itself is the CPU's here."""
    frames, landmarks = step_video(portrait, n_frames=20, at=12)
    calls = []

    def on_gpu(reference, moving, *, device):
        calls.append((device, len(reference)))
        return tvl1(reference, moving)

    monkeypatch.setattr(flow_stage, "tvl1", on_gpu)
    monkeypatch.setattr(flow_stage, "_cuda", lambda: True)
    assert np.array_equal(run(frames, landmarks, [3, 12], device="cuda"), run(frames, landmarks, [3, 12]))
    assert calls == [
        ("cuda", 11 + 15)
    ]  # frames 1 .. 11 of the first window, which repeats frame 0; 5 .. 19 of the second


def test_a_recording_that_became_shorter_is_named(portrait):
    frames, landmarks = step_video(portrait)
    with pytest.raises(InputError, match="ended before frame 29, expected 30 sampled frames"):
        run(frames[:-1], landmarks, [0])


def test_a_recording_without_a_valid_window_is_refused(tmp_path):
    """A face in frame 20 only: no window has it both in its first frame and in its middle."""
    state = np.full(40, NO_FACE, np.uint8)
    state[20] = USABLE
    arrays = {"landmarks": np.full((40, 68, 2), np.nan, np.float32), "state": state, "cut": np.zeros(40, bool)}
    store.write(tmp_path / "faces.h5", "faces", {**arrays, "native_frame": np.arange(40)}, {}, fps=30.0)
    write_flow("clip.mp4", tmp_path / "faces.h5", tmp_path / "flow.h5", FlowParameters())
    assert "clip.mp4: no window has a face" in store.refusal(tmp_path / "flow.h5", "flow")


def test_auto_is_the_cpu_where_there_is_no_driver_and_cuda_is_refused(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(flow_stage.ctypes, "CDLL", missing)
    assert flow_stage.device("auto") == flow_stage.device("cpu") == "cpu"
    with pytest.raises(InputError, match="flow.device is cuda, but there is no CUDA device"):
        flow_stage.device("cuda")


def test_auto_is_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(flow_stage, "_cuda", lambda: True)
    assert [flow_stage.device(wanted) for wanted in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


def test_an_unreadable_frame_shows_the_one_before(portrait):
    frames, landmarks = step_video(portrait)
    broken = [*frames[:20], None, *frames[21:]]
    assert np.array_equal(run(broken, landmarks, [18]), run(frames, landmarks, [18]))


def test_a_frame_that_repeats_the_reference_is_not_computed(portrait, monkeypatch):
    """Resampling from below 30 fps repeats native frames; here all twenty show the same one."""
    image, points = portrait

    def fail(stacks):
        raise AssertionError("solved for a repeated frame")

    monkeypatch.setattr(flow_stage, "solver", lambda params: fail)
    blocks = list(window_flow([image] * 20, np.stack([points] * 20), native=np.zeros(20, np.int64)))
    assert np.abs(blocks[0][1]).max() == 0


@pytest.mark.parametrize("method", ["tvl1_opencv", "farneback", "dis"])
def test_other_methods_see_the_raised_brow_too(portrait, method):
    frames, landmarks = step_video(portrait, n_frames=8, at=4)
    brow = run(frames, landmarks, [4], method=method)[4, 8:, ROI_NAMES.index("left_brow_middle"), 1]
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


def test_roi_means_are_those_of_a_loop():
    """Sort the pixels of each box by length, take the strongest share, average; boxes and shares as ROIs have them."""
    rng = np.random.default_rng(0)
    field = rng.normal(size=(96, 96, 2)).astype(np.float32)
    corner = rng.integers(0, 70, (len(ROI_NAMES), 2))
    boxes = np.concatenate([corner, corner + rng.integers(2, 26, corner.shape)], axis=1)
    expected = []
    for (x0, y0, x1, y1), roi in zip(boxes, align.ROIS, strict=True):
        pixels = sorted(field[y0:y1, x0:x1].reshape(-1, 2).tolist(), key=lambda v: v[0] ** 2 + v[1] ** 2, reverse=True)
        expected.append(np.mean(pixels[: max(1, round(roi.share * len(pixels)))], axis=0))
    assert roi_means(field, boxes) == pytest.approx(np.array(expected), abs=1e-6)


def test_snippets_without_head_motion_removal_are_the_flow(portrait):
    flow = np.random.default_rng(0).normal(size=(3, 17, len(ROI_NAMES), 2)).astype(np.float32)
    before = flow.copy()
    assert np.array_equal(make_snippets(flow, SnippetParameters("none")), flow[:, :, :10])
    assert np.array_equal(make_snippets(flow), flow[:, :, :10] - flow[:, :, [NOSE]])
    assert np.array_equal(flow, before)


def test_two_cores_give_the_flow_of_one(portrait):
    """Windows solved side by side come out in their order, bit for bit."""
    frames, landmarks = step_video(portrait, n_frames=20, at=8)
    one, two = (
        [block for _, block in window_flow(iter(frames), landmarks, FlowParameters(size=64), cores=cores)]
        for cores in (1, 2)
    )
    assert np.abs(np.concatenate(one)).max() > 0.3
    np.testing.assert_array_equal(np.concatenate(one), np.concatenate(two))


def test_threads_take_no_more_than_a_few_items_ahead():
    """Frames stream: a recording of any length must not be read whole before the first window is solved."""
    taken = []
    found = flow_stage.in_threads(lambda item: -item, (taken.append(i) or i for i in range(50)), 2)
    assert next(found) == 0 and len(taken) <= 4
    assert list(found) == [-i for i in range(1, 50)]
