"""Pseudo-labels against references written as loops from METHOD 7.1 alone, in plain Python."""

import math

import pytest
import torch

from pfes.base.errors import InputError
from pfes.methods.gim.parameters import GimParameters
from pfes.methods.gim.pseudo_labels import merge, neutral_frames, pseudo_apex, pseudo_labels, within

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


def reference_instance(epoch, x, a, p, c, params, class_points):
    """Return {frame: label} and the apex of one instance; ``class_points`` are all points of its class in the video."""

    def frames(centre, half):
        return [j for j in range(len(a)) if abs(j - centre) <= half]

    def square(j, mu):
        return sum((u - v) ** 2 for u, v in zip(x[j], mu, strict=True))

    if epoch == 0:
        return dict.fromkeys(frames(p, [5, 3][c]), 1.0), p
    if epoch <= 4:
        apex, half = p, [4, 2][c]
    else:
        k_c = params.k_c[c]
        apex = max(frames(p, k_c / 4), key=lambda j: (a[j], -j))  # eq. 1; first of equals
        theta = 0.5 if epoch >= 29 else 0.8 - (epoch - 5) * 0.3 / 24
        count = sum(a[j] > theta for j in frames(apex, k_c / 2))  # eq. 3
        half = 1.2 * count / 2 + 1e-9
        if params.half_widths:
            least, most = params.half_widths[c]
            half = min(max(math.floor(half), least), most)
    inside = frames(apex, half)
    if params.strategy == "hard":
        return dict.fromkeys(inside, 1.0), apex
    if params.strategy == "cosine":
        return {j: max(0.0, reference_cosine(x[j], x[apex])) for j in inside}, apex
    mu = x[apex]  # eq. 2
    if params.strategy == "class-wise":
        mu = [sum(x[q][k] for q in class_points) / len(class_points) for k in range(len(x[0]))]
    divisor = len(inside)
    if params.variance_over == "d_l" and epoch >= 5:  # eq. 4 as printed
        divisor = 2 * half if params.half_widths else 1.2 * count
    if divisor == 0:  # no range: the pseudo-apex alone
        return {apex: 1.0}, apex
    variance = sum(square(j, mu) for j in inside) / divisor  # eq. 4
    return {j: math.exp(-square(j, mu) / (2 * variance)) if variance else 1.0 for j in inside}, apex  # eq. 5


def reference_cosine(u, v):
    product = sum(p * q for p, q in zip(u, v, strict=True))
    return product / math.sqrt(sum(p * p for p in u) * sum(q * q for q in v))


def reference(epoch, x, a, points, classes, params, draws=None):
    """Return labels {(class, frame): value}, neutral frames and apexes; for the random rules ``draws`` [point][frame]."""
    instances = []
    for p, c in zip(points, classes, strict=True):
        class_points = [q for q, other in zip(points, classes, strict=True) if other == c]
        instances.append(reference_instance(epoch, x, a, p, c, params, class_points))
    labels = {}
    for c in (0, 1):
        for j in range(len(a)):
            held = [i for i, own in enumerate(classes) if own == c and j in instances[i][0]]
            if held:
                rank = {
                    "later": lambda i: points[i],
                    "higher": lambda i, j=j: instances[i][0][j],
                    "lower": lambda i, j=j: -instances[i][0][j],
                    "random-instance": lambda i: draws[i][0],
                    "random-frame": lambda i, j=j: draws[i][j],
                }[params.overlap]
                labels[c, j] = instances[max(held, key=rank)][0][j]
    labelled = {j for _, j in labels}
    free = [j for j in range(len(a)) if j not in labelled]
    neutral = sorted(free, key=lambda j: (a[j], j))[: min(len(labelled), len(free))]  # eq. 6
    if not points:
        neutral = list(range(len(a)))
    return labels, set(neutral), [apex for _, apex in instances]


