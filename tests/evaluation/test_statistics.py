"""Intervals that cover a known F1, differences that are there or not, spread over seeds."""

import numpy as np
import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.evaluation.parameters import BootstrapParameters
from pfes.evaluation.statistics import (
    bootstrap_f1,
    f1_of,
    paired_bootstrap,
    paired_permutation,
    per_subject,
    seed_spread,
    trust,
)

PARAMS = BootstrapParameters(samples=500)
COLUMNS = ["subject", "class", "tp", "fp", "fn"]


def table(*rows: tuple[str, str, int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def simulated(rng: np.random.Generator, subjects: int = 22, recall: float = 0.4) -> pd.DataFrame:
    """Counts of subjects that differ in their number of instances, in recall and in false proposals."""
    instances = rng.poisson(14, subjects)
    tp = rng.binomial(instances, rng.beta(10 * recall, 10 * (1 - recall), subjects))
    fp = rng.poisson(rng.gamma(4, 2, subjects))
    names = [f"s{number:02d}" for number in range(subjects)]
    return pd.DataFrame({"subject": names, "class": "macro", "tp": tp, "fp": fp, "fn": instances - tp})


def test_intervals_of_95_percent_cover_the_true_f1_in_90_to_98_percent_of_runs() -> None:
    rng = np.random.default_rng(0)
    truth = 2 * 0.4 * 14 / (0.4 * 14 + 14 + 8)  # 2 E[tp] / (E[instances] + E[proposals])
    runs = 400
    found = [bootstrap_f1(simulated(rng), BootstrapParameters(400, seed=run))["macro"] for run in range(runs)]
    covered = sum(row.low <= truth <= row.high for row in found) / runs
    assert 0.90 <= covered <= 0.98
    narrow = [bootstrap_f1(simulated(rng), BootstrapParameters(400, 0.5, run))["macro"] for run in range(100)]
    assert 0.35 <= sum(row.low <= truth <= row.high for row in narrow) / 100 <= 0.65


def test_the_value_is_f1_of_the_pooled_counts() -> None:
    counts = table(("a", "macro", 3, 1, 0), ("b", "macro", 0, 4, 2), ("b", "micro", 1, 0, 0))
    found = bootstrap_f1(counts, PARAMS)
    assert found["macro"].value == 6 / 13
    assert found["micro"].value == 1.0
    assert found["overall"].value == 8 / 15
    assert 0 <= found["overall"].low <= found["overall"].value <= found["overall"].high <= 1


def test_draws_are_of_whole_subjects() -> None:
    videos = table(*[("a", "macro", 1, 0, 0)] * 50, *[("b", "macro", 0, 1, 1)] * 50)
    found = bootstrap_f1(videos, PARAMS)["macro"]
    assert (found.low, found.high) == (0.0, 1.0)  # of two subjects: both draws of one of them occur


def test_the_same_seed_gives_the_same_interval() -> None:
    counts = simulated(np.random.default_rng(1))
    assert bootstrap_f1(counts, PARAMS) == bootstrap_f1(counts, PARAMS)
    assert bootstrap_f1(counts, PARAMS)["macro"] != bootstrap_f1(counts, BootstrapParameters(500, seed=1))["macro"]


@pytest.mark.parametrize("rows", [(), (("a", "macro", 3, 1, 0),)])
def test_fewer_than_two_subjects_give_no_interval(rows: tuple[tuple[str, str, int, int, int], ...]) -> None:
    found = bootstrap_f1(table(*rows), PARAMS)["macro"]
    assert np.isnan(found.low) and np.isnan(found.high)
    assert found.value == (6 / 7 if rows else 0.0)


def test_seeds_are_averaged_so_that_their_number_does_not_matter() -> None:
    once = simulated(np.random.default_rng(2)).assign(seed=0)
    thrice = pd.concat([once.assign(seed=seed) for seed in range(3)])
    np.testing.assert_allclose(per_subject(once)[1], per_subject(thrice)[1])
    assert paired_bootstrap(once, thrice, PARAMS)["overall"].p == 1.0


def test_an_experiment_does_not_differ_from_itself() -> None:
    counts = simulated(np.random.default_rng(3))
    found = paired_bootstrap(counts, counts, PARAMS)["macro"]
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_gain_in_every_subject_is_certain_although_subjects_differ_widely() -> None:
    first = simulated(np.random.default_rng(4))
    second = first.assign(fp=np.maximum(first["fp"] - 2, 0))
    found = paired_bootstrap(first, second, PARAMS)["macro"]
    assert found.value > 0
    assert found.low > 0
    assert found.p == pytest.approx(1 / 501)
    alone = bootstrap_f1(first, PARAMS)["macro"]
    assert alone.high - alone.low > 3 * (found.high - found.low)  # pairing takes out what subjects have in common


def test_the_sign_of_a_difference_follows_the_order() -> None:
    rng = np.random.default_rng(5)
    one, two = simulated(rng), simulated(rng, recall=0.7)
    there, back = paired_bootstrap(one, two, PARAMS)["macro"], paired_bootstrap(two, one, PARAMS)["macro"]
    assert there.value == -back.value > 0
    assert there.low == pytest.approx(-back.high)


def test_p_is_uniform_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(6)
    p = [
        paired_permutation(simulated(rng, 12), simulated(rng, 12), BootstrapParameters(200, seed=run))["macro"]
        for run in range(200)
    ]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.10
    assert 0.4 <= np.mean(np.array(p) <= 0.5) <= 0.6


def test_p_is_the_share_of_all_exchanges() -> None:
    first = table(("a", "macro", 0, 1, 1), ("b", "macro", 0, 1, 1), ("c", "macro", 0, 1, 1))
    second = table(("a", "macro", 1, 0, 0), ("b", "macro", 1, 0, 0), ("c", "macro", 1, 0, 0))
    found = paired_permutation(first, second, BootstrapParameters(samples=4000))["macro"]
    assert found == pytest.approx(2 / 8, abs=0.03)  # of 8 exchanges, none and all are as far from 0


def test_other_subjects_are_refused() -> None:
    with pytest.raises(InputError, match="differ in their subjects, b"):
        paired_bootstrap(table(("a", "macro", 1, 0, 0)), table(("b", "macro", 1, 0, 0), ("a", "macro", 1, 0, 0)))


def test_every_pair_of_experiments_is_compared_once() -> None:
    counts = pd.concat(simulated(np.random.default_rng(7)).assign(experiment=name, seed=0) for name in ("x", "y", "z"))
    assert list(trust(counts, PARAMS).differences) == [("x", "y"), ("x", "z"), ("y", "z")]


def test_the_spread_over_seeds() -> None:
    one = table(("a", "macro", 1, 0, 0), ("a", "micro", 1, 1, 0)).assign(seed=0)
    two = table(("a", "macro", 1, 0, 2), ("a", "micro", 1, 1, 0)).assign(seed=1)
    found = seed_spread(pd.concat([one, two]))["macro"]
    assert (found.mean, found.low, found.high, found.n_seeds) == (0.75, 0.5, 1.0, 2)
    assert found.sd == pytest.approx(0.5**0.5 / 2)
    assert np.isnan(seed_spread(one)["macro"].sd)


def test_nothing_to_count_is_zero() -> None:
    assert f1_of(np.zeros((2, 9))).tolist() == [[0.0] * 3] * 2
