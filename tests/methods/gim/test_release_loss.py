"""``as_released`` against a reference written as loops from METHOD 7.4 alone, in plain Python."""

import math

import numpy as np
import pytest
import torch

from pfes.base.errors import InputError
from pfes.methods.gim.losses import release_loss
from pfes.methods.gim.losses.release import release_labels, theta

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
EPOCHS = [0, 1, 2, 3, 4, 5, 20, 28, 29, 40]
COEFFICIENTS = {"casme2": (1.4e-5, 2.5), "samm_lv": (2e-6, 0.3), "casme3": (1.4e-5, 2.5)}  # contrast, norm

# name -> (frames of the video, points, classes)
CASES = {
    "one macro": (70, [30], [0]),
    "one micro": (70, [30], [1]),
    "ends": (60, [0, 59], [0, 1]),
    "last frames": (50, [48, 2], [0, 1]),
    "micro at the first, macro at the last frame": (60, [0, 59], [1, 0]),
    "one class overlaps": (80, [40, 30, 36], [0, 0, 0]),
    "micro overlap": (60, [30, 33], [1, 1]),
    "two classes overlap": (80, [30, 34], [0, 1]),
    "both overlap": (90, [40, 44, 41, 47], [0, 0, 1, 1]),
    "two points on one frame": (60, [20, 20], [1, 1]),
    "none": (40, [], []),
    "window wider than the video": (9, [4], [0]),
    "labelled but for the last frame": (12, [5, 6], [0, 1]),
    "two frames": (2, [0], [0]),
    "single frame": (1, [0], [1]),
}


def random_video(case, seed, peaked=False):
    """F, X, a, s; ``peaked``: intensity near 1 around the points, so that ranges reach their upper bound."""
    frames, points, classes = CASES[case]
    generator = torch.Generator().manual_seed(seed)
    f, x = torch.randn(2, frames, 6, generator=generator, dtype=torch.float64)
    a = torch.rand(frames, generator=generator, dtype=torch.float64)
    if peaked:
        near = torch.tensor([any(abs(t - p) <= 20 for p in points) for t in range(frames)])
        a = torch.where(near, 0.85 + 0.15 * a, 0.3 * a)
    s = torch.rand(frames, 2, generator=generator, dtype=torch.float64)
    return f, x, a, s, np.array(points, dtype=np.int64), np.array(classes, dtype=np.int64)


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def span(first, stop, length):
    """Frames first .. stop - 1; the exclusive end is at most the last frame, which is so never in it."""
    return list(range(max(0, first), min(length - 1, stop)))


def distance(u, v):
    return sum((p - q) ** 2 for p, q in zip(u, v, strict=True))


def reference_instance(e, x, a, p, c):
    """{frame: label} and pseudo-apex of one point."""
    length = len(a)
    if e == 0:
        return dict.fromkeys(span(p - 5, p + 5, length) if c == 0 else span(p - 3, p + 3, length), 1.0), p
    apex = p
    if e in (1, 2):
        half = 2 if c == 0 else 1
    elif e in (3, 4):
        half = 4 if c == 0 else 2
    else:
        search = 8 if c == 0 else 4
        near = span(p - search, p + search + 1, length)
        apex = max(near, key=lambda j: (a[j], -j)) if near else p
        threshold = 0.8 - (e - 5) / 80 if e < 29 else 0.5
        count = 16 if c == 0 else 8
        n = sum(a[j] > threshold for j in span(apex - count, apex + count + 1, length))
        half = min(36, max(16, round(1.2 * n))) // 2 if c == 0 else min(16, max(8, round(1.2 * n))) // 2
    frames = span(apex - half, apex + half + 1, length)
    squares = {j: distance(x[j], x[apex]) for j in frames}
    variance = mean(squares.values())
    return {j: math.exp(-square / (2 * variance + 1e-6)) for j, square in squares.items()}, apex


