import torch

from pfes.heads import JournalHead

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other


def test_shapes_and_range():
    hidden, intensity, class_scores = JournalHead(16)(torch.randn(9, 16))
    assert hidden.shape == (9, 16)
    assert intensity.shape == (9,)
    assert class_scores.shape == (9, 2)
    for scores in (intensity, class_scores):
        assert ((scores > 0) & (scores < 1)).all()


def test_equations_of_the_branches():
    head, x = JournalHead(8).eval(), torch.randn(5, 8)
    y = x @ head.hidden.weight.T
    expected = torch.where(y > 0, y, 0.2 * y)  # biases start at zero
    hidden, intensity, class_scores = head(x)
    torch.testing.assert_close(hidden, expected)
    torch.testing.assert_close(intensity, torch.sigmoid(expected @ head.intensity.weight[0]))
    torch.testing.assert_close(class_scores, torch.sigmoid(x @ head.classes.weight.T))


def test_weights_are_kaiming_uniform_and_biases_zero():
    head = JournalHead(256)
    for layer in (head.hidden, head.intensity, head.classes):
        assert not layer.bias.any()
        bound = (6 / 256) ** 0.5
        assert layer.weight.abs().max() <= bound
        assert layer.weight.abs().max() > 0.9 * bound


def test_the_clean_pass_has_neither_dropout_nor_gradient_while_training():
    head, x = JournalHead(32).train(), torch.randn(7, 32, requires_grad=True)
    clean = head.clean(x)
    assert head.training
    assert not any(part.requires_grad for part in clean)
    for part, expected in zip(clean, head.eval()(x), strict=True):
        torch.testing.assert_close(part, expected.detach())
    noisy = head.train()(x)
    assert (noisy[0] == 0).float().mean() > 0.5  # dropout .7
