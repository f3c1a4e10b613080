"""The journal and conference losses against references written as loops from METHOD 7.2 alone."""

import math

import numpy as np
import pytest
import torch

from pfes.base.errors import InputError
from pfes.methods.gim.losses import conference_loss, contrast, journal_loss
from pfes.methods.gim.losses.conference import action_loss, one_class
from pfes.methods.gim.losses.contrast import contrast_loss, groups, mean_over_anchors
from pfes.methods.gim.losses.release import log_probability
from pfes.methods.gim.losses.terms import apex_loss, apex_targets, smooth_loss
from pfes.methods.gim.parameters import GimParameters, LossParameters
from pfes.methods.gim.pseudo_labels import PseudoLabels, pseudo_labels

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
CASES = {
    "one": (50, [20], [0]),
    "ends": (50, [0, 49], [0, 1]),
    "one class overlaps": (60, [20, 26, 30], [1, 1, 1]),
    "two classes overlap": (50, [20, 24], [0, 1]),
    "only micro": (40, [10, 30], [1, 1]),
    "none": (30, [], []),
    "window wider than the video": (9, [4], [0]),
    "single frame": (1, [0], [0]),
}
EPOCHS = [0, 3, 5, 40]


def video(case, epoch, seed=0):
    frames, points, classes = CASES[case]
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(frames, 5, generator=generator, dtype=torch.float64)
    a = torch.rand(frames, generator=generator, dtype=torch.float64)
    scores = torch.rand(frames, 2, generator=generator, dtype=torch.float64)
    points, classes = torch.tensor(points).long(), torch.tensor(classes).long()
    params = GimParameters(half_widths=((8, 18), (4, 8)), overlap="later")
    return features, a, scores, pseudo_labels(epoch, features, a, points, classes, params)


def everything(a):
    return torch.ones(len(a), dtype=torch.bool)


def made_labels(soft, neutral, apex_frames, classes, stage=3):
    """Labels by hand; every frame with a label above 0 is labelled."""
    apex_frames, classes = torch.tensor(apex_frames), torch.tensor(classes)
    return PseudoLabels(
        soft, soft > 0, neutral, apex_frames, torch.zeros_like(apex_frames), classes, stage, soft.shape[1]
    )  # fmt: skip


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def square(a, label):
    return (a - label) ** 2


def entropy(a, label):
    return -label * math.log(a) - (1 - label) * math.log(1 - a)


def reference_journal(features, a, scores, labels, params):
    """The weighted terms as Python floats."""
    frames = range(len(a))
    a, s, soft = a.tolist(), scores.tolist(), labels.soft.tolist()
    labelled, neutral = labels.labelled.tolist(), labels.neutral.tolist()
    distance = {"mse": square, "bce": entropy}[params.intensity]
    reliable = [[soft[c][t] > 0.5 for t in frames] for c in (0, 1)]
    group = {t: 1 if reliable[0][t] else 2 if reliable[1][t] else 0 for t in frames if neutral[t]}
    group |= {t: 1 if reliable[0][t] else 2 for t in frames if reliable[0][t] or reliable[1][t]}
    strength = {t: max(soft[0][t], soft[1][t]) if g else 0.0 for t, g in group.items()}
    contrast = 0.5 / 0.07 * reference_contrast(features.tolist(), group, strength)
    terms = {
        "macro": mean(distance(a[t], soft[0][t]) for t in frames if labelled[0][t]),
        "micro": mean(distance(a[t], soft[1][t]) for t in frames if labelled[1][t]),
        "neutral": mean(distance(a[t], 0.0) for t in frames if neutral[t]),
        "reward": -0.4 * mean(a[t] for t in frames if reliable[0][t])
        - 0.6 * mean(a[t] for t in frames if reliable[1][t]),
        "smooth": params.smooth * mean(abs(a[t + 1] - a[t]) for t in frames[:-1]),
        "norm": params.norm * mean(a),
        "apex": reference_apex(s, reliable, neutral, labels, frames) if labels.stage == 3 else 0.0,
        "contrast": params.contrast * contrast if len(labels.point_classes) else 0.0,
    }
    return {**terms, "total": sum(terms.values())}


def reference_apex(s, reliable, neutral, labels, frames):
    total = 0.0
    for c, (alpha, weight, half) in enumerate([(0.90, 1.0, 2), (0.93, 1.8, 1)]):
        for t in frames:
            apexes = zip(labels.apex_frames.tolist(), labels.point_classes.tolist(), strict=True)
            if any(own == c and abs(t - apex) <= half for apex, own in apexes):
                total -= weight * alpha * abs(1 - s[t][c]) * math.log(s[t][c]) / len(frames)
            elif neutral[t] or any((reliable[0][u] or reliable[1][u]) and abs(u - t) <= 6 for u in frames):
                total -= weight * (1 - alpha) * abs(0.25 - s[t][c]) * math.log(1 - s[t][c]) / len(frames)
    return total


