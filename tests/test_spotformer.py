import pytest
import torch
from torch.nn import functional

from pfes.spotformer import JOINT_PADDING, STANDALONE_PADDING, SpotFormer, TimeDown, attention, normalise

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
PADDINGS = [JOINT_PADDING, STANDALONE_PADDING]


def snippets(n, seed=0):
    return torch.randn(n, 17, 10, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_papers_size_has_3166208_parameters(padding):
    assert sum(p.numel() for p in SpotFormer(256, 4, padding).parameters()) == 3_166_208


@pytest.mark.parametrize(("padding", "steps"), [(JOINT_PADDING, [9, 5, 3, 1]), (STANDALONE_PADDING, [8, 3, 2, 1])])
def test_the_window_shrinks_to_one_step(padding, steps):
    model, found = SpotFormer(16, 4, padding), []
    for down in (model.down1, model.down2, model.down3, model.down4):
        down.register_forward_hook(lambda module, inputs, output: found.append(output.shape[-2]))
    assert model(snippets(5)).shape == (5, 16)
    assert found == steps


@pytest.mark.parametrize("padding", PADDINGS)
def test_frames_are_independent_in_eval_mode(padding):
    model = SpotFormer(16, 2, padding).eval()
    x = snippets(23)
    whole = model(x)
    chunks = torch.cat([model(part) for part in x.split(7)])
    torch.testing.assert_close(chunks, whole)
    torch.testing.assert_close(model(x[3:4]), whole[3:4])


def test_gradients_reach_every_parameter_but_the_unused_position():
    model = SpotFormer(16, 4)
    (model(snippets(6)) * torch.arange(16)).sum().backward()  # a plain sum is blind to what BatchNorm removes
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    assert not model.embed.time_position.grad[17].any()  # the 18th, as released


def test_attention_is_softmax_attention_per_head():
    qkv = torch.randn(6, 5, 3 * 12, generator=torch.Generator().manual_seed(1))
    q, k, v = (part.unflatten(-1, (3, 4)).transpose(1, 2) for part in qkv.split(12, -1))
    expected = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
    torch.testing.assert_close(attention(qkv, 3), expected)


@pytest.mark.parametrize("padding", [0, 1])
def test_time_down_is_batch_norm_and_convolution(padding):
    down, x = TimeDown(8, padding), torch.randn(3, 2, 9, 8)
    normal = functional.batch_norm(x.flatten(0, 1).transpose(1, 2), None, None, training=True)  # [6, 8, 9]
    expected = functional.conv1d(normal, down.conv.weight, stride=2, padding=padding).transpose(1, 2)
    torch.testing.assert_close(down(x).flatten(0, 1), expected)


def test_normalise_takes_statistics_over_all_leading_positions():
    norm, x = torch.nn.BatchNorm1d(4), torch.randn(5, 6, 7, 4) * 3 + 2
    y = normalise(norm, x)
    torch.testing.assert_close(y.mean((0, 1, 2)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var((0, 1, 2), correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_regions_are_pooled_in_the_order_of_the_snippets():
    """Swapping ROIs within a region changes nothing once they carry the same position; between regions it does."""
    model, x = SpotFormer(16, 4).eval(), snippets(4)
    within, between = x.clone(), x.clone()
    within[:, :, [6, 9]] = x[:, :, [9, 6]]
    between[:, :, [2, 3]] = x[:, :, [3, 2]]
    torch.testing.assert_close(model(within), model(x))
    assert (model(between) - model(x)).abs().max() > 1e-3


def test_the_embedding_adds_the_position_in_the_window_and_the_region_of_the_face():
    embed, x = SpotFormer(16, 4).embed.eval(), snippets(3)
    regions = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]  # left brow, right brow, mouth
    position = embed(x) - normalise(embed.norm, embed.linear(x))
    for step in range(17):
        for roi in range(10):
            expected = embed.time_position[step] + embed.region_position[regions[roi]]
            torch.testing.assert_close(position[1, step, roi], expected, atol=1e-5, rtol=0)


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 4 heads"):
        SpotFormer(30, 4)
