"""The release's padding: every video as long as the longest, for as_released alone and only where it is asked for."""

import pytest
import torch

from pfes.methods.gim.parameters import LossParameters, ReleasedParameters
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import learned
from pfes.network.parameters import ModelParameters
from pfes.training.model import SpottingModel
from pfes.training.step import features_of, on_device
from tests.training_data import synthetic_video

torch.set_num_threads(1)
VIDEOS = [synthetic_video(0, 90, ((30, 0), (65, 1))), synthetic_video(1, 60, ((20, 0),), name="b")]
PADDED = TrainingParameters(sections=(ReleasedParameters(pad_to_longest=True),))


def steps(method, params):
    held = [on_device(video, torch.device("cpu")) for video in VIDEOS]
    found = learned(method).batches(VIDEOS, held, params, torch.Generator().manual_seed(0))
    return {batch.name: batch for batch in found}


def test_padding_is_zeros_after_the_video_and_valid_ends_with_it():
    found = steps("as_released", PADDED)
    for video in VIDEOS:
        batch = found[video.video_id]
        length = len(video.snippets)
        assert batch.snippets.shape == (90, 17, 10, 2)
        assert torch.equal(batch.snippets[:length], torch.as_tensor(video.snippets))
        assert not batch.snippets[length:].any()
        assert len(batch.valid) == length


@pytest.mark.parametrize(
    ("method", "params"), [("as_released", TrainingParameters()), ("journal", PADDED), ("conference", PADDED)]
)
def test_nothing_else_is_padded(method, params):
    assert sorted(len(batch.snippets) for batch in steps(method, params).values()) == [60, 90]


def test_padding_passes_batch_norm_and_counts_in_the_norm():
    """The features of a video's own frames change with it; its mean intensity is over 90 frames, not 60."""
    torch.manual_seed(0)
    model = SpottingModel(ModelParameters(width=8, heads=2, dropout=0.0, head_dropout=0.0), "as_released").train()
    features_from = features_of(model, PADDED)
    short = VIDEOS[1].video_id
    with torch.no_grad():
        features = {
            name: features_from(steps("as_released", params)[short].snippets)
            for name, params in (("padded", PADDED), ("plain", TrainingParameters()))
        }
    assert features["padded"].shape[0] == 90
    assert not torch.allclose(features["padded"][:60], features["plain"], atol=1e-3)
    batch = steps("as_released", PADDED)[short]
    terms, _ = model.method.terms(model.head, features["padded"], batch, 9, PADDED, torch.Generator())
    expected = LossParameters().norm * model.head(features["padded"])[1].mean()
    torch.testing.assert_close(terms["norm"], expected)


def test_precision_is_single_unless_asked_otherwise():
    assert TrainingParameters().precision == "fp32"