def reference(e, f, x, a, s, points, classes, dataset):
    """The weighted terms as Python floats."""
    f, x, a, s = f.tolist(), x.tolist(), a.tolist(), s.tolist()
    length, contrast, norm = len(a), *COEFFICIENTS[dataset]
    label, apexes = ({}, {}), ([], [])
    for p, c in sorted(zip(points.tolist(), classes.tolist(), strict=True)):
        own, apex = reference_instance(e, x, a, p, c)
        label[c].update(own)  # a later instance overwrites
        apexes[c].append(apex)
    labelled = set(label[0]) | set(label[1])
    k = max(1, min(length - len(labelled), len(labelled)))
    neutral = sorted((j for j in range(length) if j not in labelled), key=lambda j: a[j])[:k]
    reliable = [{j for j, value in label[c].items() if value > 0.5} for c in (0, 1)]
    terms = {
        "macro": mean((a[j] - value) ** 2 for j, value in label[0].items()),
        "micro": mean((a[j] - value) ** 2 for j, value in label[1].items()),
        "neutral": mean(a[j] ** 2 for j in neutral),
        "smooth": 0.1 * mean(a[t + 1] - a[t] for t in range(length - 1)),
        "reward": -0.4 * mean(a[j] for j in reliable[0]) - 0.6 * mean(a[j] for j in reliable[1]),
        "apex": reference_apex(s, reliable, neutral, apexes) if e >= 5 else 0.0,
        "contrast": contrast * reference_contrast(f, label, reliable, neutral),
        "norm": norm * mean(a),
    }
    return {**terms, "total": sum(terms.values())}


def reference_apex(s, reliable, neutral, apexes):
    total = 0.0
    for c, alpha, weight, half in ((0, 0.90, 1.0, 2), (1, 0.93, 1.8, 1)):
        target = {t: 0 for t in range(len(s)) if any(abs(t - j) <= 6 for j in reliable[0] | reliable[1])}
        target |= dict.fromkeys(neutral, 0)
        target |= {t: 1 for t in range(len(s)) if any(abs(t - apex) <= half for apex in apexes[c])}
        values = [
            alpha * abs(1 - s[t][c]) * math.log(s[t][c] + 1e-5)
            if one
            else (1 - alpha) * abs(0.25 - s[t][c]) * math.log(1 - s[t][c] + 1e-5)
            for t, one in target.items()
        ]
        total -= weight * sum(values) / len(s)
    return total


def reference_contrast(f, label, reliable, neutral):
    group = dict.fromkeys(neutral, 0) | dict.fromkeys(reliable[1], 2) | dict.fromkeys(reliable[0], 1)
    strength = {j: max(label[0].get(j, 0.0), label[1].get(j, 0.0)) if g else 0.0 for j, g in group.items()}
    anchors = []
    for i in group:
        logits = {j: sum(u * v for u, v in zip(f[i], f[j], strict=True)) / 0.5 for j in group}
        top = max(logits.values())

        def weight(j, i=i):
            difference = abs(strength[i] - strength[j])
            return 1 - difference if group[i] == group[j] else difference

        rest = sum(weight(j) * math.exp(logits[j] - top) for j in group if j != i)
        anchors.append(
            mean(
                math.log(weight(j) + 1e-6) + logits[j] - top - math.log(rest + 1e-6)
                for j in group
                if j != i and group[j] == group[i]
            )
        )
    return -0.5 / 0.07 * mean(anchors)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("peaked", [False, True])
def test_every_term_equals_the_loop_written_reference_in_every_stage(case, peaked):
    for epoch in EPOCHS:
        inputs = random_video(case, epoch, peaked)
        got = release_loss(epoch, *inputs)
        expected = reference(epoch, *inputs, "casme2")
        assert got.keys() == expected.keys()
        values = {name: value.item() for name, value in got.items()}
        assert values == pytest.approx(expected, rel=1e-9, abs=1e-15), epoch