def reference_contrast(f, group, strength, tau=0.5, over=mean):
    """L_IAC of the frames in ``group`` {frame: class}, mean or sum over anchors; an anchor alone in its class counts 0."""

    def weight(i, j):
        difference = abs(strength[i] - strength[j])
        return 1 - difference if group[i] == group[j] else difference

    def logit(i, j):
        return sum(u * v for u, v in zip(f[i], f[j], strict=True)) / tau

    anchors = []
    for i in group:
        denominator = sum(weight(i, k) * math.exp(logit(i, k)) for k in group if k != i)
        positives = [j for j in group if j != i and group[j] == group[i]]
        anchors.append(mean(math.log(weight(i, j)) + logit(i, j) - math.log(denominator) for j in positives))
    return -over(anchors)


def reference_conference(features, a, scores, labels, params):
    """The weighted terms as Python floats: the mean over the array where macro wins and the one where micro wins.

    Eq. 7, 10 and 13 as METHOD 7.2 prints them; ``mean`` where the parameters ask for it.
    """
    over = {"sum": sum, "mean": mean}
    frames = range(len(a))
    a, s, soft = a.tolist(), scores.tolist(), labels.soft.tolist()
    labelled, neutral = labels.labelled.tolist(), labels.neutral.tolist()
    distance = {"mse": square, "bce": entropy}[params.intensity]
    gim, action, contrast = [], [], []
    for order in ((0, 1), (1, 0)):
        own = {t: next(c for c in order if labelled[c][t]) for t in frames if labelled[0][t] or labelled[1][t]}
        label = {t: soft[c][t] for t, c in own.items()} | {t: 0.0 for t in frames if neutral[t]}
        gim.append(mean(distance(a[t], value) for t, value in label.items()))
        expression = [-math.log(max(s[t][c] * a[t], 1e-12)) for t, c in own.items() if label[t] > 0.5]
        rest = [-math.log(max(1 - s[t][c] * a[t], 1e-12)) for t in frames if neutral[t] for c in (0, 1)]
        action.append(mean(expression) + mean(rest))  # the mean over frames and classes is 1 / (C |I-|)
        group = {t: 1 + c for t, c in own.items() if label[t] > 0.5} | {t: 0 for t in frames if neutral[t]}
        contrast.append(
            reference_contrast(features.tolist(), group, label, params.temperature, over[params.contrast_over])
        )
    terms = {
        "gim": mean(gim),
        "action": mean(action),
        "smooth": params.smooth * mean(abs(a[t + 1] - a[t]) for t in frames[:-1]),
        "norm": params.norm * over[params.norm_over](a),
        "contrast": params.contrast * mean(contrast) if len(labels.point_classes) else 0.0,
    }
    return {**terms, "total": sum(terms.values())}


def close(got, expected):
    assert got.keys() == expected.keys()
    assert {name: value.item() for name, value in got.items()} == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("kind", ["mse", "bce"])
def test_every_journal_term_equals_the_loop_written_reference(case, epoch, kind):
    params = LossParameters(intensity=kind, contrast=0.01)
    inputs = video(case, epoch, seed=epoch)
    close(journal_loss(*inputs, params, everything(inputs[1])), reference_journal(*inputs, params))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("kind", ["mse", "bce"])
def test_every_conference_term_equals_the_loop_written_reference(case, epoch, kind):
    params = LossParameters(intensity=kind, norm=0.3, contrast=0.01)
    inputs = video(case, epoch, seed=epoch)
    close(conference_loss(*inputs, params, everything(inputs[1])), reference_conference(*inputs, params))


