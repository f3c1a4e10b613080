"""The model in the box, its card, and trainings that begin from it; pretraining on made motion."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pfes.base import store
from pfes.base.config import build, experiment_changes
from pfes.base.errors import InputError
from pfes.base.provenance import modules_used
from pfes.drawing.comparison_figures import apex_distance_figure
from pfes.drawing.experiment_data import apex_distances, label_curves
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import spot_parameters
from pfes.network.parameters import ModelParameters
from pfes.spotting.proposal_tables import proposed
from pfes.synthetic.recordings import draw_recordings
from pfes.training import box
from pfes.training.fold import train
from pfes.training.model import SpottingModel, load_model, predict
from pfes.training.pretrain import PretrainParameters, loss_of, pretrain, rate
from tests.conftest import ROOT
from tests.training_data import MODEL, QUICK, synthetic_video, train_project

torch.set_num_threads(1)
SMALL = ModelParameters(width=32, heads=2, head_dropout=0.2)
TINY = PretrainParameters(steps=4, recordings=3, frames=8, seconds=4.0, keep_every=2)


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_card_is_of_the_model_beside_it_and_says_what_it_is():
    said = box.card()
    assert said["sha256"] == hashlib.sha256(box.MODEL.read_bytes()).hexdigest()
    assert said["model"] == json.loads(json.dumps(box_parameters()))
    assert said["command"].startswith("pfes pretrain") and said["seed"] == 0 and said["persons_data"].startswith("none")
    assert "no validated model of people" in said["what"] and len(said["measured_on"]) > 1
    assert box.MODEL.stat().st_size < 400_000


def box_parameters():
    from dataclasses import asdict

    return asdict(load_model(box.MODEL)[0].params)


def test_the_model_in_the_box_has_seen_nobody_and_finds_a_smile_it_was_never_shown():
    model, meta = load_model(box.MODEL, for_subject="anyone")
    assert meta["train_subjects"] == meta["train_videos"] == [] and meta["spotting"]["spot"] == box.SPOT
    video = synthetic_video(0, 200, ((90, 0),))
    _, intensity, scores = predict(model, video.snippets)
    inside = np.abs(np.arange(200) - 90) <= 14
    assert intensity[inside].mean() > 0.5 > 0.15 > intensity[np.abs(np.arange(200) - 90) > 30].max()
    curves = {"intensity": intensity, "class_scores": scores, "valid": video.valid, "moved": video.snippets[:, -1]}
    found = proposed(model.method, curves, spot_parameters(box.SPOT), 30.0)
    assert len(found) == 1 and found["class"][0] == "macro" and abs(found["onset"][0] - 75) < 6


def test_the_experiment_decodes_as_the_model_says_itself():
    assert yaml.safe_load((ROOT / "config/experiments/box.yaml").read_text())["spot"] == box.SPOT
    changes = experiment_changes(ROOT / "config/experiments", "box", ROOT / "workflow/schemas")
    box.check_size(build(ModelParameters, changes["model"]), "experiment box")


def test_a_new_model_in_the_box_reruns_what_begins_from_it():
    assert "box.json" in modules_used("pfes.training.fold")


# ---------------------------------------------------------------------------------------- trainings from there


def from_box(**changes):
    return replace(QUICK, start="box", **changes)


def trained(params, model=SMALL):
    return train([synthetic_video(1)], model, params, 3, source=box.start_model(params.start, model)).model


def test_no_epoch_keeps_the_weights_of_the_box():
    assert same(trained(from_box(epochs=0)).state_dict(), load_model(box.MODEL)[0].state_dict())


def test_a_fold_without_an_epoch_has_the_box_as_its_model_and_an_empty_log(project):
    folder, paths = project
    train_project(folder, paths, params=from_box(epochs=0), model=SMALL)
    model, meta = load_model(folder / "model.pt", for_subject="s3")
    assert same(model.state_dict(), load_model(box.MODEL)[0].state_dict()) and meta["training"]["start"] == "box"
    assert len(store.read_table(folder / "log.parquet", "log")) == 0
    truth = pd.DataFrame(
        {"video_id": ["s1_a"], "instance": [0], "class": "macro", "onset": 20, "apex": 30, "offset": 45}
    )
    distances = apex_distances({"box": [folder / "apexes.parquet"]}, {"box": [folder / "points.parquet"]}, truth)
    assert distances.empty and apex_distance_figure(distances).axes
    points = store.read_table(folder / "points.parquet", "points")
    curves = label_curves(folder / "model.pt", {"s1_a": paths["s1_a"]}, points, truth, {})
    assert len(curves) > 0


def test_heads_alone_leave_spotformer_as_it_is_and_all_layers_do_not():
    begun = load_model(box.MODEL)[0]
    heads, everything = (trained(from_box(start_layers=layers)) for layers in ("heads", "all"))
    assert same(heads.spotformer.state_dict(), begun.spotformer.state_dict())
    assert not same(heads.head.state_dict(), begun.head.state_dict())
    assert not same(everything.spotformer.state_dict(), begun.spotformer.state_dict())


def test_the_same_seed_learns_the_same_from_there():
    assert same(trained(from_box()).state_dict(), trained(from_box()).state_dict())


def test_a_head_of_another_kind_begins_anew(caplog):
    start, model = load_model(box.MODEL)[0], SpottingModel(SMALL, "supervised")
    own = {name: value.clone() for name, value in model.head.state_dict().items()}
    box.take_weights(model, start)
    assert same(model.head.state_dict(), own) and "head of its own" in caplog.text
    assert same(model.spotformer.state_dict(), start.spotformer.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "there"}, "start 'there' is not known; expected one of random, box"),
        ({"start_layers": "heads"}, "keep weights that are random; set start to box"),
        ({"epochs": 0}, "keep weights that are random; set start to box"),
        ({"start": "box", "cached": "journal"}, "set start to random, or cached to null"),
        ({"start": "box", "epochs": 0, "epoch_choice": "validation"}, "with epochs 0 there is none to choose"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        TrainingParameters(**changes)


def test_a_network_of_another_size_is_refused_with_the_size_that_fits():
    with pytest.raises(
        InputError, match=r"x: model.width 8, but .* has model.width 32; set these, or training.start: random"
    ):
        box.check_size(MODEL, "x")
    with pytest.raises(InputError, match="start is box, but no model to begin from was given"):
        train([synthetic_video(1)], SMALL, from_box(), 3)


# ---------------------------------------------------------------------------------------- pretraining


def test_pretraining_is_the_same_for_a_seed_and_goes_on_where_it_was(tmp_path):
    whole = pretrain(MODEL, TINY, 5)

    class Killed(Exception):
        pass

    def stop(step, loss):
        if step == 4:
            raise Killed

    with pytest.raises(Killed):
        pretrain(MODEL, TINY, 5, state_path=tmp_path / "state.pt", progress=stop)
    resumed = pretrain(MODEL, TINY, 5, state_path=tmp_path / "state.pt")
    assert same(whole.model.state_dict(), resumed.model.state_dict()) and whole.losses == resumed.losses
    assert not same(whole.model.state_dict(), pretrain(MODEL, TINY, 6).model.state_dict())


def test_the_learning_rate_rises_and_falls():
    rates = [rate(step, 100) for step in range(100)]
    assert np.argmax(rates) in (4, 5) and rates[0] == pytest.approx(0.2) and rates[-1] < 0.001


def test_frames_that_teach_nothing_have_no_part_in_the_loss():
    made = draw_recordings(np.random.default_rng(2), 20, 8.0, frames=10)
    model = SpottingModel(ModelParameters(width=8, heads=2, head_dropout=0.0)).eval()
    left_out = np.argwhere(~made.counts)
    assert 0 < len(left_out) < made.counts.size
    whole = float(loss_of(model, made).detach())
    for frames, changes in ((left_out, False), (np.argwhere(made.counts)[:5], True)):
        inside = made.inside.copy()
        inside[tuple(frames.T)] ^= True
        assert (float(loss_of(model, replace(made, inside=inside)).detach()) != whole) is changes
