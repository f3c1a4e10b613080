"""SF-Net: its terms and its mining against loops."""

import math

import pytest
import torch

from pfes.methods.sfnet.network import mined_labels, sfnet_terms


def entropy(logits, kind):
    own = logits.tolist()
    return math.log(sum(map(math.exp, own))) - own[kind]


def mean(values):
    return sum(values) / len(values) if values else 0.0


@pytest.mark.parametrize(
    ("frames", "labelled"),
    [(40, {}), (40, {3: 1}), (40, {0: 0, 39: 1, 20: 0}), (5, {2: 0}), (3, {0: 1, 1: 1, 2: 0})],
)
def test_the_terms(frames, labelled):
    generator = torch.Generator().manual_seed(frames + len(labelled))
    logits, action = torch.randn(frames, 3, generator=generator), torch.randn(frames, generator=generator)
    labels = torch.tensor([labelled.get(t, -1) for t in range(frames)])
    found = sfnet_terms(
        logits,
        action,
        labels,
        torch.tensor(list(labelled.values()), dtype=torch.int64),
        torch.ones(frames, dtype=torch.bool),
    )
    present = sorted(set(labelled.values())) or [2]
    k = math.ceil(frames / 8)
    top = torch.tensor([sum(sorted(logits[:, c].tolist())[-k:]) / k for c in range(3)])
    free = [t for t in range(frames) if t not in labelled]
    calm = sorted(free, key=lambda t: -logits[t, 2])[: 7 * len(labelled)]
    lively = sorted(free, key=lambda t: -action[t])[: 7 * len(labelled)]

    def sigmoid(t):
        return 1 / (1 + math.exp(-float(action[t])))

    expected = {
        "video": mean([entropy(top, c) for c in present]),
        "frame": mean([entropy(logits[t], c) for t, c in labelled.items()]),
        "background": mean([entropy(logits[t], 2) for t in calm]) / 3,
        "action": mean([-math.log(sigmoid(t)) for t in labelled]),
        "rest": mean([-math.log(1.001 - sigmoid(t)) for t in lively]),
    }
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, abs=1e-5), name


def test_frames_without_a_face_are_no_unlabelled_frames():
    logits, action = torch.zeros(10, 3), torch.zeros(10)
    logits[5], action[5] = 100.0, 100.0
    labels, valid = torch.full((10,), -1), torch.arange(10) != 5
    labels[2] = 0
    terms = sfnet_terms(logits, action, labels, torch.tensor([0]), valid)
    assert terms["rest"].item() == pytest.approx(-math.log(0.501), rel=1e-4)


def test_points_are_spread_while_class_and_score_agree():
    # frame       0    1    2    3    4(x) 5    6    7    8    9
    macro = [1.0, 2.0, 1.9, 1.8, 2.0, 2.0, 1.95, 1.95, 2.0, 2.0]
    logits = torch.tensor([[value, 0.0, 0.5] for value in macro])
    # left: 3 is below .95 of 2.0; right: 5, 6 and 7 agree, 8 is too far
    assert sorted(mined_labels(logits, [4], [0])) == [(4, 0), (5, 0), (6, 0), (7, 0)]
    logits[7] = torch.tensor([0.0, 3.0, 0.0])  # another class: 6 has it as the next frame
    assert sorted(mined_labels(logits, [4], [0])) == [(4, 0), (5, 0)]
    assert mined_labels(logits[:5], [4], [0]) == [(4, 0)]  # the video ends
    assert mined_labels(logits, [], []) == []
