"""Stage 1 of HR-Pro: the block against its equations, prototypes and their loss against loops."""

import math

import pytest
import torch
from torch.nn import functional

from pfes.methods.hrpro import stage1
from pfes.methods.hrpro.stage1 import Block, ReliableHead, first_prototypes, moved_prototypes, prototype_contrast


def cosine(a, b):
    return float(a @ b) / max(float(a.norm()), 1e-12) / max(float(b.norm()), 1e-12)


SEEDS = {
    "no point": ([], range(30)),
    "one point": ([(4, 0)], range(10, 30)),
    "points at both ends": ([(0, 0), (29, 1)], range(5, 20)),
    "overlapping classes": ([(7, 0), (7, 1), (8, 1)], [0, 29]),
    "no background": ([(3, 1), (4, 1)], []),
}


def masks(name):
    action, background = torch.zeros(30, 2, dtype=torch.bool), torch.zeros(30, dtype=torch.bool)
    for frame, kind in SEEDS[name][0]:
        action[frame, kind] = True
    background[list(SEEDS[name][1])] = True
    return action, background


@pytest.mark.parametrize("name", SEEDS)
def test_the_contrast_with_prototypes(name):
    generator = torch.Generator().manual_seed(0)
    embedded, prototypes = torch.randn(30, 5, generator=generator), torch.randn(2, 5, generator=generator)
    action, background = masks(name)
    terms = []
    for c in (0, 1):
        frames = [t for t in range(30) if action[t, c]]
        if frames:
            a = [sum(math.exp(cosine(embedded[t], m) / 0.1) for t in frames) / len(frames) for m in prototypes]
            others = [math.exp(cosine(embedded[t], prototypes[c]) / 0.1) for t in range(30) if background[t]]
            b = sum(others) / len(others) if others else 0.0
            terms.append(-0.5 * math.log(a[c] / sum(a)) - 0.5 * math.log(a[c] / (a[c] + b)))
    expected = sum(terms) / len(terms) if terms else 0.0
    found = prototype_contrast(embedded, prototypes, action, background)
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", SEEDS)
def test_prototypes_move_by_a_thousandth_of_the_way_to_the_mean_of_the_seeds(name):
    embedded, before = torch.randn(30, 5, generator=torch.Generator().manual_seed(1)), torch.ones(2, 5)
    action, _ = masks(name)
    after = moved_prototypes(before, embedded, action)
    for c in (0, 1):
        frames = [t for t in range(30) if action[t, c]]
        target = sum(embedded[t] for t in frames) / len(frames) if frames else before[c]
        torch.testing.assert_close(after[c], before[c] + 0.001 * (target - before[c]))
    assert (before == 1).all()


def test_the_first_prototypes_are_the_mean_points():
    embedded = torch.tensor([[1.0, 2], [3, 4], [5, 0]])
    torch.testing.assert_close(first_prototypes(embedded, torch.tensor([0, 0, 1])), torch.tensor([[2.0, 3], [5, 0]]))
    assert (first_prototypes(embedded, torch.tensor([1, 1, 1]))[0] == 0).all()


def test_a_block_is_its_equations():
    torch.manual_seed(0)
    block, tokens = Block(16).eval(), torch.randn(7, 16)
    weight, bias = block.attention.in_proj_weight.split(16), block.attention.in_proj_bias.split(16)
    q, k, v = (
        functional.linear(own, w, b).view(7, 8, 2)
        for own, w, b in zip((block.query(tokens), block.key(tokens), tokens), weight, bias, strict=True)
    )
    heads = [(q[:, h] @ k[:, h].T / math.sqrt(2)).softmax(1) @ v[:, h] for h in range(8)]
    x = block.norm1(tokens + block.attention.out_proj(torch.cat(heads, 1)))
    expected = block.norm2(x + block.outer(block.inner(x).relu()))
    torch.testing.assert_close(block(tokens), expected, atol=1e-5, rtol=1e-4)


def test_a_long_video_in_blocks_is_that_of_one_block_also_while_training(monkeypatch):
    for name in ("DROPOUT", "ATTENTION_DROPOUT"):
        monkeypatch.setattr(stage1, name, 0.0)
    gradients = []
    for queries, training in ((512, False), (512, True), (3, True)):
        monkeypatch.setattr(stage1, "QUERIES", queries)
        torch.manual_seed(0)
        block, tokens = Block(16).train(training), torch.randn(7, 16, requires_grad=True)
        block(tokens).square().sum().backward()
        gradients.append([tokens.grad, *(parameter.grad for parameter in block.parameters())])
    for found in gradients[1:]:
        torch.testing.assert_close(found, gradients[0], atol=1e-5, rtol=1e-4)


def test_prototypes_take_part_as_tokens_and_give_no_frame():
    torch.manual_seed(0)
    head, features = ReliableHead(8).eval(), torch.randn(6, 8)
    embedded, intensity, classes = head(features)
    assert (embedded.shape, intensity.shape, classes.shape) == ((6, 8), (6,), (6, 2))
    head.prototypes += 1
    assert not torch.allclose(head(features)[0], embedded)
    assert [part.shape for part in head(features[:0])] == [(0, 8), (0,), (0, 2)]
