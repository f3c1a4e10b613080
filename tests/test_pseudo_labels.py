"""Pseudo-labels against references written as loops from METHOD 7.1 alone, in plain Python."""

import math

import pytest
import torch

from pfes.errors import InputError
from pfes.pseudo_labels import GimParameters, merge, neutral_frames, pseudo_apex, pseudo_labels, within

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
RELEASE = ((8, 18), (4, 8))

# name -> (frames of the video, points, classes)
CASES = {
    "one": (60, [30], [0]),
    "ends": (60, [0, 59], [0, 1]),
    "last frames": (50, [48, 2], [0, 1]),
    "one class overlaps": (80, [30, 36, 40], [0, 0, 0]),
    "two classes overlap": (80, [30, 34], [0, 1]),
    "both overlap": (90, [40, 44, 41, 47], [0, 0, 1, 1]),
    "none": (40, [], []),
    "window wider than the video": (9, [4], [0]),
    "single frame": (1, [0], [1]),
}
STAGE_EPOCHS = [0, 1, 4, 5, 20, 40]


def reference_instance(epoch, x, a, p, c, params):
    """Return {frame: label} and the apex of one instance."""
    last = len(a) - 1

    def frames(centre, half):
        return [j for j in range(len(a)) if abs(j - centre) <= half]

    if epoch == 0:
        return dict.fromkeys(frames(p, [5, 3][c]), 1.0), p
    if epoch <= 4:
        apex, half = p, [4, 2][c]
    else:
        k_c = params.k_c[c]
        apex = max(frames(p, k_c / 4), key=lambda j: (a[j], -j))  # eq. 1; first of equals
        theta = 0.5 if epoch >= 29 else 0.8 - (epoch - 5) * 0.3 / 24
        count = sum(a[j] > theta for j in frames(apex, k_c / 2))  # eq. 3
        half = params.d * count / 2 + 1e-9
        if params.half_widths:
            least, most = params.half_widths[c]
            half = min(max(math.floor(half), least), most)
    inside = frames(min(apex, last), half)
    square = {j: sum((u - v) ** 2 for u, v in zip(x[j], x[apex], strict=True)) for j in inside}
    variance = sum(square.values()) / len(square)  # eq. 4
    return {j: math.exp(-square[j] / (2 * variance)) if variance else 1.0 for j in inside}, apex  # eq. 5


def reference(epoch, x, a, points, classes, params):
    """Return labels {(class, frame): value}, neutral frames and apexes; overlap rules ``later``, ``higher``, ``lower``."""
    labels, apexes = {}, []
    for p, c in sorted(zip(points, classes, strict=True)):
        for j, value in reference_instance(epoch, x, a, p, c, params)[0].items():
            old = labels.get((c, j))
            if old is not None:
                value = {"later": value, "higher": max(old, value), "lower": min(old, value)}[params.overlap]
            labels[c, j] = value
    for p, c in zip(points, classes, strict=True):
        apexes.append(reference_instance(epoch, x, a, p, c, params)[1])
    labelled = {j for _, j in labels}
    free = [j for j in range(len(a)) if j not in labelled]
    neutral = sorted(free, key=lambda j: (a[j], j))[: min(len(labelled), len(free))]  # eq. 6
    if not points:
        neutral = list(range(len(a)))
    return labels, set(neutral), apexes