def test_the_total_of_180_random_videos_in_single_precision_is_within_1e4_of_the_loops():
    """Scores of every third video are saturated: 0, 1, or a millionth from it."""
    saturated = 0
    for seed in range(180):
        generator = torch.Generator().manual_seed(seed)
        case, epoch = list(CASES)[seed % len(CASES)], EPOCHS[seed // len(CASES) % len(EPOCHS)]
        f, x, a, s, points, classes = random_video(case, seed, peaked=seed % 2 == 0)
        if seed % 3 == 0:
            levels = torch.tensor([0.0, 1e-6, 1e-3, 1 - 1e-6, 1.0], dtype=torch.float64)
            s = levels[torch.randint(0, 5, s.shape, generator=generator)]
            saturated += epoch >= 5
        expected = reference(epoch, f, x, a, s, points, classes, "casme2")["total"]
        single = [part.float() for part in (f, x, a, s)]
        assert release_loss(epoch, *single, points, classes)["total"].item() == pytest.approx(expected, rel=1e-4), seed
    assert saturated > 20


@pytest.mark.parametrize("dataset", COEFFICIENTS)
def test_the_coefficients_are_those_of_the_dataset(dataset):
    inputs = random_video("both overlap", 1)
    got = {name: value.item() for name, value in release_loss(20, *inputs, dataset).items()}
    assert got == pytest.approx(reference(20, *inputs, dataset), rel=1e-9)


def test_an_unknown_dataset_is_named():
    with pytest.raises(InputError, match="dataset 'samm' is not known; expected one of casme2, samm_lv, casme3"):
        release_loss(0, *random_video("none", 0), "samm")


def test_theta_by_hand():
    assert [theta(e) for e in (5, 13, 28, 29, 99)] == pytest.approx([0.8, 0.7, 0.5125, 0.5, 0.5])


def test_ranges_of_the_first_stages_by_hand():
    """
    epoch  macro, point 20        micro, point 40        the last frame of 60 is never labelled
    0      15 .. 24               37 .. 42
    1, 2   18 .. 22               39 .. 41
    3, 4   16 .. 24               38 .. 42
    """
    x, a = torch.randn(60, 4), torch.rand(60)
    expected = {0: ((15, 24), (37, 42)), 1: ((18, 22), (39, 41)), 2: ((18, 22), (39, 41)), 4: ((16, 24), (38, 42))}
    for epoch, spans in expected.items():
        labels = release_labels(epoch, x, a, torch.tensor([20, 40]), torch.tensor([0, 1]), torch.ones(60).bool())
        for c, (first, last) in enumerate(spans):
            assert labels.labelled[c].nonzero()[:, 0].tolist() == list(range(first, last + 1)), epoch
        end = release_labels(epoch, x, a, torch.tensor([59]), torch.tensor([0]), torch.ones(60).bool())
        assert end.labelled[0].nonzero()[-1].item() == 58


def test_the_half_width_stays_within_its_bounds():
    """n = 1 (the apex alone), n = 17 and n = all, which is 33 for macro and 17 for micro."""
    x, points, classes = torch.randn(120, 4), torch.tensor([60, 60]), torch.tensor([0, 1])
    a = torch.full((120,), 0.2)
    a[60] = 0.95
    some = a.clone()
    some[60:77] = 0.9
    some[60] = 0.95
    every = torch.full((120,), 0.9)
    every[60] = 0.95
    for intensity, halves in ((a, [8, 4]), (some, [10, 5]), (every, [18, 8])):
        labels = release_labels(9, x, intensity, points, classes, torch.ones(120).bool())
        assert labels.half_widths.tolist() == halves
        assert labels.labelled.sum(1).tolist() == [2 * half + 1 for half in halves]
        assert labels.apex_frames.tolist() == [60, 60]


def test_one_neutral_frame_remains_for_a_video_without_points():
    f, x, a, s, points, classes = random_video("none", 0)
    terms = release_loss(9, f, x, a, s, points, classes)
    assert terms["neutral"].item() == pytest.approx(a.min().item() ** 2)
    assert terms["macro"] == terms["micro"] == terms["reward"] == terms["contrast"] == 0


@pytest.mark.parametrize("case", ["ends", "both overlap", "none", "single frame"])
@pytest.mark.parametrize("epoch", [0, 3, 20])
def test_gradients_of_intensity_and_class_scores_are_those_of_the_loss(case, epoch):
    f, x, a, s, points, classes = random_video(case, epoch)

    def total(intensity, scores):
        return release_loss(epoch, f, x, intensity, scores, points, classes)["total"]

    assert torch.autograd.gradcheck(total, (a.requires_grad_(), s.requires_grad_()), fast_mode=True)


def test_the_gradient_of_the_features_is_that_of_the_contrastive_loss_with_the_row_maximum_held():
    f, x, a, s, points, classes = random_video("two classes overlap", 3)
    release_loss(20, f.requires_grad_(), x, a, s, points, classes)["total"].backward()
    labels = release_labels(20, x, a, torch.tensor(points), torch.tensor(classes), torch.ones(80).bool())
    macro, micro, neutral = [
        row.nonzero()[:, 0].tolist() for row in (labels.soft[0] > 0.5, labels.soft[1] > 0.5, labels.neutral)
    ]
    group = dict.fromkeys(neutral, 0) | dict.fromkeys(micro, 2) | dict.fromkeys(macro, 1)
    strength = labels.soft.amax(0)
    g = f.detach().clone().requires_grad_()
    loss = 0.0
    for i in group:
        logits = {j: g[i] @ g[j] / 0.5 for j in group}
        top = max(value.item() for value in logits.values())
        weight = {
            j: 1 - abs(strength[i] - strength[j]) if group[i] == group[j] else abs(strength[i] - strength[j])
            for j in group
        }
        rest = sum(weight[j] * (logits[j] - top).exp() for j in group if j != i)
        positives = [j for j in group if j != i and group[j] == group[i]]
        for j in positives:
            log_probability = (weight[j] + 1e-6).log() + logits[j] - top - (rest + 1e-6).log()
            loss = loss - log_probability / len(positives) / len(group)
    (1.4e-5 * 0.5 / 0.07 * loss).backward()
    torch.testing.assert_close(f.grad, g.grad)


def test_labels_carry_no_gradient_to_the_hidden_features():
    f, x, a, s, points, classes = random_video("one macro", 0)
    x.requires_grad_()
    a.requires_grad_()
    release_loss(20, f, x, a, s, points, classes)["total"].backward()
    assert x.grad is None
    assert a.grad.abs().sum() > 0


def test_points_may_be_numpy_or_tensors_and_in_any_order():
    f, x, a, s, points, classes = random_video("both overlap", 4)
    order = [2, 0, 3, 1]
    expected = release_loss(20, f, x, a, s, points, classes)["total"]
    tensors = release_loss(20, f, x, a, s, torch.tensor(points[order]), torch.tensor(classes[order]))["total"]
    torch.testing.assert_close(tensors, expected)


def test_invalid_frames_count_in_no_term():
    """A video whose last 20 frames are invalid has the loss of the video without them, but for the last frame's rule."""
    f, x, a, s, points, classes = random_video("one macro", 2)
    valid = torch.arange(70) < 50
    whole = release_loss(20, f, x, a, s, points, classes, valid=valid)
    part = release_loss(20, f[:50], x[:50], a[:50], s[:50], points, classes)
    for name in part:
        torch.testing.assert_close(whole[name], part[name])


def test_single_precision_agrees_with_double():
    for case in CASES:
        inputs = random_video(case, 7)
        single = [part.float() if isinstance(part, torch.Tensor) else part for part in inputs]
        torch.testing.assert_close(
            release_loss(20, *single)["total"].double(), release_loss(20, *inputs)["total"], rtol=1e-4, atol=1e-5
        )


def test_a_score_of_zero_or_one_leaves_the_loss_finite():
    f, x, a, s, points, classes = random_video("both overlap", 3)
    for value in (0.0, 1.0):
        scores = torch.full_like(s, value).requires_grad_()
        total = release_loss(20, f, x, a, scores, points, classes)["total"]
        total.backward()
        assert torch.isfinite(total)
        assert torch.isfinite(scores.grad).all()
