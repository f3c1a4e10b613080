"""Made motion: snippets of tracks that are known, what is drawn, and the noise that is put on it."""

import numpy as np
import pytest

from pfes.base.records import HALF
from pfes.flow.snippets import make_snippets
from pfes.synthetic.faces import MIRROR, NAMES, MadeFaces, draw_faces, mean_actions, mean_positions
from pfes.synthetic.motion import LEAST_PX, MICRO_S, draw_motion
from pfes.synthetic.noise import LOADINGS, NoiseParameters, draw_strengths, measured, with_frame_errors
from pfes.synthetic.recordings import draw_recordings
from pfes.synthetic.snippets import window_frames, window_motion

FRAMES = 40
CALM = NoiseParameters(strength=(1, 1), lost_share=0, slope_spread=0, flow_slope_spread=0, turn_spread=0)
ALL = np.tile(np.arange(FRAMES), (1, 1))


def moving(region, way):
    """Tracks in which one region moves by ``way`` px a frame, all else stands still."""
    tracks = np.zeros((1, FRAMES, 11, 2), np.float32)
    tracks[0, :, region] = np.arange(FRAMES)[:, None] * np.array(way)
    return tracks


def test_a_known_translation_appears_as_the_definition_says():
    """Entry k is the motion from the window's first frame to its frame k: 0, 1, .. 16 steps away from the ends."""
    found = window_motion(moving(6, (0.25, -0.5)), ALL)[0]
    assert np.allclose(found[20, :, 6], np.arange(17)[:, None] * (0.25, -0.5))
    assert not found[:, :, [0, 1, 2, 3, 4, 5, 7, 8, 9]].any() and not found[:, 0].any()
    assert np.allclose(found[0, :, 6, 0], 0.25 * np.maximum(np.arange(17) - HALF, 0))  # the first frame repeats
    assert np.allclose(found[-1, :, 6, 0], 0.25 * np.minimum(np.arange(17), HALF))  # so does the last


def test_motion_of_the_nose_is_taken_from_every_region():
    assert np.allclose(window_motion(moving(10, (0.25, 0)), ALL)[0, 20, :, :, 0], -0.25 * np.arange(17)[:, None])
    together = np.tile(moving(0, (1, 1))[:, :, :1], (1, 1, 11, 1))
    assert not window_motion(together, ALL).any()


def test_windows_are_those_of_a_loop_over_frames_and_of_stage_snippets():
    tracks = np.random.default_rng(0).normal(size=(2, FRAMES, 11, 2)).astype(np.float32)
    found = window_motion(tracks, np.tile(np.arange(FRAMES), (2, 1)))
    for n in range(2):
        flow = np.zeros((FRAMES, 17, 11, 2), np.float32)
        for t in range(FRAMES):
            first = max(t - HALF, 0)
            for k in range(17):
                flow[t, k] = tracks[n, min(max(t - HALF + k, 0), FRAMES - 1)] - tracks[n, first]
        assert np.allclose(found[n], make_snippets(flow), atol=1e-6)
    assert window_frames(np.array([3]), FRAMES)[0].tolist() == [0] * 6 + list(range(1, 12))


def test_faces_are_mirrored_halves_and_actions_move_one_pixel_at_most():
    positions, actions = mean_positions(), mean_actions()
    assert np.allclose(positions[list(MIRROR)] * (-1, 1, 1), positions)
    assert np.allclose(actions[:, 0][:, list(MIRROR)] * (-1, 1), actions[:, 1])
    faces = draw_faces(np.random.default_rng(0), 5)
    longest = np.linalg.norm(faces.actions.sum(2), axis=-1).max(-1)
    assert faces.actions.shape == (5, len(NAMES), 2, 11, 2) and np.allclose(longest, 1, atol=1e-5)
    raised = faces.actions[:, NAMES.index("brow_raise")].sum(1)
    assert (raised[:, :6, 1] < 0).all() and np.abs(raised[:, 6:]).max() < 0.5


def still_faces(count):
    """Faces that no action moves: what is left is the motion of the head."""
    faces = draw_faces(np.random.default_rng(1), count)
    return MadeFaces(faces.positions, np.zeros_like(faces.actions))


def test_a_turning_head_moves_what_lies_nearer_to_the_camera_against_the_rest():
    moved = draw_motion(np.random.default_rng(2), still_faces(60), 200)
    apart = moved.tracks[:, :, :10] - moved.tracks[:, :, 10:]
    change = np.abs(apart - apart[:, :1]).max(axis=(1, 2, 3))
    assert np.median(change) > 0.5  # px: parallax is left when the nose is subtracted
    assert np.abs(moved.tracks - moved.tracks[:, :1]).max() < 200


