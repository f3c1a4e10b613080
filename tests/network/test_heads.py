import pytest
import torch

from pfes.network.heads import PfesHead

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_shapes_and_range():
    hidden, intensity, class_scores = PfesHead(16)(torch.randn(9, 16))
    assert hidden.shape == (9, 16)
    assert intensity.shape == (9,)
    assert class_scores.shape == (9, 2)
    for scores in (intensity, class_scores):
        assert ((scores > 0) & (scores < 1)).all()


def test_equations_of_the_branches():
    head, x = PfesHead(8).eval(), torch.randn(5, 8)
    y = x @ head.hidden.weight.T
    expected = torch.where(y > 0, y, 0.2 * y)  # biases start at zero
    for released in (False, True):
        hidden, intensity, class_scores = head(x, released=released)
        torch.testing.assert_close(hidden, expected)
        torch.testing.assert_close(intensity, torch.sigmoid(expected @ head.intensity.weight[0]))
        torch.testing.assert_close(class_scores, torch.sigmoid(x @ head.classes.weight.T))


def test_weights_are_kaiming_uniform_and_biases_zero():
    head = PfesHead(256)
    for layer in (head.hidden, head.intensity, head.classes):
        assert not layer.bias.any()
        bound = (6 / 256) ** 0.5
        assert layer.weight.abs().max() <= bound
        assert layer.weight.abs().max() > 0.9 * bound


def test_the_clean_pass_has_neither_dropout_nor_gradient_while_training():
    head, x = PfesHead(32).train(), torch.randn(7, 32, requires_grad=True)
    clean = head.clean(x)
    assert head.training
    assert not any(part.requires_grad for part in clean)
    for part, expected in zip(clean, head.eval()(x), strict=True):
        torch.testing.assert_close(part, expected.detach())


def test_seventy_percent_of_the_hidden_features_are_dropped_in_training_and_the_rest_scaled_up():
    head, x = PfesHead(64).train(), torch.randn(300, 64)
    for released in (False, True):
        hidden = head(x, released=released)[0]
        kept = hidden != 0
        assert abs(kept.float().mean() - 0.3) < 0.02
        torch.testing.assert_close(hidden[kept], head.clean(x)[0][kept] / 0.3)


def test_the_released_pass_drops_logits_so_that_seventy_percent_of_frames_read_one_half():
    head, x = PfesHead(16).train(), 0.1 * torch.randn(2000, 16)
    _, intensity, class_scores = head(x, released=True)
    assert abs((intensity == 0.5).float().mean() - 0.7) < 0.05
    assert abs((class_scores == 0.5).float().mean() - 0.7) < 0.05
    kept = class_scores != 0.5  # features are not dropped before the class branch
    torch.testing.assert_close(class_scores.logit()[kept], (head.classes(x) / 0.3)[kept], rtol=1e-3, atol=1e-3)
    _, intensity, class_scores = head(x)
    assert (intensity == 0.5).float().mean() < 0.05
    assert (class_scores == 0.5).float().mean() < 0.05


def test_the_class_branch_drops_features_by_default():
    head = PfesHead(64).train()
    torch.nn.init.ones_(head.classes.weight)
    logits = head(torch.full((400, 64), 0.05))[2].logit()
    counts = logits * 0.3 / 0.05  # of the features that are kept
    torch.testing.assert_close(counts, counts.round(), atol=1e-2, rtol=0)
    assert abs(counts.mean() / 64 - 0.3) < 0.03
