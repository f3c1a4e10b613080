"""How a video passes the network: whole, in chunks where memory needs them, and as the model has learnt when it is only looked at."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pfes.methods.base import Batch
from pfes.methods.parameters import TrainingParameters
from pfes.network import memory
from pfes.network.parameters import ModelParameters
from pfes.training.model import SpottingModel
from pfes.training.step import features_of, step

FRAMES = 20


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SpottingModel(ModelParameters(width=8, heads=2, dropout=0.0))


@pytest.fixture
def snippets():
    return torch.randn(FRAMES, 17, 10, 2, generator=torch.Generator().manual_seed(0))


def test_a_video_that_takes_too_much_passes_in_chunks_and_is_the_same(model, snippets, monkeypatch):
    passed = []  # through the forward of the network, which the chunks go around
    model.spotformer.register_forward_hook(lambda module, inputs, output: passed.append(len(inputs[0])))
    whole = features_of(model.train(), TrainingParameters())(snippets)
    assert passed == [FRAMES]
    monkeypatch.setattr(memory, "MOST_MB", memory.STEP_MB * 8 * (FRAMES - 1))
    monkeypatch.setattr(memory, "CHUNK_FRAMES", 6)
    found = features_of(model, TrainingParameters())(snippets)
    assert passed == [FRAMES]
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def test_the_limit_is_that_of_the_documentation():
    assert memory.chunks(2857, 256, None, 2000) is None
    assert memory.chunks(2858, 256, None, 2000) == (512, 16_000)
    assert memory.chunks(100, 256, 64, 2000) == (64, 2000)


@pytest.mark.parametrize("chunk", [None, 6])
def test_a_video_that_is_only_looked_at_meets_the_statistics_that_were_learnt(model, snippets, chunk):
    """For validation: neither the statistics of the video, nor does it move those of the model."""
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        found = features_of(model, TrainingParameters(chunk_frames=chunk))(snippets)
        torch.testing.assert_close(found, model.spotformer(snippets), rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_step_goes_down_the_mean_of_its_videos_losses():
    """Loss w x of a video whose x are its snippets: the gradient of the mean is the mean of x."""
    weight = nn.Parameter(torch.zeros(()))
    method = SimpleNamespace(terms=lambda head, features, *rest: ({"total": weight * features.mean()}, None))
    model = SimpleNamespace(method=method, head=None, parameters=lambda: [weight])
    batches = [Batch(name, torch.full((3,), x), *[torch.zeros(0)] * 3) for name, x in (("a", 1.0), ("b", 3.0))]
    outcomes = step(
        model,
        lambda snippets: snippets,
        torch.optim.SGD([weight], lr=1.0),
        batches,
        1,
        TrainingParameters(clip=None),
        None,
    )
    assert weight.item() == pytest.approx(-2.0)
    assert [outcome.name for outcome in outcomes] == ["a", "b"]
