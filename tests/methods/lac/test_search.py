"""The search of the optimal sequence: exact against all labellings, greedy against the published rule in a loop."""

import itertools
import math

import numpy as np
import pytest

from pfes.methods.lac.parameters import LacParameters
from pfes.methods.lac.search import best_labels, find_sequence, segments, sequence_value
from pfes.methods.ptal.seeds import Seeds
from tests.methods.ptal.test_losses import contrast_by_loop

EXACT, UNLIMITED = LacParameters(search="exact"), LacParameters(search="greedy", budget=10**6, drop_below=-9.0)


def drawn(generator, n_frames=None):
    n = int(n_frames or generator.integers(6, 22))
    p = np.convolve(generator.random(n + 2), np.ones(3) / 3, "valid") * generator.random()
    known = np.full(n, -1)
    frames = generator.choice(n, generator.integers(1, min(n, 7)), replace=False)
    known[frames] = generator.integers(0, 2, len(frames))
    known[frames[0]] = 1
    if generator.random() < 0.3:
        known[[0, -1]] = 1  # points at both ends
    return p, known


def value_of(p, labels):
    groups = [list(group) for _, group in itertools.groupby(range(len(p)), key=lambda t: bool(labels[t]))]
    scores = []
    for group in groups:
        curve = p if labels[group[0]] else [1 - x for x in p]
        scores.append(contrast_by_loop(curve, group[0], group[-1]))
    return sum(scores) / len(scores)


def all_labellings(p, known):
    """Every way to place the beginnings of the segments."""
    low, high, kinds = segments(known)
    places = [range(high[k] + 1, low[k + 1] + 1) for k in range(len(low) - 1)]
    for begins in itertools.product(*places):
        edges = [0, *begins, len(p)]
        yield np.concatenate([np.full(edges[k + 1] - edges[k], bool(kinds[k])) for k in range(len(kinds))])


def test_known_frames_fix_number_and_order_of_the_segments():
    # frame            0   1  2  3  4   5  6   7  8
    known = np.array([-1, 0, 0, -1, 1, -1, 1, -1, 0])
    low, high, kinds = segments(known)
    assert (low.tolist(), high.tolist(), kinds.tolist()) == ([1, 4, 8], [2, 6, 8], [0, 1, 0])


def test_the_exact_search_finds_the_best_of_all_labellings():
    generator = np.random.default_rng(0)
    for _ in range(60):
        p, known = drawn(generator, generator.integers(4, 13))
        found = best_labels(p, known, EXACT)
        best = max(value_of(p.tolist(), labels) for labels in all_labellings(p, known))
        assert value_of(p.tolist(), found) == pytest.approx(best, abs=1e-9)
        assert (found[known >= 0] == known[known >= 0]).all()


def test_greedy_without_a_limit_is_as_good_as_exact():
    generator = np.random.default_rng(1)
    for _ in range(150):
        p, known = drawn(generator)
        one, two = (value_of(p.tolist(), best_labels(p, known, params)) for params in (EXACT, UNLIMITED))
        assert one == pytest.approx(two, abs=1e-9)


@pytest.mark.parametrize("budget", [1, 3, 25])
@pytest.mark.parametrize("drop_below", [0.1, -9.0])
def test_greedy_with_a_budget_is_the_published_search(budget, drop_below):
    generator = np.random.default_rng(budget)
    for _ in range(30):
        p, known = drawn(generator, 40)
        found = best_labels(p, known, LacParameters(search="greedy", budget=budget, drop_below=drop_below))
        np.testing.assert_array_equal(found, by_loop(p.tolist(), known, budget, drop_below))


def by_loop(p, known, budget, drop_below):
    low, high, kinds = (part.tolist() for part in segments(known))

    def worth(begins, end):
        k = len(begins) - 1
        curve = p if kinds[k] else [1 - x for x in p]
        return contrast_by_loop(curve, begins[-1], end)

    hypotheses = [([0], [])]  # beginnings, contrasts of completed segments
    for t in range(1, len(p)):
        grown = []
        for begins, done in hypotheses:
            k = len(begins) - 1
            last = k == len(low) - 1
            if last or t != low[k + 1]:
                grown.append((begins, done))
            if not last and t > high[k]:
                grown.append(([*begins, t], [*done, worth(begins, t - 1)]))
        values = [sum(done) / len(done) if done else math.inf for _, done in grown]
        least = min(drop_below, max(values))
        if len(grown) > budget:
            least = max(least, sorted(values, reverse=True)[budget - 1])
        hypotheses = [one for one, value in zip(grown, values, strict=True) if value >= least]
    scores = [(sum(done) + worth(begins, len(p) - 1)) / len(low) for begins, done in hypotheses]
    edges = [*hypotheses[scores.index(max(scores))][0], len(p)]
    return np.concatenate([np.full(edges[k + 1] - edges[k], bool(kinds[k])) for k in range(len(kinds))])


def test_many_equal_hypotheses_stay_few():
    """A curve of one value ties everything: memory must not grow with the number of labellings."""
    known = np.full(400, -1)
    known[::50], known[25::50] = 1, 0
    labels = best_labels(np.full(400, 0.5), known, LacParameters(search="greedy", budget=25))
    assert (labels[known >= 0] == known[known >= 0]).all()


def test_seeds_of_the_other_class_are_background_and_own_ones_win():
    p = np.full((12, 2), 0.5)
    action = np.zeros((12, 2), bool)
    action[3, 0] = action[8, 1] = True
    action[5] = True  # both classes
    background = np.zeros(12, bool)
    background[[0, 11]] = True
    found = find_sequence(p, Seeds(background, action), EXACT)
    assert found[3, 0]
    assert found[5].all()
    assert not found[8, 0]
    assert not found[3, 1]
    assert not found[[0, 11]].any()
    nothing = find_sequence(p, Seeds(np.ones(12, bool), np.zeros((12, 2), bool)), EXACT)
    assert not nothing.any()


def test_a_video_of_one_segment_is_all_of_it():
    assert best_labels(np.full(5, 0.2), np.array([-1, 1, -1, -1, -1]), EXACT).all()
    assert sequence_value(np.full(5, 0.2), np.array([0]), np.array([1])) == pytest.approx(0.2)
    assert sequence_value(np.full(5, 0.2), np.array([0]), np.array([0])) == pytest.approx(0.8)