def test_expressions_lie_where_the_face_moves_and_are_micro_if_short():
    moved = draw_motion(np.random.default_rng(3), draw_faces(np.random.default_rng(3), 200), 360)
    length = moved.expressions[:, 4] - moved.expressions[:, 2] + 1
    whole = (moved.expressions[:, 2] > 0) & (moved.expressions[:, 4] < 359)
    micro = moved.expressions[:, 1] == 1
    assert length[micro].max() <= MICRO_S * 30 + 1 and length[whole & ~micro].min() >= 10
    assert length[~micro].max() > 90 and 0.3 < micro.mean() < 0.7
    for n, kind, onset, apex, offset in moved.expressions:
        assert onset <= apex <= offset and moved.inside[n, onset : offset + 1, kind].all()
    still = ~moved.inside.any(-1).any(-1)
    assert 0.05 < still.mean() < 0.4  # recordings without any expression
    assert moved.counts[moved.inside.any(-1)].mean() > 0.5 and not moved.counts.all()


def test_the_middle_of_a_long_hold_teaches_nothing():
    moved = draw_motion(np.random.default_rng(4), draw_faces(np.random.default_rng(4), 200), 360)
    long = [row for row in moved.expressions if row[4] - row[2] > 90 and row[1] == 0]
    left_out = [(~moved.counts[n, onset + 2 : offset - 1]).mean() for n, _, onset, _, offset in long]
    assert len(long) > 20 and np.mean([share > 0.2 for share in left_out]) > 0.5
    assert LEAST_PX > 0


def test_the_same_seed_draws_the_same_and_another_does_not():
    one, two, other = (draw_recordings(np.random.default_rng(seed), 3, 4.0, frames=5) for seed in (7, 7, 8))
    for name in ("frames", "snippets", "inside", "counts", "expressions"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert not np.array_equal(one.snippets, other.snippets)
    assert one.snippets.shape == (3, 5, 17, 10, 2) and one.snippets.dtype == np.float32


def test_no_noise_leaves_motion_as_it_is():
    none = NoiseParameters(0, 0, 1, 0, 1, 0, 0, 0, (1, 1), (5, 5), 0)
    tracks = np.random.default_rng(0).normal(size=(2, FRAMES, 11, 2)).astype(np.float32)
    drawn = draw_strengths(np.random.default_rng(1), 2, none)
    motion = window_motion(tracks, ALL.repeat(2, 0))
    assert np.array_equal(with_frame_errors(np.random.default_rng(2), tracks, drawn, none), tracks)
    assert np.allclose(measured(np.random.default_rng(2), motion, drawn, none), motion, atol=1e-6)


@pytest.fixture(scope="module")
def error():
    """The error of a face that stands still, [N, T, 17, 10, 2], at strength 1."""
    rng, count, length = np.random.default_rng(5), 60, 120
    drawn = draw_strengths(rng, count, CALM)
    tracks = with_frame_errors(rng, np.zeros((count, length, 11, 2), np.float32), drawn, CALM)
    return measured(rng, window_motion(tracks, np.tile(np.arange(length), (count, 1))), drawn, CALM)[:, 8:-8]


def test_the_error_of_flow_grows_with_the_step_as_measured_on_rendered_videos(error):
    """Measured (docs/benchmarks.md): .025, .041 and .080 px at steps 1, 4 and 16."""
    deviation = error.std(axis=(0, 1, 3, 4))
    assert deviation[0] == 0
    assert deviation[[1, 4, 16]] == pytest.approx([0.025, 0.041, 0.080], rel=0.25)


def test_errors_hang_together_over_regions_and_steps_as_measured(error):
    """Measured: .78 within a brow, .45 between brows, .25 between brow and mouth, .88 of steps 15 and 16."""
    late = error[:, :, 8:].transpose(3, 0, 1, 2, 4).reshape(10, -1)
    found = np.corrcoef(late)
    assert (found[0, 1], found[0, 3], found[0, 6]) == pytest.approx((0.78, 0.45, 0.25), abs=0.1)
    steps = error.transpose(2, 0, 1, 3, 4).reshape(17, -1)
    assert np.corrcoef(steps[15], steps[16])[0, 1] == pytest.approx(0.88, abs=0.06)
    assert np.allclose((LOADINGS[:, :10] ** 2).sum(0), 1 - (LOADINGS[:, 10] ** 2).sum())


def test_motion_is_shrunk_and_flow_loses_its_way_where_it_is_large():
    motion = np.zeros((1, 1, 17, 10, 2), np.float32)
    motion[..., 0] = np.linspace(0, 12, 17)[:, None]
    slope = NoiseParameters(0, 0, 1, 0, 0.9, 0, 0, 0, (1, 1), (6, 6), 1.0)
    found = measured(np.random.default_rng(0), motion, draw_strengths(np.random.default_rng(0), 1, slope), slope)[0, 0]
    assert found[2, 0, 0] == pytest.approx(0.9 * 1.5, rel=0.01) and found[16, 0, 0] < 6
    assert (np.diff(found[:, 0, 0]) > 0).all()
