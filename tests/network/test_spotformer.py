"""SpotFormer against a loop-written NumPy reference made from the table of METHOD 6, and its single pieces."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from pfes.network.parameters import JOINT_PADDING, STANDALONE_PADDING
from pfes.network.spotformer import SpotFormer, TimeDown, attention, normalise

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
        halve = down.halve
        down.halve = lambda x, y, halve=halve: found.append((z := halve(x, y)).shape[-2]) or z
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


def test_residual_sums_and_features_stay_single_inside_autocast():
    model, x = SpotFormer(16, 2, dropout=0.0), snippets(40)
    exact = model(x)
    kinds = set()
    with torch.autocast("cpu", torch.bfloat16):
        tokens = model.embed.map(x)
        for norm, rest in model.stages():
            kinds.add(tokens.dtype)
            tokens = rest(tokens, normalise(norm, tokens))
    assert kinds | {tokens.dtype} == {torch.float32}
    error = (tokens - exact).norm() / exact.norm()  # bfloat16 has 8 bits; rounded sums and features give .015
    assert 1e-4 < error < 0.01


def test_attention_is_softmax_attention_per_head():
    qkv = torch.randn(6, 5, 3 * 12, generator=torch.Generator().manual_seed(1))
    q, k, v = (part.unflatten(-1, (3, 4)).transpose(1, 2) for part in qkv.split(12, -1))
    expected = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
    torch.testing.assert_close(attention(qkv, 3), expected)


def test_block_dropout_is_at_24_places_and_nowhere_in_eval_mode(monkeypatch):
    """One head, so that its attention weights are one call: 6 blocks of 4 places."""
    seen = []
    drop = functional.dropout
    monkeypatch.setattr(functional, "dropout", lambda x, p=0.5, *rest: seen.append((p, x.shape)) or drop(x, p, *rest))
    SpotFormer(12, 1, STANDALONE_PADDING, dropout=0.3, block_dropout=0.1)(snippets(4))
    places = [shape for p, shape in seen if p == 0.1]
    assert len(places) == 24
    assert [p for p, _ in seen if p != 0.1] == [0.3]  # the embedding
    attended = [shape[-2:] for shape in places if shape[-1] == shape[-2]]  # keys by queries
    assert attended == [(n, n) for n in (10, 17, 3, 8, 3, 2)]
    seen.clear()
    SpotFormer(12, 1, block_dropout=0.1).eval()(snippets(4))
    SpotFormer(12, 1)(snippets(4))
    assert len(seen) == 2  # the embedding's


def test_dropped_attention_weights_are_scaled_up():
    qkv = torch.randn(4000, 3, 3 * 2, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    mean = attention(qkv, 1, 0.5).mean(0)
    torch.testing.assert_close(mean, attention(qkv, 1).mean(0), atol=0.05, rtol=0)


@pytest.mark.parametrize("padding", [0, 1])
def test_time_down_is_batch_norm_and_convolution(padding):
    down, x = TimeDown(8, padding), torch.randn(3, 2, 9, 8)
    normal = functional.batch_norm(x.flatten(0, 1).transpose(1, 2), None, None, training=True)  # [6, 8, 9]
    expected = functional.conv1d(normal, down.conv.weight, stride=2, padding=padding).transpose(1, 2)
    torch.testing.assert_close(down.halve(x, normalise(down.norm, x)).flatten(0, 1), expected)


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
    normal = normalise(embed.norm, embed.linear(x))
    position = embed.place(x, normal) - normal
    for step in range(17):
        for roi in range(10):
            expected = embed.time_position[step] + embed.region_position[regions[roi]]
            torch.testing.assert_close(position[1, step, roi], expected, atol=1e-5, rtol=0)


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 4 heads"):
        SpotFormer(30, 4)


class Reference:
    """METHOD 6 in NumPy, frame by frame and head by head; parameters by the names of the state dict."""

    def __init__(self, model, heads, padding, train):
        self.p = {name: value.detach().numpy().astype(float) for name, value in model.state_dict().items()}
        self.heads, self.padding, self.train = heads, padding, train

    def __call__(self, snippets):
        x = snippets @ self.p["embed.linear.weight"].T + self.p["embed.linear.bias"]  # [N, 17, 10, D]
        x = self.norm("embed.norm", x)
        for t in range(17):
            for roi in range(10):
                region = 0 if roi < 3 else 1 if roi < 6 else 2
                x[:, t, roi] += self.p["embed.time_position"][t] + self.p["embed.region_position"][region]
        x = self.block("space1", x)  # over the 10 ROIs
        x = self.block("time1", x.swapaxes(1, 2))  # over the 17 steps; [N, 10, 17, D]
        x = self.norm("pool1", x)
        x = np.stack([x[:, 0:3].max(1), x[:, 3:6].max(1), x[:, 6:10].max(1)], 1)  # [N, 3, 17, D]
        x = self.down(1, x)
        x = self.block("space2", x.swapaxes(1, 2))  # over the 3 regions
        x = self.block("time2", x.swapaxes(1, 2))
        x = self.down(2, self.norm("pool2", x).max(1, keepdims=True))  # [N, 1, 5, D]
        x = self.down(3, self.block("time3", x))
        return self.down(4, self.block("time4", x))[:, 0, 0]

    def norm(self, name, x):
        mean, variance = self.p[f"{name}.running_mean"], self.p[f"{name}.running_var"]
        if self.train:
            rows = x.reshape(-1, x.shape[-1])
            mean, variance = rows.mean(0), rows.var(0)
        return (x - mean) / np.sqrt(variance + 1e-5) * self.p[f"{name}.weight"] + self.p[f"{name}.bias"]

    def block(self, name, x):
        y, width = self.norm(f"{name}.norm1", x), x.shape[-1]
        size, attended = width // self.heads, np.zeros_like(x)
        q, k, v = np.split(y @ self.p[f"{name}.qkv.weight"].T, 3, axis=-1)
        for n in range(x.shape[0]):
            for row in range(x.shape[1]):
                for head in range(self.heads):
                    own = slice(head * size, (head + 1) * size)
                    scores = np.exp(q[n, row][:, own] @ k[n, row][:, own].T / math.sqrt(size))
                    attended[n, row][:, own] = scores / scores.sum(1, keepdims=True) @ v[n, row][:, own]
        x = x + attended @ self.p[f"{name}.out.weight"].T + self.p[f"{name}.out.bias"]
        y = self.norm(f"{name}.norm2", x) @ self.p[f"{name}.mlp1.weight"].T + self.p[f"{name}.mlp1.bias"]
        y = 0.5 * y * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))  # GELU
        return x + y @ self.p[f"{name}.mlp2.weight"].T + self.p[f"{name}.mlp2.bias"]

    def down(self, number, x):
        padding, kernel = self.padding[number - 1], self.p[f"down{number}.conv.weight"]  # [out, in, 3]
        x = np.pad(self.norm(f"down{number}.norm", x), ((0, 0), (0, 0), (padding, padding), (0, 0)))
        steps = range(0, x.shape[2] - 2, 2)
        return np.stack([sum(x[:, :, t + k] @ kernel[:, :, k].T for k in range(3)) for t in steps], 2)


def random_model(padding, width=8, heads=2):
    """Every weight, bias and statistic random, so that each of them matters."""
    generator = torch.Generator().manual_seed(0)
    model = SpotFormer(width, heads, padding, dropout=0.0).double()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
                value.copy_(noise.abs() + 0.5 if name.endswith(("running_var", "norm.weight")) else 0.3 * noise)
    return model


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("train", [False, True])
def test_features_equal_the_loop_written_reference(padding, train):
    model, x = random_model(padding).train(train), snippets(4).double()
    expected = Reference(model, 2, padding, train)(x.numpy())
    assert expected.shape == (4, 8)
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-8, atol=1e-10)


def test_training_moves_the_running_statistics_once_by_a_tenth():
    model, x = random_model(JOINT_PADDING).train(), snippets(4).double()
    before = model.embed.norm.running_mean.clone()
    batch = model.embed.linear(x).flatten(0, 2)
    model(x)
    torch.testing.assert_close(model.embed.norm.running_mean, 0.9 * before + 0.1 * batch.mean(0))
    assert model.down4.norm.num_batches_tracked == 1


def test_positions_start_standard_normal_and_the_rest_as_pytorch_does():
    torch.manual_seed(0)
    model = SpotFormer(256)
    assert model.embed.time_position.shape == (18, 256)
    assert model.embed.region_position.shape == (3, 256)
    for position in (model.embed.time_position, model.embed.region_position):
        assert abs(position.mean()) < 0.1
        assert abs(position.std() - 1) < 0.1
    assert 0.97 / 16 < model.time1.qkv.weight.abs().max() <= 1 / 16  # uniform up to 1 / sqrt(fan in)
    assert 0.97 / math.sqrt(768) < model.down1.conv.weight.abs().max() <= 1 / math.sqrt(768)


def test_queries_keys_values_and_convolutions_have_no_bias():
    names = {name for name, _ in SpotFormer(16).named_parameters()}
    assert not {name for name in names if "bias" in name and ("qkv" in name or "conv" in name)}
    assert {name for name in names if name.endswith("out.bias")} == {
        f"{block}.out.bias" for block in ("space1", "time1", "space2", "time2", "time3", "time4")
    }


def test_only_the_embedding_is_dropped_a_tenth_of_it_and_only_in_training():
    torch.manual_seed(0)
    model, x = SpotFormer(16, 4, dropout=0.1), snippets(40)
    place, seen = model.embed.place, []
    model.embed.place = lambda *parts: seen.append(place(*parts)) or seen[-1]
    model(x)
    model.eval()(x)
    assert abs((seen[0] == 0).float().mean() - 0.1) < 0.01
    assert not (seen[1] == 0).any()
    model.train().embed.dropout = 0.0
    torch.testing.assert_close(model(x), model(x))  # nothing else is random
