"""Losses against references written as loops from METHOD 7.2 alone."""

import math

import pytest
import torch

from pfes.losses import LossParameters, apex_targets, contrast_loss, journal_loss
from pfes.pseudo_labels import GimParameters, PseudoLabels, pseudo_labels

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
CASES = {
    "one": (50, [20], [0]),
    "ends": (50, [0, 49], [0, 1]),
    "two classes overlap": (50, [20, 24], [0, 1]),
    "only micro": (40, [10, 30], [1, 1]),
    "none": (30, [], []),
    "short": (9, [4], [0]),
    "single frame": (1, [0], [0]),
}


def video(case, epoch, seed=0):
    frames, points, classes = CASES[case]
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(frames, 5, generator=generator, dtype=torch.float64)
    a = torch.rand(frames, generator=generator, dtype=torch.float64)
    scores = torch.rand(frames, 2, generator=generator, dtype=torch.float64)
    points, classes = torch.tensor(points).long(), torch.tensor(classes).long()
    labels = pseudo_labels(
        epoch, features, a, points, classes, GimParameters(half_widths=((8, 18), (4, 8)), overlap="later")
    )
    return features, a, scores, labels


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def reference(features, a, scores, labels, params):
    """The weighted terms as Python floats."""
    frames = range(len(a))
    a, s, soft = a.tolist(), scores.tolist(), labels.soft.tolist()
    labelled, neutral = labels.labelled.tolist(), labels.neutral.tolist()
    reliable = [[soft[c][t] > 0.5 for t in frames] for c in (0, 1)]
    terms = {
        "macro": mean((a[t] - soft[0][t]) ** 2 for t in frames if labelled[0][t]),
        "micro": mean((a[t] - soft[1][t]) ** 2 for t in frames if labelled[1][t]),
        "neutral": mean(a[t] ** 2 for t in frames if neutral[t]),
        "reward": -0.4 * mean(a[t] for t in frames if reliable[0][t])
        - 0.6 * mean(a[t] for t in frames if reliable[1][t]),
        "smooth": params.smooth * mean(abs(a[t + 1] - a[t]) for t in frames[:-1]),
        "norm": params.norm * mean(a),
        "apex": 0.0,
        "contrast": params.contrast * reference_contrast(features.tolist(), soft, reliable, neutral, frames),
    }
    if not len(labels.point_classes):
        terms["contrast"] = 0.0
    if labels.stage == 3:
        targets = reference_targets(reliable, neutral, labels, frames)
        for c, (alpha, weight) in enumerate([(0.90, 1.0), (0.93, 1.8)]):
            total = 0.0
            for t in frames:
                if targets[c][t] == 1:
                    total += alpha * abs(1 - s[t][c]) * math.log(s[t][c])
                elif targets[c][t] == 0:
                    total += (1 - alpha) * abs(0.25 - s[t][c]) * math.log(1 - s[t][c])
            terms["apex"] += -weight * total / len(frames)
    return {**terms, "total": sum(terms.values())}


def reference_targets(reliable, neutral, labels, frames):
    targets = [[-1] * len(frames) for _ in (0, 1)]
    for c in (0, 1):
        for t in frames:
            if neutral[t] or any((reliable[0][u] or reliable[1][u]) and abs(u - t) <= 6 for u in frames):
                targets[c][t] = 0
        for apex, own in zip(labels.apex_frames.tolist(), labels.point_classes.tolist(), strict=True):
            for t in frames:
                if own == c and abs(t - apex) <= [2, 1][c]:
                    targets[c][t] = 1
    return targets


def reference_contrast(f, soft, reliable, neutral, frames):
    group = {
        t: 1 if reliable[0][t] else 2 if reliable[1][t] else 0
        for t in frames
        if reliable[0][t] or reliable[1][t] or neutral[t]
    }
    strength = {t: soft[g - 1][t] if g else 0.0 for t, g in group.items()}

    def weight(i, j):
        difference = abs(strength[i] - strength[j])
        return 1 - difference if group[i] == group[j] else difference

    def logit(i, j):
        return sum(u * v for u, v in zip(f[i], f[j], strict=True)) / 0.5

    anchors = []
    for i in group:
        denominator = sum(weight(i, k) * math.exp(logit(i, k)) for k in group if k != i)
        positives = [j for j in group if j != i and group[j] == group[i]]
        if positives:
            anchors.append(mean(math.log(weight(i, j)) + logit(i, j) - math.log(denominator) for j in positives))
    return -0.5 / 0.07 * mean(anchors)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("epoch", [0, 3, 5, 40])
