"""The fully supervised system against references written with loops from METHOD 11."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from pfes.base.errors import InputError
from pfes.methods.supervised.losses import (
    SupervisedHead,
    SupervisedParameters,
    epoch_steps,
    probabilities,
    probability_loss,
    segment_batches,
    supcon_loss,
    supervised_terms,
)
from pfes.methods.supervised.targets import END, NONE, START, Targets, frame_targets, video_targets

torch.set_num_threads(1)

CASES = {
    "both classes": (60, [(5, 15, 30), (40, 45, 50)], [0, 1]),
    "at the ends": (40, [(0, 1, 6), (20, 38, 39)], [1, 0]),
    "overlap of one class": (60, [(5, 15, 30), (28, 34, 50)], [0, 0]),
    "micro inside macro": (60, [(5, 25, 45), (20, 26, 31)], [0, 1]),
    "apexes side by side": (60, [(5, 20, 30), (10, 22, 34), (8, 19, 33)], [0, 0, 0]),
    "end beside start": (60, [(5, 10, 20), (22, 30, 40)], [0, 0]),
    "none": (20, [], []),
    "shorter than the spread": (2, [(0, 0, 1)], [0]),
    "no frame": (0, [], []),
}


def reference_targets(n_frames, intervals, classes):
    """Start / end spread +- 1 (ME), +- 3 (MaE); apex exp(-j^2 / 32) for |j| <= 1, 3; action 1 inside."""
    start_end = [[2, 2] for _ in range(n_frames)]  # columns macro, micro
    apex = [[0.0, 0.0] for _ in range(n_frames)]
    action = [[0.0, 0.0] for _ in range(n_frames)]
    for t in range(n_frames):
        for c, spread in ((0, 3), (1, 1)):
            for (onset, peak, offset), k in zip(intervals, classes, strict=True):
                if k != c:
                    continue
                if abs(t - onset) <= spread and start_end[t][c] != 1:
                    start_end[t][c] = 0
                if abs(t - offset) <= spread:
                    start_end[t][c] = 1
                if abs(t - peak) <= spread:
                    apex[t][c] = max(apex[t][c], math.exp(-((t - peak) ** 2) / 32))
                if onset <= t <= offset:
                    action[t][c] = 1.0
    group = [1 if row[0] else 2 if row[1] else 0 for row in action]
    return start_end, apex, action, group


def arrays(case):
    n_frames, intervals, classes = CASES[case]
    return n_frames, np.array(intervals, np.int64).reshape(-1, 3), np.array(classes, np.int64)


def random_case(seed, n=40, width=6):
    """Features, logits (float64, with gradient), targets and valid frames of one batch of random content."""
    generator = np.random.default_rng(seed)
    onset = generator.integers(0, n - 12, 3)
    intervals = np.stack([onset, onset + 4, onset + generator.integers(5, 12, 3)], 1)
    targets = frame_targets(n, intervals, np.array([0, 1, 1]))
    features = torch.tensor(generator.normal(0, 1, (n, width)), requires_grad=True)
    logits = torch.tensor(generator.normal(0, 2, (n, 10)), requires_grad=True)
    return features, logits, targets, torch.tensor(generator.random(n) < 0.8)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def reference_probability_loss(logits, target, alpha, valid):
    total = count = 0
    for x, y, counts in zip(logits, target, valid, strict=True):
        if counts:
            s = sigmoid(x)
            count += 1
            if y > 0:
                total -= alpha * abs(y - s) * math.log(s)
            else:
                total -= (1 - alpha) * abs(0.16 - s) * math.log(1 - s)
    return total / max(count, 1)


def reference_cross_entropy(logits, target, valid):
    values = [
        math.log(sum(math.exp(x) for x in row)) - row[k]
        for row, k, counts in zip(logits, target, valid, strict=True)
        if counts
    ]
    return sum(values) / max(len(values), 1)


def reference_contrast(features, group, tau, valid):
    frames = [i for i in range(len(features)) if valid[i]]
    z = features  # as they are
    anchors = []
    for i in frames:
        others = [a for a in frames if a != i]
        partners = [p for p in others if group[p] == group[i]]
        anchors.append(0.0)
        if partners:
            total = sum(math.exp(float(z[i] @ z[a]) / tau) for a in others)
            anchors[-1] = -sum(math.log(math.exp(float(z[i] @ z[p]) / tau) / total) for p in partners) / len(partners)
    return tau / 0.07 * sum(anchors) / max(len(anchors), 1)


# ------------------------------------------------------------------------------------------------ targets


@pytest.mark.parametrize("case", CASES)
def test_targets_are_those_of_the_reference(case):
    n_frames, intervals, classes = arrays(case)
    found = frame_targets(n_frames, intervals, classes)
    start_end, apex, action, group = reference_targets(n_frames, intervals.tolist(), classes.tolist())
    assert found.start_end.tolist() == start_end
    np.testing.assert_allclose(found.apex, np.reshape(apex, (n_frames, 2)), atol=1e-7)
    assert found.action.tolist() == action
    assert found.group.tolist() == group


def test_targets_of_a_micro_expression_by_eye():
    """frame  0 1 2 3 4 5 6 7 8 9
    start     . S S S . . . . . .
    end       . . . . . . . E E E      offset 8
    action    . . 1 1 1 1 1 1 1 .
    """
    found = frame_targets(10, np.array([[2, 5, 8]]), np.array([1]))
    assert found.start_end[:, 1].tolist() == [NONE, *[START] * 3, *[NONE] * 3, *[END] * 3]
    assert found.start_end[:, 0].tolist() == [NONE] * 10
    assert found.apex[:, 1] == pytest.approx([0, 0, 0, 0, 0.96923, 1, 0.96923, 0, 0, 0], abs=1e-4)
    assert found.action[:, 1].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1, 0]


def test_an_instance_without_apex_takes_its_midpoint_and_one_beyond_the_video_is_named():
    table = pd.DataFrame(
        {"video_id": ["a", "b"], "class": ["macro", "micro"], "onset": [10, 0], "apex": [None, 90], "offset": [20, 9]}
    )
    assert int(video_targets(table, "a", 40).apex[:, 0].argmax()) == 15
    assert int(video_targets(table, "b", 40).apex[:, 1].argmax()) == 9
    with pytest.raises(InputError, match=r"a: instance 10..20 of 20 frames"):
        video_targets(table, "a", 20)


# ------------------------------------------------------------------------------------------------ loss


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_that_of_the_reference(seed):
    """L = 1.8 P(ME apex) + CE(ME) + .1 P(ME action) + m [P(MaE apex) + CE + .1 P(action)] + .005 SupCon(tau .5)."""
    features, logits, targets, valid = random_case(seed)
    x, m = logits.tolist(), 0.55
    column = [list(values) for values in zip(*x, strict=True)]
    macro, micro = 0, 1
    expected = (
        1.8 * reference_probability_loss(column[6], targets.apex[:, micro], 0.90, valid)
        + reference_cross_entropy([row[0:3] for row in x], targets.start_end[:, micro], valid)
        + 0.1 * reference_probability_loss(column[8], targets.action[:, micro], 0.80, valid)
        + m * reference_probability_loss(column[7], targets.apex[:, macro], 0.90, valid)
        + m * reference_cross_entropy([row[3:6] for row in x], targets.start_end[:, macro], valid)
        + m * 0.1 * reference_probability_loss(column[9], targets.action[:, macro], 0.80, valid)
        + 0.005 * reference_contrast(features.detach().numpy(), targets.group, 0.5, valid)
    )
    terms = supervised_terms(features, logits, targets, SupervisedParameters(macro_weight=m), valid)
    assert terms["total"].item() == pytest.approx(expected, rel=1e-6)
    assert sum(value.item() for name, value in terms.items() if name != "total") == pytest.approx(expected, rel=1e-6)


def test_each_term_has_its_gradient():
    features, logits, targets, valid = random_case(7, n=13, width=2)
    params = SupervisedParameters(contrast=0.5)
    for name in supervised_terms(features, logits, targets, params, valid):
        assert torch.autograd.gradcheck(
            lambda f, x, name=name: supervised_terms(f, x, targets, params, valid)[name], (features, logits)
        )


def test_frames_that_are_not_valid_change_nothing():
    features, logits, targets, valid = random_case(3)
    terms = supervised_terms(features, logits, targets, SupervisedParameters(), valid)
    with torch.no_grad():
        for tensor in (features, logits):
            tensor[~valid] = 9.0
    again = supervised_terms(features, logits, targets, SupervisedParameters(), valid)
    assert {name: value.item() for name, value in again.items()} == {
        name: value.item() for name, value in terms.items()
    }


@pytest.mark.parametrize("frames", [0, 1, 30])
def test_a_batch_without_a_valid_frame_costs_nothing_and_is_never_nan(frames):
    empty = frame_targets(frames, np.empty((0, 3), np.int64), np.empty(0, np.int64))
    features, logits = torch.randn(frames, 4, requires_grad=True), torch.randn(frames, 10, requires_grad=True)
    terms = supervised_terms(features, logits, empty, SupervisedParameters(), torch.zeros(frames, dtype=torch.bool))
    assert [value.item() for value in terms.values()] == [0.0] * len(terms)
    terms["total"].backward()
    assert torch.isfinite(features.grad).all()


def test_extreme_logits_keep_loss_and_gradient_finite():
    logits = torch.tensor([-200.0, 200.0, -200.0, 200.0], requires_grad=True)
    loss = probability_loss(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]), 0.9, torch.ones(4, dtype=torch.bool))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_one_frame_has_nothing_to_contrast():
    one = torch.ones(1, 4, requires_grad=True)
    loss = supcon_loss(one, torch.tensor([1]), 0.5, torch.tensor([True]))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(one.grad).all()


# ------------------------------------------------------------------------------------------------ head and batches


def test_the_head_is_one_linear_layer_of_ten():
    head = SupervisedHead(256)
    assert sum(p.numel() for p in head.parameters()) == 256 * 10 + 10
    features = torch.randn(7, 256)
    logits, intensity, scores = head(features)
    out = head.outputs(features)
    assert (logits.shape, intensity.shape, scores.shape, out.shape) == ((7, 10), (7,), (7, 2), (7, 10))
    assert torch.equal(scores, out[:, [7, 6]])  # macro, micro
    assert torch.equal(intensity, torch.maximum(out[:, 6], out[:, 7]))


def test_start_end_and_none_are_one_choice_the_rest_stand_alone():
    logits = torch.randn(5, 10)
    out = probabilities(logits)
    torch.testing.assert_close(out[:, 0:3], logits[:, 0:3].exp() / logits[:, 0:3].exp().sum(1, keepdim=True))
    torch.testing.assert_close(out[:, 3:6], logits[:, 3:6].exp() / logits[:, 3:6].exp().sum(1, keepdim=True))
    torch.testing.assert_close(out[:, 6:], 1 / (1 + (-logits[:, 6:]).exp()))


def test_the_segments_of_an_epoch_are_every_frame_once_whatever_the_length():
    masks = [np.zeros(length, bool) for length in (1, 15, 16, 17, 100, 0)]
    params = SupervisedParameters(segments="all", batch_segments=3)
    begins = set()
    for seed in range(20):
        batches = segment_batches(masks, params, torch.Generator().manual_seed(seed))
        assert all(len(batch) == 3 for batch in batches[:-1])
        seen = sorted((video, t) for batch in batches for video, first, stop in batch for t in range(first, stop))
        assert seen == [(video, t) for video, mask in enumerate(masks) for t in range(len(mask))]
        assert all(0 < stop - first <= 16 for batch in batches for _, first, stop in batch)
        begins |= {first % 16 for batch in batches for video, first, _ in batch if video == 4}
    assert len(begins) > 5  # the grid moves


def test_only_segments_that_touch_an_expression_are_trained_on_by_default():
    mask = np.zeros(200, bool)
    mask[50:60] = True
    batches = segment_batches([mask, np.zeros(90, bool)], SupervisedParameters(), torch.Generator().manual_seed(0))
    segments = [segment for batch in batches for segment in batch]
    assert {video for video, _, _ in segments} == {0}
    assert set(range(50, 60)) <= {t for _, first, stop in segments for t in range(first, stop)}
    assert all(first < 60 and stop > 50 for _, first, stop in segments)


class Video:
    def __init__(self, video_id, n_frames, targets):
        self.video_id, self.targets = video_id, targets
        self.snippets = np.arange(n_frames, dtype=np.float32)[:, None, None, None] * np.ones((1, 17, 10, 2), np.float32)
        self.valid = np.arange(n_frames) % 5 != 0


def test_a_step_holds_frames_with_their_own_targets():
    targets = frame_targets(64, np.array([[10, 20, 30]]), np.array([0]))
    params = SupervisedParameters(batch_segments=2)
    steps = list(epoch_steps([Video("a", 64, targets)], params, torch.Generator().manual_seed(1)))
    for step in steps:
        frames = step.snippets[:, 0, 0, 0].astype(int)
        assert step.valid.tolist() == (frames % 5 != 0).tolist()
        np.testing.assert_array_equal(step.targets.apex, targets.apex[frames])
        np.testing.assert_array_equal(step.targets.group, targets.group[frames])
        assert "segments of a" in step.name


def test_what_cannot_be_trained_on_is_named():
    none = Targets.concatenate([frame_targets(40, np.empty((0, 3), np.int64), np.empty(0, np.int64))])
    with pytest.raises(InputError, match="no segment of the 1 training videos touches a labelled expression"):
        list(epoch_steps([Video("a", 40, none)], SupervisedParameters(), torch.Generator()))
    with pytest.raises(InputError, match="a: no onsets and offsets"):
        list(epoch_steps([Video("a", 40, None)], SupervisedParameters(), torch.Generator()))
    with pytest.raises(InputError, match="segments 'some' is not known"):
        SupervisedParameters(segments="some")