def random_video(frames, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(frames, 6, generator=generator, dtype=torch.float64)
    return x, torch.rand(frames, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("overlap", ["later", "higher", "lower", "random-frame", "random-instance"])
@pytest.mark.parametrize("clamp", [None, RELEASE])
@pytest.mark.parametrize("over", ["frames", "d_l"])
def test_labels_equal_the_loop_written_reference(case, overlap, clamp, over):
    check_against_reference(
        *CASES[case], GimParameters(overlap=overlap, half_widths=clamp, variance_over=over)
    )  # fmt: skip


@pytest.mark.parametrize("strategy", ["gim", "class-wise"])
def test_labels_of_the_conference_on_two_hundred_random_videos_with_saturated_intensities(strategy):
    """Some points stand at the ends, some videos have intensity 0 or 1 almost everywhere, so that L is 0 or all."""
    params = GimParameters(overlap="random-frame", variance_over="d_l", strategy=strategy)
    alone = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        frames = int(torch.randint(1, 90, (), generator=generator))
        count = int(torch.randint(0, 5, (), generator=generator))
        points = torch.randint(0, frames, (count,), generator=generator).tolist()
        points[:1] = [0 if seed % 2 else frames - 1][: len(points[:1])]
        classes = torch.randint(0, 2, (count,), generator=generator).tolist()
        alone += check_against_reference(frames, points, classes, params, (5, 20, 40), saturated=seed % 3)
    assert alone > 20


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("strategy", ["hard", "cosine", "class-wise"])
def test_labels_of_the_other_strategies_equal_the_loop_written_reference(case, strategy):
    check_against_reference(*CASES[case], GimParameters(overlap="later", strategy=strategy))


@pytest.mark.parametrize("k_c", [(16, 8), (24, 16), (40, 20), (48, 10)])
@pytest.mark.parametrize("case", ["ends", "both overlap", "window wider than the video"])
def test_the_window_k_c_is_a_parameter(case, k_c):
    check_against_reference(*CASES[case], GimParameters(overlap="later", k_c=k_c))


def check_against_reference(frames, points, classes, params, epochs=STAGE_EPOCHS, saturated=0):
    """Return in how many epochs the first instance was its pseudo-apex alone."""
    points_, classes_ = torch.tensor(points).long(), torch.tensor(classes).long()
    alone = 0
    for epoch in epochs:
        x, a = random_video(frames, epoch + frames)
        a = {0: a, 1: (a > 0.9).double(), 2: (a > 0.1).double()}[saturated]
        columns = frames if params.overlap == "random-frame" else 1
        draws = torch.rand(len(points), columns, generator=torch.Generator().manual_seed(epoch)).tolist()
        generator = torch.Generator().manual_seed(epoch)
        got = pseudo_labels(epoch, x, a, points_, classes_, params, generator=generator)
        labels, neutral, apexes = reference(epoch, x.tolist(), a.tolist(), points, classes, params, draws)
        expected = torch.zeros(2, frames, dtype=torch.float64)
        mask = torch.zeros(2, frames, dtype=torch.bool)
        for (c, j), value in labels.items():
            expected[c, j], mask[c, j] = value, True
        torch.testing.assert_close(got.soft, expected)
        assert torch.equal(got.labelled, mask)
        assert set(got.neutral.nonzero()[:, 0].tolist()) == neutral
        assert got.apex_frames.tolist() == apexes
        assert mask.any(0).sum() <= got.most_labelled <= frames
        alone += len(points) > 0 and got.half_widths[0].item() == 0
    return alone


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


def test_one_draw_for_each_instance_keeps_one_whole_instance_and_each_of_them_in_turn():
    frames, classes = torch.tensor([10, 12]), torch.tensor([0, 0])
    inside = within(frames, torch.tensor([4, 4]), torch.ones(30, dtype=torch.bool))
    soft = torch.tensor([0.25, 0.75])[:, None] * inside
    generator, kept = torch.Generator().manual_seed(0), set()
    for _ in range(20):
        merged, labelled = merge(soft, inside, frames, classes, "random-instance", generator)
        shared = merged[0, 8:15].unique()
        assert len(shared) == 1  # frames of both instances come from one of them
        assert merged[0, 6] == 0.25
        assert merged[0, 16] == 0.75
        assert torch.equal(labelled[0], inside.any(0))
        kept.add(shared.item())
    assert kept == {0.25, 0.75}


def test_one_draw_for_each_frame_mixes_two_instances_half_and_half():
    frames, classes = torch.tensor([300, 302]), torch.tensor([0, 0])
    inside = within(frames, torch.tensor([200, 200]), torch.ones(600, dtype=torch.bool))
    soft = torch.tensor([0.25, 0.75])[:, None] * inside
    merged, _ = merge(soft, inside, frames, classes, "random-frame", torch.Generator().manual_seed(0))
    shared = merged[0, 102:501]
    assert set(shared.tolist()) == {0.25, 0.75}
    assert 150 < (shared == 0.25).sum() < 249


def test_invalid_frames_are_neither_labelled_nor_neutral():
    x, a = random_video(60, 1)
    valid = torch.ones(60, dtype=torch.bool)
    valid[28:40] = False
    a[30] = 1.0
    for epoch in STAGE_EPOCHS:
        got = pseudo_labels(epoch, x, a, torch.tensor([30, 55]), torch.tensor([0, 1]), GimParameters(), valid=valid)
        assert not got.labelled[:, ~valid].any()
        assert not got.neutral[~valid].any()
    assert pseudo_apex(a, torch.tensor([30]), torch.tensor([0]), (32, 16), valid).item() != 30


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


@pytest.mark.parametrize(
    ("name", "value"), [("overlap", "random"), ("strategy", "best"), ("label_pass", "dirty"), ("variance_over", "n")]
)
def test_an_unknown_choice_is_named(name, value):
    with pytest.raises(InputError, match=f"gim: {name} '{value}' is not known; expected one of"):
        GimParameters(**{name: value})


def test_opposite_features_have_cosine_label_zero():
    x = torch.ones(30, 4)
    x[12:] = -1
    got = pseudo_labels(
        3, x, torch.rand(30), torch.tensor([10]), torch.tensor([0]), GimParameters(strategy="cosine")
    ).soft[0]
    torch.testing.assert_close(got[6:12], torch.ones(6))
    assert got[12:15].tolist() == [0.0] * 3


def test_class_wise_labels_are_far_from_one_where_a_point_is_unlike_the_others_of_its_class():
    x = torch.zeros(60, 4)
    x[40:] = 3.0
    points, classes = torch.tensor([5, 15, 50]), torch.tensor([0, 0, 0])
    got = pseudo_labels(3, x, torch.rand(60), points, classes, GimParameters(strategy="class-wise"))
    torch.testing.assert_close(got.soft[0, 50], torch.tensor(0.5).neg().exp())  # all its frames are sigma from the mean
    alone = pseudo_labels(3, x, torch.rand(60), points[2:], classes[2:], GimParameters(strategy="class-wise"))
    assert alone.soft[0, 50] == 1


def test_the_half_width_of_each_instance_is_returned():
    a = torch.zeros(80)
    a[20:25] = 0.9
    points, classes = torch.tensor([22, 60]), torch.tensor([0, 1])
    for epoch, halves in ((0, [5, 3]), (2, [4, 2]), (9, [3, 0])):
        got = pseudo_labels(epoch, torch.randn(80, 4), a, points, classes, GimParameters())
        assert got.half_widths.tolist() == halves