def test_the_conference_loss_of_two_hundred_random_videos_with_saturated_scores():
    for seed in range(200):
        case = list(CASES)[seed % len(CASES)]
        features, a, scores, labels = video(case, EPOCHS[seed // len(CASES) % len(EPOCHS)], seed)
        if seed % 3 == 0:
            scores, a = (scores > 0.5).double(), a.round(decimals=1)
        norm_over, contrast_over = (("sum", "mean")[seed >> shift & 1] for shift in (0, 1))
        params = LossParameters(
            norm=0.3, contrast=0.01, temperature=0.4, norm_over=norm_over, contrast_over=contrast_over
        )  # fmt: skip
        inputs = features, a, scores, labels
        close(conference_loss(*inputs, params, everything(a)), reference_conference(*inputs, params))


@pytest.mark.parametrize("loss", [journal_loss, conference_loss])
@pytest.mark.parametrize("case", ["ends", "two classes overlap", "none", "single frame"])
def test_gradients_are_finite_and_those_of_the_loss(case, loss):
    features, a, scores, labels = video(case, 10)
    leaves = [part.clone().requires_grad_() for part in (features, a, scores)]
    params = LossParameters(contrast=0.01)

    def total(*parts):
        return loss(*parts, labels, params, everything(a))["total"]

    assert torch.autograd.gradcheck(total, leaves, fast_mode=True)


@pytest.mark.parametrize("loss", [journal_loss, conference_loss])
def test_a_weight_of_zero_leaves_its_term_out_and_the_others_alone(loss):
    features, a, scores, labels = video("two classes overlap", 10)
    full = loss(features, a, scores, labels, LossParameters(), everything(a))
    switches = {
        "intensity_weight": ["gim", "macro", "micro", "neutral"], "action": ["action"], "smooth": ["smooth"],
        "norm": ["norm"], "contrast": ["contrast"], "reward": ["reward"], "apex_weight": ["apex"],
    }  # fmt: skip
    for key, off in switches.items():
        value = (0.0, 0.0) if isinstance(getattr(LossParameters(), key), tuple) else 0.0
        terms = loss(features, a, scores, labels, LossParameters(**{key: value}), everything(a))
        for name in set(terms) - {"total"}:
            assert terms[name].item() == (0 if name in off else full[name].item()), (key, name)
        total = sum(full[name].item() for name in terms if name not in (*off, "total"))
        assert terms["total"].item() == pytest.approx(total)


def test_the_default_weights_are_those_of_casme2_in_the_journal():
    params = LossParameters()
    assert (params.smooth, params.norm, params.contrast, params.temperature) == (0.1, 2.5, 1.4e-5, 0.5)
    assert (params.reward, params.apex_weight, params.apex_alpha) == ((0.4, 0.6), (1.0, 1.8), (0.9, 0.93))


def test_an_unknown_intensity_loss_is_named():
    with pytest.raises(InputError, match="intensity 'mae' is not known; expected mse or bce"):
        LossParameters(intensity="mae")


@pytest.mark.parametrize("loss", [journal_loss, conference_loss])
def test_an_absent_class_contributes_zero(loss):
    features, a, scores, labels = video("only micro", 10)
    terms = loss(features, a, scores, labels, LossParameters(), everything(a))
    assert torch.isfinite(torch.stack(list(terms.values()))).all()
    if loss is journal_loss:
        assert terms["macro"] == 0
        assert terms["micro"] > 0


@pytest.mark.parametrize("loss", [journal_loss, conference_loss])
def test_invalid_frames_count_in_no_term(loss):
    features, a, scores, _ = video("one", 10)
    valid = everything(a)
    valid[40:] = False
    labels = pseudo_labels(10, features, a, torch.tensor([20]), torch.tensor([0]), GimParameters(), valid=valid)
    whole = loss(features, a, scores, labels, LossParameters(), valid)
    cut = PseudoLabels(
        labels.soft[:, :40], labels.labelled[:, :40], labels.neutral[:40], labels.apex_frames, labels.half_widths,
        labels.point_classes, 3, 40,
    )  # fmt: skip
    part = loss(features[:40], a[:40], scores[:40], cut, LossParameters(), valid[:40])
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
    macro, micro = apex_targets(made_labels(soft, nothing, [11], [0]), ~nothing)
    assert (macro == 1).nonzero()[:, 0].tolist() == [9, 10, 11, 12, 13]
    assert (micro == 0).nonzero()[:, 0].tolist() == list(range(4, 19))
    assert (macro == -1).sum() == 31 - 15


def test_the_apex_loss_of_a_certain_score_is_finite_and_of_the_right_score_is_zero():
    scores = torch.tensor([0.0, 1.0], requires_grad=True)
    wrong = apex_loss(scores, torch.tensor([1.0, 0.0]), 0.9, torch.ones(2, dtype=torch.bool))
    wrong.backward()
    assert wrong > 5
    assert torch.isfinite(scores.grad).all()
    assert apex_loss(scores, torch.tensor([0.0, 1.0]), 0.9, torch.ones(2, dtype=torch.bool)) == 0


def test_the_smooth_term_is_a_mean_of_absolute_steps_or_as_released_of_signed_steps():
    a = torch.tensor([0.1, 0.5, 0.2])
    assert smooth_loss(a, everything(a)).item() == pytest.approx(0.35)
    assert smooth_loss(a, everything(a), signed=True).item() == pytest.approx(0.05)


def test_where_classes_overlap_each_array_gives_the_shared_frames_to_one_of_them():
    """
    frame    0 1 2 3 4 5
    macro    . 6 7 8 . .     tenths
    micro    . . 9 4 3 .
    first 0  . 6 7 8 3 .     macro has frames 2 and 3
    first 1  . 6 9 4 3 .     micro has them
    """
    soft = torch.tensor([[0, 0.6, 0.7, 0.8, 0, 0], [0, 0, 0.9, 0.4, 0.3, 0]])
    labels = made_labels(soft, torch.tensor([True, False, False, False, False, False]), [2, 3], [0, 1])
    macro, micro = (one_class(labels, first) for first in (0, 1))
    torch.testing.assert_close(macro.soft, torch.tensor([0, 0.6, 0.7, 0.8, 0.3, 0]))
    torch.testing.assert_close(micro.soft, torch.tensor([0, 0.6, 0.9, 0.4, 0.3, 0]))
    assert macro.classes[1:5].tolist() == [0, 0, 0, 1]
    assert micro.classes[1:5].tolist() == [0, 1, 1, 1]
    assert macro.taken.tolist() == [True] * 5 + [False]


def test_the_action_loss_by_hand():
    """One reliable macro frame with s-bar (.5, .2), one neutral frame with (.1, .3), and one that is neither."""
    labels = one_class(
        made_labels(torch.tensor([[0.9, 0, 0.4], [0, 0, 0]]), torch.tensor([False, True, False]), [0], [0]), 0
    )
    joint = torch.tensor([[0.5, 0.2], [0.1, 0.3], [0.9, 0.9]])
    expected = -math.log(0.5) - (math.log(0.9) + math.log(0.7)) / 2
    assert action_loss(joint, labels).item() == pytest.approx(expected)


def test_an_anchor_without_a_partner_counts_zero():
    soft = torch.zeros(2, 8, dtype=torch.float64)
    soft[0, 4] = 1.0  # the only reliable frame
    neutral = torch.tensor([True, True, False, False, False, False, False, True])
    labels = made_labels(soft, neutral, [4], [0])
    features = torch.randn(8, 3, dtype=torch.float64)
    expected = reference_contrast(features.tolist(), {0: 0, 1: 0, 7: 0, 4: 1}, {0: 0.0, 1: 0.0, 7: 0.0, 4: 1.0})
    assert contrast_loss(features, *groups(labels), 0.5, 8).item() == pytest.approx(expected)


def test_two_lone_anchors_with_no_weight_between_them_have_loss_and_gradient_zero():
    features = torch.randn(2, 3, requires_grad=True)
    loss = contrast_loss(features, torch.tensor([1, 2]), torch.tensor([1.0, 1.0]), 0.5, 2)
    loss.backward()
    assert loss == 0
    assert not features.grad.any()


def test_the_bound_on_frames_does_not_change_the_contrastive_loss():
    features, _, _, labels = video("two classes overlap", 10)
    group, strength = groups(labels)
    taken = int((group >= 0).sum())
    values = [contrast_loss(features, group, strength, 0.5, most).item() for most in (taken, taken + 3, len(group))]
    assert values == pytest.approx(values[:1] * 3)
    assert contrast_loss(features, group, strength, 0.5, taken - 1).item() != pytest.approx(values[0])


def release_contrast_of(features, group, strength, tau, most):
    return -mean_over_anchors(features, group, strength, tau, most, log_probability)


@pytest.mark.parametrize("loss", [contrast_loss, release_contrast_of])
def test_blocks_of_anchors_change_neither_the_contrastive_loss_nor_its_gradient(loss, monkeypatch):
    rng = np.random.default_rng(4)
    group, strength = torch.tensor(rng.integers(-1, 3, 23)), torch.tensor(rng.uniform(0.5, 1, 23))
    values = []
    for block in (1024, 5):
        monkeypatch.setattr(contrast, "BLOCK", block)
        features = torch.tensor(np.random.default_rng(5).normal(size=(23, 4)), requires_grad=True)
        value = loss(features, group, strength, 0.5, 23)
        values.append((value.item(), *torch.autograd.grad(value, features)))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-12)
    torch.testing.assert_close(values[0][1], values[1][1], rtol=1e-10, atol=1e-12)


def test_contrast_stays_finite_for_large_features():
    features, _, _, labels = video("one", 10)
    assert torch.isfinite(contrast_loss(features.float() * 1e3, *groups(labels), 0.5, 50))


@pytest.mark.parametrize("loss", [journal_loss, conference_loss])
def test_a_non_finite_intensity_shows_in_the_total(loss):
    features, a, scores, labels = video("one", 10)
    a[3] = torch.nan
    assert torch.isnan(loss(features, a, scores, labels, LossParameters(), everything(a))["total"])
