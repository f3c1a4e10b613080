"""The chunked SpotFormer against the plain one: same features, gradients and running statistics."""

import itertools

import pytest
import torch
from torch.nn import functional

from pfes.network import chunked, spotformer
from pfes.network.chunked import chunk_seed, chunked_features
from pfes.network.memory import LEVELS, TOKENS, kept_stages
from pfes.network.parameters import JOINT_PADDING, STANDALONE_PADDING
from pfes.network.spotformer import SpotFormer

torch.set_num_threads(1)
FRAMES, WIDTH = 21, 8


def both(padding=JOINT_PADDING, dropout=0.0, dtype=torch.float64):
    """Return two equal networks in training mode, whose norms are not the identity, and a video with a mean.

    In float64, so that what is the same within rounding is told from what is nearly the same.
    """
    torch.manual_seed(0)
    models = [SpotFormer(WIDTH, 2, padding, dropout) for _ in range(2)]
    with torch.no_grad():
        for norm, _ in models[0].stages():
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.3)
    models[1].load_state_dict(models[0].state_dict())
    return *(model.to(dtype) for model in models), torch.randn(FRAMES, 17, 10, 2, dtype=dtype) * 2 + 0.5


def backward(features):
    weight = torch.randn(features.shape, generator=torch.Generator().manual_seed(1), dtype=features.dtype)
    (features * weight).sum().backward()


def assert_same_gradients(model, plain):
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.parametrize(("memory_mb", "chunk"), [(100, 10), (0.5, 10), (0, 10), (0, 21)])
@pytest.mark.parametrize("padding", [JOINT_PADDING, STANDALONE_PADDING])
def test_features_gradients_and_running_statistics_are_the_plain_ones(memory_mb, chunk, padding):
    model, plain, x = both(padding)
    features = chunked_features(model, x, chunk, memory_mb)
    expected = plain(x)
    torch.testing.assert_close(features, expected, atol=1e-10, rtol=1e-10)
    backward(features)
    backward(expected)
    assert_same_gradients(model, plain)
    for (name, one), other in zip(model.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10, msg=name)
    assert model.pool1.num_batches_tracked == 1  # not once per pass


def test_the_memory_allowed_chooses_what_is_kept():
    assert [kept_stages(FRAMES, WIDTH, megabytes) for megabytes in (100, 0.5, 0)] == list(LEVELS)
    assert kept_stages(20_000, 256, 4000) == LEVELS[-1]
    assert kept_stages(315, 32, 2000) == LEVELS[0]


@pytest.mark.parametrize("padding", [JOINT_PADDING, STANDALONE_PADDING])
def test_the_table_of_tokens_bounds_what_the_stages_are_given(padding):
    model, _, x = both(padding)
    x, found = model.embed.linear(x), []
    for norm, rest in model.stages():
        found.append(x.shape[1:].numel() // WIDTH)
        x = rest(x, spotformer.normalise(norm, x))
    assert len(found) == len(TOKENS) - 1 or len(found) == len(TOKENS)
    assert all(one <= most for one, most in zip(found, TOKENS, strict=False))


@pytest.mark.parametrize("memory_mb", [100, 0])
def test_dropout_is_the_same_in_every_pass(memory_mb, monkeypatch):
    """A plain network that draws its dropout chunk by chunk with the same seeds has the same gradients."""
    model, plain, x = both(dropout=0.3)
    torch.manual_seed(5)
    features = chunked_features(model, x, 10, memory_mb)
    backward(features)
    torch.manual_seed(5)
    seed, original = int(torch.randint(2**62, ())), functional.dropout

    def by_chunks(tokens, share, training):
        parts = []
        for number, part in enumerate(tokens.split(10)):
            with chunk_seed(seed, number):
                parts.append(original(part, share, training))
        return torch.cat(parts)

    monkeypatch.setattr(spotformer.functional, "dropout", by_chunks)
    expected = plain(x)
    torch.testing.assert_close(features, expected, atol=1e-10, rtol=1e-10)
    backward(expected)
    assert_same_gradients(model, plain)


def test_frugal_steps_keep_only_small_tensors():
    """What waits for the backward pass holds no input of a stage with all 170 tokens of a frame."""
    model, _, x = both()
    features = chunked_features(model, x, 10, 0)
    kept = list(itertools.chain.from_iterable(span.inputs for span in features.grad_fn.spans))
    assert max(part.numel() for part in kept) <= 10 * max(51 * WIDTH, 340)
    assert sum(part.numel() for part in kept) < FRAMES * (340 + (51 + 9) * WIDTH + 1)


def test_bfloat16_passes_backward_as_it_passed_forward():
    model, plain, x = both(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        features, expected = chunked_features(model, x, 10), plain(x)
    backward(features.float())
    backward(expected.float())
    one, other = (torch.cat([p.grad.flatten() for p in network.parameters()]) for network in (model, plain))
    assert functional.cosine_similarity(one, other, dim=0) > 0.99


def test_moments_of_parts_are_those_of_the_whole():
    x = torch.randn(100, 3) * 2 + 50
    mean, variance, count = chunked._merged([chunked._moments(part) for part in x.split(33)], x.dtype)
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(variance, x.var(0, correction=0), rtol=1e-4, atol=1e-5)
    assert count == 100
