"""LAC's losses on a sequence against loops over segments and classes."""

import itertools
import math

import pytest
import torch

from pfes.methods.lac import losses
from pfes.methods.lac.losses import feature_contrast, score_contrast
from tests.methods.ptal.test_losses import contrast_by_loop, drawn


def sequence(*ones, n=40):
    """[T, 2] with 1 on the given (class, first, last)."""
    found = torch.zeros(n, 2, dtype=torch.bool)
    for kind, first, last in ones:
        found[first : last + 1, kind] = True
    return found


SEQUENCES = {
    "none": sequence(),
    "one": sequence((0, 10, 20)),
    "at both ends": sequence((0, 0, 4), (0, 35, 39)),
    "both classes, overlapping": sequence((0, 5, 20), (1, 8, 12), (1, 30, 33), (0, 30, 38)),
    "the whole video": sequence((1, 0, 39)),
}


def segments(labels):
    groups = [list(group) for _, group in itertools.groupby(range(len(labels)), key=lambda t: bool(labels[t]))]
    return [(group[0], group[-1], bool(labels[group[0]])) for group in groups]


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_score_contrast(name):
    p, labels = drawn(5), SEQUENCES[name]
    gaps = {True: [], False: []}
    for kind in (0, 1):
        if labels[:, kind].any():
            for first, last, action in segments(labels[:, kind]):
                curve = p[:, kind].tolist() if action else (1 - p[:, kind]).tolist()
                gaps[action].append(1 - contrast_by_loop(curve, first, last))
    expected = sum(sum(own) / len(own) if own else 0 for own in gaps.values()) ** 2
    assert score_contrast(p, labels).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_feature_contrast(name):
    labels = SEQUENCES[name]
    hidden = torch.randn(40, 6, generator=torch.Generator().manual_seed(7))
    draw = torch.Generator().manual_seed(8)
    terms = []
    for kind in (0, 1):
        found = segments(labels[:, kind]) if labels[:, kind].any() else []
        if sum(action for *_, action in found) < 2:
            continue
        share = torch.rand(len(found), 3, generator=draw)
        vectors = []
        for (first, last, _), own in zip(found, share.tolist(), strict=True):
            frames = [first + int((part + u) / 3 * (last - first + 1)) for part, u in enumerate(own)]
            g = sum(hidden[t] for t in frames) / 3
            vectors.append(g / g.norm())
        losses_of = []
        for j, (*_, action) in enumerate(found):
            if action:
                e = [math.exp(float(g @ vectors[j]) / 0.1) if i != j else 0.0 for i, g in enumerate(vectors)]
                losses_of.append(-math.log(sum(e[i] for i, (*_, a) in enumerate(found) if a) / sum(e)))
        terms.append(sum(losses_of) / len(losses_of))
    expected = sum(terms) / len(terms) if terms else 0.0
    found = feature_contrast(hidden, labels, torch.Generator().manual_seed(8))
    assert found.item() == pytest.approx(expected, abs=1e-4)


def test_each_part_of_a_segment_gives_a_frame_of_its_own(monkeypatch):
    """With features that name their frame, the three that are averaged come from the three thirds."""
    hidden = torch.eye(12)
    drawn_frames = set()
    original = losses.functional.normalize
    for seed in range(30):
        seen = []
        kept = lambda g, dim, seen=seen: (seen.append(g), original(g, dim=dim))[1]  # noqa: E731
        monkeypatch.setattr(losses.functional, "normalize", kept)
        feature_contrast(hidden, sequence((0, 0, 5), (0, 9, 11), n=12), torch.Generator().manual_seed(seed))
        first = seen[0][0].nonzero()[:, 0].tolist()
        assert [frame // 2 for frame in first] == [0, 1, 2]  # of frames 0 .. 5
        drawn_frames |= set(first)
    assert drawn_frames == set(range(6))
