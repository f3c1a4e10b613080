"""LAC, HR-Pro, TSP-Net and SF-Net in training: going on after a kill, steps of several videos, rates, whose features they get."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pfes.base import store
from pfes.base.errors import InputError
from pfes.decoding.proposals import ClassLimits, SpotParameters
from pfes.methods.ptal.parameters import PtalParameters
from pfes.methods.registry import check_source, learned
from pfes.methods.tsp.parameters import TspParameters
from pfes.training.engine import begin, train
from pfes.training.features import curves_of, extract_features, score_fold
from pfes.training.fold import CachedSource
from pfes.training.model import SpottingModel, load_model, predict
from pfes.training.step import on_device, step
from tests.training_data import MODEL, QUICK, synthetic_video, train_project

SECTIONS = (PtalParameters(learning_rate=1e-2, batch_videos=2), TspParameters(move_every=2))
FIRST = {"hrpro": "hrpro_stage1", "tsp": "lac"}
NAMES = ("lac", "hrpro_stage1", "hrpro", "tsp", "sfnet")
OPEN = ClassLimits(min_frames=1, max_frames=100000, min_score=-9, max_per_video=100000)


def params(method, epochs=4):
    return replace(QUICK, method=method, epochs=epochs, sections=SECTIONS, cached=FIRST.get(method))


def videos():
    return [
        synthetic_video(0, 40, ((12, 0), (30, 1)), "s1"),
        synthetic_video(1, 33, ((0, 1), (32, 0)), "s2"),  # points at both ends
        synthetic_video(2, 30, (), "s3"),
    ]


def material(method):
    """Return the videos that a method is trained on, and the model that it goes on from."""
    if method not in FIRST:
        return videos(), None
    source = train(videos(), MODEL, params(FIRST[method], 2), 0).model
    return [replace(video, snippets=predict(source, video.snippets)[0]) for video in videos()], source


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", NAMES)
def test_a_killed_training_goes_on_as_if_it_had_not_been(method, tmp_path):
    given, source = material(method)
    whole = train(given, MODEL, params(method), 3, source=source)

    def kill(row, _):
        if row["epoch"] == 2:
            raise Killed

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        train(given, MODEL, params(method), 3, kill, source=source, state_path=path)
    resumed = train(given, MODEL, params(method), 3, source=source, state_path=path)
    assert resumed.log["total"].tolist() == whole.log["total"].tolist()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert np.isfinite(whole.log["total"]).all()
    if source is not None:  # the first stage and SpotFormer are as they were
        for name, tensor in source.head.state_dict().items():
            assert torch.equal(tensor, whole.model.head.first.state_dict()[name]), name
    curves = curves_of(whole.model, predict(whole.model, videos()[0].snippets)[0], videos()[0].valid)
    table = whole.model.method.propose(curves, SpotParameters(macro=OPEN, micro=OPEN), 30.0)
    assert (table["onset"] <= table["offset"]).all()
    assert table["offset"].max() < 40


def test_a_step_of_several_videos_follows_their_mean_loss():
    own = params("lac")
    batches = [on_device(video, torch.device("cpu")) for video in videos()]
    torch.manual_seed(0)
    model = SpottingModel(MODEL, "lac").eval()  # without dropout, which draws
    state = begin(model, own, 0)
    features = model.spotformer
    losses = []
    for batch in batches:
        terms, _ = model.method.terms(model.head, features(batch.snippets), batch, 0, own, torch.Generator())
        losses.append(terms["total"])
    model.zero_grad()
    torch.stack(losses).mean().backward()
    expected = [parameter.grad.clone() for parameter in model.head.parameters()]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    found = step(model, features, optimiser, batches, 0, own, torch.Generator())
    for parameter, gradient in zip(model.head.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert [outcome.values[-1].item() for outcome in found] == pytest.approx([loss.item() for loss in losses])
    assert len(state.optimiser.param_groups) == 2


def test_the_rate_of_spotformer_falls_and_that_of_the_head_stays():
    own = replace(params("lac"), learning_rate=1.0, decay=0.5, decay_every=2, weight_decay=0.3)
    state = begin(SpottingModel(MODEL, "lac"), own, 0)
    rates = []
    for _ in range(5):
        rates.append(state.schedule.get_last_lr())
        state.optimiser.step()
        state.schedule.step()
    assert rates == [[1.0, 1e-2], [1.0, 1e-2], [0.5, 1e-2], [0.5, 1e-2], [0.25, 1e-2]]
    assert [group["weight_decay"] for group in state.optimiser.param_groups] == [0.3, 5e-4]


@pytest.mark.parametrize(
    ("method", "source", "message"),
    [
        ("lac", "supervised", "have seen onsets and offsets"),
        ("tsp", "conference", "tsp goes on from lac"),
        ("hrpro", "lac", "hrpro goes on from hrpro_stage1"),
    ],
)
def test_features_that_a_method_must_not_have_are_refused(method, source, message):
    with pytest.raises(InputError, match=message):
        check_source(learned(method), learned(source), "experiment x")


def test_a_second_stage_without_a_first_one_is_refused():
    with pytest.raises(InputError, match="tsp goes on from lac; set training.cached"):
        train(videos(), MODEL, replace(params("tsp"), cached=None), 0)


def test_no_stage_sees_the_held_out_subject(project):
    """Stage 1, stage 2 and the scores of a fold refuse a model that was trained on the subject that they test."""
    folder, paths = project
    train_project(folder, paths, params=params("lac", 1))
    (folder / "model.pt").rename(folder / "lac.pt")
    extract_features(folder / "lac.pt", paths, folder / "features.h5")
    cached = CachedSource(folder / "lac.pt", folder / "features.h5")
    with pytest.raises(InputError, match="trained on subject 's1' and cannot be tested on it"):
        train_project(folder, paths, held_out="s1", params=params("tsp", 1), cached=cached)
    train_project(folder, paths, params=params("tsp", 1), cached=cached)
    meta = load_model(folder / "model.pt")[1]
    assert meta["held_out"] == ["s3"]
    assert not any("s3" in source for source in meta["provenance"]["sources"])
    extract_features(folder / "model.pt", paths, folder / "again.h5", cached_path=folder / "features.h5")
    score_fold(folder / "model.pt", folder / "again.h5", {"s3_a": paths["s3_a"]}, folder / "scores.h5")
    assert store.read(folder / "scores.h5", "scores")["candidates/s3_a"].shape[1] == 6
    with pytest.raises(InputError, match="was trained on this video"):
        score_fold(folder / "model.pt", folder / "again.h5", {"s1_a": paths["s1_a"]}, folder / "scores.h5")