def test_every_term_equals_the_loop_written_reference(case, epoch):
    params = LossParameters(contrast=0.01)
    inputs = video(case, epoch, seed=epoch)
    got = journal_loss(*inputs, params)
    expected = reference(*inputs, params)
    assert got.keys() == expected.keys()
    assert {name: value.item() for name, value in got.items()} == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", ["ends", "two classes overlap", "none", "single frame"])
def test_gradients_are_finite_and_those_of_the_loss(case):
    features, a, scores, labels = video(case, 10)
    leaves = [part.clone().requires_grad_() for part in (features, a, scores)]
    params = LossParameters(contrast=0.01)

    def total(*parts):
        return journal_loss(*parts, labels, params)["total"]

    assert torch.autograd.gradcheck(total, leaves)


def test_an_absent_class_contributes_zero():
    features, a, scores, labels = video("only micro", 10)
    terms = journal_loss(features, a, scores, labels, LossParameters())
    assert terms["macro"] == 0
    assert terms["micro"] > 0
    assert torch.isfinite(terms["total"])


def test_invalid_frames_count_in_no_term():
    features, a, scores, _ = video("one", 10)
    valid = torch.ones(50, dtype=torch.bool)
    valid[40:] = False
    labels = pseudo_labels(10, features, a, torch.tensor([20]), torch.tensor([0]), GimParameters(), valid=valid)
    whole = journal_loss(features, a, scores, labels, LossParameters(), valid=valid)
    cut = PseudoLabels(
        labels.soft[:, :40], labels.labelled[:, :40], labels.neutral[:40], labels.apex_frames, labels.point_classes, 3
    )
    part = journal_loss(features[:40], a[:40], scores[:40], cut, LossParameters())
    for name in part:
        torch.testing.assert_close(whole[name], part[name])


def test_apex_targets_by_hand():
    """
    frame      0         1         2
               0123456789012345678901234567890
    reliable             ***                       macro, apex 11
    near           000000---000000                 frames 4..18, all within 6 of 10..12
    macro          00000 11111 00000               apex +- 2 = 9..13
    micro          000000000000000
    """
    soft = torch.zeros(2, 31)
    soft[0, 10:13] = 0.9
    nothing = torch.zeros(31, dtype=torch.bool)
    labels = PseudoLabels(soft, soft > 0, nothing, torch.tensor([11]), torch.tensor([0]), 3)
    macro, micro = apex_targets(labels, ~nothing)
    assert (macro == 1).nonzero()[:, 0].tolist() == [9, 10, 11, 12, 13]
    assert (micro == 0).nonzero()[:, 0].tolist() == list(range(4, 19))
    assert (macro == -1).sum() == 31 - 15


def test_an_anchor_without_a_partner_is_left_out_of_the_mean():
    soft = torch.zeros(2, 8, dtype=torch.float64)
    soft[0, 4] = 1.0  # the only reliable frame
    neutral = torch.tensor([True, True, False, False, False, False, False, True])
    labels = PseudoLabels(soft, soft > 0, neutral, torch.tensor([4]), torch.tensor([0]), 3)
    features = torch.randn(8, 3, dtype=torch.float64)
    expected = reference_contrast(features.tolist(), soft.tolist(), (soft > 0.5).tolist(), neutral.tolist(), range(8))
    assert contrast_loss(features, labels, 0.5).item() == pytest.approx(expected)


def test_contrast_stays_finite_for_large_features():
    features, _, _, labels = video("one", 10)
    assert torch.isfinite(contrast_loss(features.float() * 1e3, labels, 0.5))


def test_a_non_finite_intensity_shows_in_the_total():
    features, a, scores, labels = video("one", 10)
    a[3] = torch.nan
    assert torch.isnan(journal_loss(features, a, scores, labels, LossParameters())["total"])
