"""Losses against loops written from their definition, metrics against scipy."""

import numpy as np
import pytest
import torch
from scipy import stats

from pfes.intensity.losses import intensity_loss, ranking_loss, smooth_loss, square_loss
from pfes.intensity.metrics import bootstrap_mean, clip_metrics
from pfes.intensity.parameters import IntensityLossParameters


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    predicted = torch.rand(4, 7, generator=generator, dtype=torch.float64)
    target = torch.rand(4, 7, generator=generator, dtype=torch.float64)
    return predicted, target, torch.tensor([2, -1, 0, 6])


def test_square_loss(batch):
    predicted, target, _ = batch
    expected = np.mean([(predicted[b, t] - target[b, t]) ** 2 for b in range(4) for t in range(7)])
    assert square_loss(predicted, target).item() == pytest.approx(expected)


def test_smooth_loss(batch):
    predicted = batch[0]
    expected = np.mean([(predicted[b, t + 1] - predicted[b, t]) ** 2 for b in range(4) for t in range(6)])
    assert smooth_loss(predicted).item() == pytest.approx(expected)
    assert smooth_loss(predicted[:, :1]).item() == 0


def test_ranking_loss(batch):
    predicted, target, apex = batch
    terms = []
    for b in range(4):
        for t in range(7):
            if apex[b] >= 0 and t != apex[b]:
                wanted = 0.5 * (1 - target[b, t].item())
                terms.append(max(0.0, wanted - (predicted[b, apex[b]].item() - predicted[b, t].item())))
    assert any(term > 0 for term in terms) and any(term == 0 for term in terms)
    assert ranking_loss(predicted, target, apex, 0.5).item() == pytest.approx(np.mean(terms))


def test_ranking_costs_nothing_without_an_apex_or_for_a_perfect_curve(batch):
    predicted, target, _ = batch
    assert ranking_loss(predicted, target, torch.full((4,), -1), 0.5).item() == 0
    perfect = torch.tensor([[0, 0.5, 1, 0.5, 0]])
    assert ranking_loss(perfect, perfect, torch.tensor([2]), 1.0).item() == 0


def test_total_is_the_weighted_sum_and_its_gradient_is_right(batch):
    predicted, target, apex = batch
    params = IntensityLossParameters(smooth=0.3, ranking=0.7, margin=0.5)
    terms = intensity_loss(predicted, target, apex, params)
    parts = (
        square_loss(predicted, target) + 0.3 * smooth_loss(predicted) + 0.7 * ranking_loss(predicted, target, apex, 0.5)
    )
    assert terms["total"].item() == pytest.approx(parts.item())
    assert terms["total"].item() == pytest.approx(sum(terms[name].item() for name in ("square", "smooth", "ranking")))
    assert torch.autograd.gradcheck(
        lambda p: intensity_loss(p, target, apex, params)["total"], predicted.requires_grad_()
    )


def kendall_by_pairs(x, y):
    """Tau-b: concordant less discordant pairs over the geometric mean of the untied pairs of each."""
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(len(x)) for j in range(i)]
    balance = sum(a * b for a, b in signs)
    return balance / np.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))


@pytest.mark.parametrize("ties", [False, True])
def test_metrics_are_those_of_the_definitions(ties):
    rng = np.random.default_rng(1)
    for _ in range(20):
        x, y = rng.random(16), rng.random(16)
        if ties:
            x, y = np.round(3 * x), np.round(3 * y)
        found = clip_metrics(x, y)
        ranks = [stats.rankdata(values) for values in (x, y)]
        assert found["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
        assert found["kendall"] == pytest.approx(kendall_by_pairs(x, y))
        assert found["mae"] == pytest.approx(sum(abs(a - b) for a, b in zip(x, y, strict=True)) / 16)


def test_a_perfect_and_a_reversed_curve():
    curve = np.array([0, 0.2, 0.9, 1, 0.4])
    assert clip_metrics(curve, curve) == pytest.approx({"spearman": 1, "kendall": 1, "mae": 0, "constant": 0})
    assert clip_metrics(-curve, curve)["kendall"] == pytest.approx(-1)


def test_a_constant_prediction_counts_as_no_order():
    assert clip_metrics(np.full(5, 0.5), np.arange(5) / 4) == {
        "spearman": 0, "kendall": 0, "mae": pytest.approx(0.3), "constant": 1,
    }  # fmt: skip


def test_a_constant_reference_has_no_order():
    found = clip_metrics(np.arange(5) / 4, np.zeros(5))
    assert np.isnan(found["spearman"]) and np.isnan(found["kendall"]) and found["mae"] == 0.5


def test_two_steps():
    assert clip_metrics(np.array([0.1, 0.2]), np.array([0, 1]))["spearman"] == pytest.approx(1)


@pytest.mark.parametrize(
    "bad", [(np.zeros(3), np.zeros(4)), (np.zeros(0), np.zeros(0)), (np.array([np.nan, 1]), np.zeros(2))]
)
def test_curves_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(ValueError, match="clip_metrics"):
        clip_metrics(*bad)


def test_the_interval_resamples_subjects_not_clips():
    values = np.repeat([0.0, 1.0], 500)  # two subjects: their mean is as uncertain as two draws
    assert bootstrap_mean(values, np.repeat(["a", "b"], 500)) == (0.0, 1.0)
    low, high = bootstrap_mean(values, np.arange(1000))
    assert 0.46 < low < 0.5 < high < 0.54
    assert np.isnan(bootstrap_mean(np.array([np.nan]), np.array(["a"]))).all()