def random_video(frames, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(frames, 6, generator=generator, dtype=torch.float64)
    return x, torch.rand(frames, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("overlap", ["later", "higher", "lower"])
@pytest.mark.parametrize("clamp", [None, RELEASE])
def test_labels_equal_the_loop_written_reference(case, overlap, clamp):
    frames, points, classes = CASES[case]
    params = GimParameters(overlap=overlap, half_widths=clamp)
    for epoch in STAGE_EPOCHS:
        x, a = random_video(frames, epoch)
        got = pseudo_labels(epoch, x, a, torch.tensor(points).long(), torch.tensor(classes).long(), params)
        labels, neutral, apexes = reference(epoch, x.tolist(), a.tolist(), points, classes, params)
        expected = torch.zeros(2, frames, dtype=torch.float64)
        mask = torch.zeros(2, frames, dtype=torch.bool)
        for (c, j), value in labels.items():
            expected[c, j], mask[c, j] = value, True
        torch.testing.assert_close(got.soft, expected)
        assert torch.equal(got.labelled, mask)
        assert set(got.neutral.nonzero()[:, 0].tolist()) == neutral
        assert got.apex_frames.tolist() == apexes


def test_theta_falls_from_the_third_stage_to_the_thirtieth_epoch():
    params = GimParameters()
    assert [params.theta(epoch) for epoch in (0, 5, 17, 29, 99)] == pytest.approx([0.8, 0.8, 0.65, 0.5, 0.5])


def test_stage_lengths_are_parameters():
    params = GimParameters(hard_epochs=2, gaussian_epochs=1, theta_epochs=3)
    assert [params.stage(epoch) for epoch in range(5)] == [1, 1, 2, 3, 3]
    assert params.theta(3) == 0.8
    assert params.theta(4) == 0.5


def test_theta_decides_the_range():
    """
    frame  0123456789...       a = .9 on 18..22, else .55; apex* = 20
    theta  .8 -> L = 5, half-width 1.2 * 5 / 2 = 3; theta .5 -> all 33 frames of the window count, half-width 19
    """
    a = torch.full((60,), 0.55)
    a[18:23] = 0.9
    a[20] = 0.95
    x = torch.randn(60, 4)
    for epoch, width in ((5, 7), (40, 39)):
        got = pseudo_labels(epoch, x, a, torch.tensor([24]), torch.tensor([0]), GimParameters())
        assert got.apex_frames.tolist() == [20]
        assert got.labelled[0].sum() == width


@pytest.mark.parametrize(("level", "c", "half"), [(0.1, 0, 8), (0.9, 0, 18), (0.1, 1, 4), (0.9, 1, 8)])
def test_the_released_clamp_bounds_the_half_width(level, c, half):
    params = GimParameters(half_widths=RELEASE)
    got = pseudo_labels(9, torch.randn(90, 4), torch.full((90,), level), torch.tensor([45]), torch.tensor([c]), params)
    assert got.labelled[c].sum() == 2 * half + 1


def test_nothing_above_theta_labels_the_pseudo_apex_alone():
    got = pseudo_labels(
        9, torch.randn(30, 4), torch.linspace(0.1, 0.2, 30), torch.tensor([10]), torch.tensor([1]), GimParameters()
    )
    assert got.soft[1].nonzero()[:, 0].tolist() == [14]
    assert got.soft[1, 14] == 1


def test_equal_features_give_label_one():
    got = pseudo_labels(3, torch.ones(30, 4), torch.rand(30), torch.tensor([10]), torch.tensor([0]), GimParameters())
    assert got.soft[0, 6:15].tolist() == [1.0] * 9


def test_the_random_rule_keeps_one_whole_instance_and_each_of_them_in_turn():
    frames, classes = torch.tensor([10, 12]), torch.tensor([0, 0])
    inside = within(frames, torch.tensor([4, 4]), torch.ones(30, dtype=torch.bool))
    soft = torch.tensor([0.25, 0.75])[:, None] * inside
    generator, kept = torch.Generator().manual_seed(0), set()
    for _ in range(20):
        merged, labelled = merge(soft, inside, frames, classes, "random", generator)
        shared = merged[0, 8:15].unique()
        assert len(shared) == 1  # frames of both instances come from one of them
        assert merged[0, 6] == 0.25
        assert merged[0, 16] == 0.75
        assert torch.equal(labelled[0], inside.any(0))
        kept.add(shared.item())
    assert kept == {0.25, 0.75}


def test_invalid_frames_are_neither_labelled_nor_neutral():
    x, a = random_video(60, 1)
    valid = torch.ones(60, dtype=torch.bool)
    valid[28:40] = False
    a[30] = 1.0
    for epoch in STAGE_EPOCHS:
        got = pseudo_labels(epoch, x, a, torch.tensor([30, 55]), torch.tensor([0, 1]), GimParameters(), valid=valid)
        assert not got.labelled[:, ~valid].any()
        assert not got.neutral[~valid].any()
    assert pseudo_apex(a, torch.tensor([30]), torch.tensor([0]), GimParameters(), valid).item() != 30


def test_an_instance_without_a_valid_frame_labels_nothing():
    x, a = random_video(60, 1)
    valid = torch.zeros(60, dtype=torch.bool)
    got = pseudo_labels(10, x, a, torch.tensor([30]), torch.tensor([0]), GimParameters(), valid=valid)
    assert not got.labelled.any()
    assert not got.neutral.any()
    assert not got.soft.any()


def test_neutral_frames_never_outnumber_the_unlabelled():
    labelled = torch.tensor([True] * 7 + [False] * 3)
    chosen = neutral_frames(torch.rand(10), labelled, torch.ones(10, dtype=torch.bool))
    assert torch.equal(chosen, ~labelled)


def test_a_video_without_points_is_neutral_throughout_or_by_choice_teaches_nothing():
    x, a = random_video(20, 0)
    none = torch.zeros(0, dtype=torch.long)
    assert pseudo_labels(9, x, a, none, none, GimParameters()).neutral.all()
    assert not pseudo_labels(9, x, a, none, none, GimParameters(empty_is_neutral=False)).neutral.any()


def test_inputs_stay_untouched_and_labels_carry_no_gradient():
    x, a = random_video(40, 0)
    x.requires_grad_()
    before = a.clone()
    got = pseudo_labels(9, x, a, torch.tensor([5]), torch.tensor([0]), GimParameters())
    assert torch.equal(a, before)
    assert not got.soft.requires_grad


def test_an_unknown_overlap_rule_is_named():
    with pytest.raises(InputError, match="overlap 'first'"):
        GimParameters(overlap="first")
