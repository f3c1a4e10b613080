"""The training engine: resuming, precision, chunks, choice of the epoch, cached SpotFormers and kept epochs."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from pfes.base import store
from pfes.base.errors import InputError
from pfes.decoding.proposals import SpotParameters
from pfes.methods.gim.parameters import GimParameters
from pfes.methods.registry import learned
from pfes.methods.supervised.targets import frame_targets
from pfes.spotting.epochs import epoch_proposals
from pfes.training import checkpoint
from pfes.training.engine import validation_score
from pfes.training.features import extract_features, score_fold
from pfes.training.fold import CachedSource, TrainingParameters, train
from pfes.training.model import SpottingModel, load_model, predict
from pfes.training.step import on_device, step
from tests.conftest import ROOT
from tests.training_data import MODEL, QUICK, synthetic_video, train_project

torch.set_num_threads(1)
LONGER = replace(QUICK, epochs=4, mirror=0.5, sections=(GimParameters(hard_epochs=1, gaussian_epochs=1),))


class Killed(Exception):
    """Stands for the end of a job."""


def videos(count=2):
    return [synthetic_video(i, 90, ((30, 0), (65, 1)), f"s{i}") for i in range(count)]


def killed_after(epoch):
    def progress(row, model):
        if row["epoch"] == epoch:
            raise Killed

    return progress


def same_weights(one, other):
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[name], second[name]) for name in second)


# ---------------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_killed_training_goes_on_as_if_it_had_not_been(tmp_path, epoch):
    whole = train(videos(), MODEL, LONGER, 3)
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        train(videos(), MODEL, LONGER, 3, killed_after(epoch), state_path=path)
    seen = []
    resumed = train(videos(), MODEL, LONGER, 3, lambda row, _: seen.append(row), state_path=path)
    assert [row["epoch"] for row in seen] == list(range(epoch + 1, 4))
    assert same_weights(resumed.model, whole.model)
    timing = ["seconds", "memory_mb"]
    pd.testing.assert_frame_equal(resumed.log.drop(columns=timing), whole.log.drop(columns=timing))
    pd.testing.assert_frame_equal(resumed.apexes, whole.apexes)


def test_a_training_killed_by_the_system_goes_on(project):
    """SIGKILL in the middle of a train_fold in a process of its own; what it leaves is enough for the same weights."""
    folder, paths = project
    params = replace(LONGER, epochs=20)
    code = (
        "import json, sys; from pathlib import Path; from dataclasses import replace; import tests.training.test_engine as t;"
        "import tests.training_data as d; folder, paths = json.loads(sys.argv[1]);"
        "d.train_project(Path(folder), paths, params=replace(t.LONGER, epochs=20))"
    )
    told = json.dumps([str(folder), {name: str(path) for name, path in paths.items()}])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    process = subprocess.Popen([sys.executable, "-c", code, told], env=environment)
    deadline = time.time() + 120
    while not (folder / "checkpoint.pt").exists() and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "checkpoint.pt").exists(), "the training was not caught while it ran"
    assert not (folder / "model.pt").exists()
    train_project(folder, paths, params=params)
    resumed = load_model(folder / "model.pt")[0]
    assert not (folder / "checkpoint.pt").exists()  # removed once the model is written
    (folder / "model.pt").unlink()
    train_project(folder, paths, params=params)
    assert same_weights(resumed, load_model(folder / "model.pt")[0])


@pytest.mark.parametrize("change", ["seed", "params", "data", "damage", "executable"])
def test_a_state_of_another_training_is_not_continued(tmp_path, change):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        train(videos(), MODEL, QUICK, 3, killed_after(0), state_path=path)
    own, params, seed, seen = videos(), QUICK, 3, []
    if change == "seed":
        seed = 4
    elif change == "params":
        params = replace(QUICK, learning_rate=2e-3)
    elif change == "data":
        own[0].snippets[5] += 0.1
    elif change == "damage":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        torch.save({"kind": "checkpoint", "state": Killed()}, path)  # weights_only refuses to build it
    train(own, MODEL, params, seed, lambda row, _: seen.append(row), state_path=path)
    assert [row["epoch"] for row in seen] == [0, 1]


def test_a_checkpoint_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save_checkpoint(path, "a", {"epoch": 1})
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        checkpoint.save_checkpoint(path, "a", {"epoch": 2})
    assert checkpoint.load_checkpoint(path, "a") == {"epoch": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]


# ---------------------------------------------------------------------------------------------- precision, chunks


def test_bfloat16_learns_as_float32_does():
    """Loss per epoch within 5 % of its range, and of a range that is there: not the same numbers, the same curve."""
    params = TrainingParameters(
        epochs=8, learning_rate=1e-3, weight_decay=0.0, device="cpu", precision="fp32",
        sections=(GimParameters(gaussian_epochs=2, theta_epochs=6),),
    )  # fmt: skip
    model = replace(MODEL, width=16, head_dropout=0.0, dropout=0.0)
    curves = [train(videos(), model, replace(params, precision=name), 0).log["total"] for name in ("fp32", "bf16")]
    span = np.ptp(curves[0])
    assert span > 0.5
    assert 0 < np.abs(curves[0] - curves[1]).max() < 0.05 * span


def test_a_step_in_chunks_trains_as_a_whole_one():
    model = replace(MODEL, dropout=0.0, head_dropout=0.0)
    plain, chunked = (
        train(videos(), model, replace(QUICK, chunk_frames=chunk), 0).log["total"].to_numpy() for chunk in (None, 32)
    )
    np.testing.assert_allclose(chunked, plain, rtol=1e-3)


@pytest.mark.skipif("PFES_TEST_COMPILE" not in os.environ, reason="compiling takes minutes; set PFES_TEST_COMPILE=1")
def test_a_compiled_step_is_an_eager_one():
    model = replace(MODEL, dropout=0.0, head_dropout=0.0)
    own = [*videos(1), synthetic_video(7, 70, ((30, 0),), "s7")]
    eager, compiled = (train(own, model, replace(QUICK, compile=flag), 0).log["total"] for flag in (False, True))
    np.testing.assert_allclose(compiled, eager, rtol=1e-3)


def test_compiling_without_a_compiler_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match="compile needs a C\\+\\+ compiler .* set compile: false"):
        train(videos(), MODEL, replace(QUICK, compile=True), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compile": True, "chunk_frames": 5}, "compile and chunk_frames exclude each other"),
        ({"cached": "journal", "mirror": 0.5}, "cached features are of videos as they are; set mirror to 0"),
        ({"precision": "fp8"}, "precision 'fp8' is not known"),
    ],
)
def test_parameters_that_do_not_fit_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        replace(QUICK, **changes)


# ---------------------------------------------------------------------------------------------- methods


@pytest.mark.parametrize("method", ["conference", "journal", "as_released"])
def test_every_form_trains_and_logs_the_sum_of_its_terms(method):
    trained = train(videos(), MODEL, replace(QUICK, method=method), 0)
    log = trained.log
    after = ["total", "theta", "learning_rate", "seconds", "memory_mb"]
    assert list(log.columns[-5:]) == after
    np.testing.assert_allclose(log["total"], log.drop(columns=["epoch", *after]).sum(axis=1), atol=1e-5)
    assert trained.model.method.name == method
    assert list(trained.apexes["epoch"].unique()) == [0, 1]
    assert trained.apexes["point"].tolist() == [30, 65] * 4
    first = trained.apexes[trained.apexes["epoch"] == 0]
    assert (first["apex"] == first["point"]).all()  # stage 1


def test_the_supervised_method_trains_on_targets_and_no_other_takes_them():
    intervals, classes = np.array([[20, 30, 45]]), np.array([0])
    own = [replace(video, targets=frame_targets(90, intervals, classes)) for video in videos()]
    trained = train(own, MODEL, replace(QUICK, method="supervised", decay_every=1, decay=0.96), 0)
    assert {"macro_apex", "micro_start_end", "contrast", "total"} <= set(trained.log.columns)
    assert trained.log["learning_rate"].tolist() == pytest.approx([1e-3, 0.96e-3])
    assert len(trained.apexes) == 0
    with pytest.raises(InputError, match="the method journal must not see onsets and offsets"):
        train(own, MODEL, QUICK, 0)


@pytest.mark.parametrize(("method", "given"), [("journal", True), ("supervised", False)])
def test_only_a_method_of_intervals_gets_the_table_of_expressions(project, method, given):
    folder, paths = project
    expressions = folder / "expressions.parquet" if given else None
    message = "must not see" if given else "needs"
    with pytest.raises(InputError, match=f"{method} {message} the table of expressions"):
        train_project(folder, paths, params=replace(QUICK, method=method), expressions=expressions)


# ---------------------------------------------------------------------------------------------- choice of the epoch


def test_the_validation_score_is_the_height_of_the_points_above_the_rest():
    """
    frame      0 .. 89; macro point 45, k_c 32: window 37 .. 53, background 0 .. 28 and 62 .. 89
    intensity  .2 everywhere, .7 at 50; the score is .7 - .2
    """

    class Head(torch.nn.Module):
        def clean(self, features):
            return None, torch.where(torch.arange(90) == 50, 0.7, 0.2), None

    model = torch.nn.Module()
    model.head = Head()
    batch = on_device(synthetic_video(0), torch.device("cpu"))
    assert validation_score(model, lambda x: x, [batch], (32, 16)) == pytest.approx(0.5)
    assert model.training


def test_the_best_epoch_on_the_validation_subjects_is_kept(project):
    folder, paths = project
    params = replace(QUICK, epochs=4, learning_rate=0.02, keep_every=1, epoch_choice="validation")
    train_project(folder, paths, params=params, validation=["s2"])
    log = store.read_table(folder / "log.parquet", "log")
    best = int(log["validation"].argmax())
    model, meta = load_model(folder / "model.pt", for_subject=["s2", "s3"])
    kept = [load_model(folder / f"epochs/{epoch:04d}.pt")[0] for epoch in range(4)]
    assert [same_weights(model, other) for other in kept] == [epoch == best for epoch in range(4)]
    assert meta["train_subjects"] == ["s1"]


def test_training_ends_early_without_progress_on_the_validation_subjects():
    params = replace(QUICK, epochs=30, learning_rate=0.0, early_stop=2)
    trained = train(videos(1), MODEL, params, 0, validation=[synthetic_video(9, subject="s9")])
    best = int(trained.log["validation"].argmax())
    assert len(trained.log) == best + 3 < 30


@pytest.mark.parametrize("changes", [{"epoch_choice": "validation"}, {"early_stop": 3}])
def test_a_choice_by_validation_needs_validation_subjects(changes):
    with pytest.raises(InputError, match="need validation subjects .* set folds.validation_subjects"):
        train(videos(), MODEL, replace(QUICK, **changes), 0)


def write_faces(folder, names):
    faces = {name: folder / "faces" / f"{name}.h5" for name in names}
    for path in faces.values():
        arrays = {"native_frame": np.arange(90), "found": np.ones(90, np.uint8)}
        store.write(path, "faces", arrays, {}, fps=30.0)
    return faces


def test_every_kept_epoch_is_spotted_with_as_the_last_one_is(project):
    folder, paths = project
    train_project(folder, paths, params=replace(QUICK, epochs=5, keep_every=2))
    assert sorted(path.name for path in (folder / "epochs").iterdir()) == ["0001.pt", "0003.pt"]
    own = {name: path for name, path in paths.items() if name.startswith("s3")}
    spotting = SpotParameters(
        thresholds=(0.01,), class_threshold=0.0, macro=replace(SpotParameters().macro, min_score=-1)
    )
    faces, out = write_faces(folder, own), folder / "epoch_proposals.parquet"
    epoch_proposals(folder / "epochs", own, folder / "videos.parquet", faces, out, spotting, learned("journal"))
    found = store.read_table(out, "epoch_proposals")
    assert set(found["epoch"]) == {1, 3}
    assert set(found["subject"]) == {"s3"}
    assert store.describe(out)["provenance"]["parameters"]["epochs"] == [1, 3]
    with pytest.raises(InputError, match="trained on this video"):
        epoch_proposals(folder / "epochs", paths, folder / "videos.parquet", faces, out, spotting, learned("journal"))
    with pytest.raises(InputError, match="no kept epoch; set training.keep_every"):
        epoch_proposals(folder / "none", own, folder / "videos.parquet", faces, out, spotting, learned("journal"))


# ---------------------------------------------------------------------------------------------- cached


@pytest.fixture
def source(project):
    """A project with a trained model of the fold of s3, and its features."""
    folder, paths = project
    train_project(folder, paths)
    (folder / "model.pt").rename(folder / "source.pt")
    extract_features(folder / "source.pt", paths, folder / "features.h5")
    return folder, paths, CachedSource(folder / "source.pt", folder / "features.h5")


CACHED = replace(QUICK, cached="journal", learning_rate=0.01)


def test_a_cached_training_moves_the_head_alone_and_its_model_is_whole(source):
    folder, paths, cached = source
    train_project(folder, paths, params=CACHED, cached=cached)
    before, after = load_model(folder / "source.pt")[0], load_model(folder / "model.pt", for_subject="s3")[0]
    assert same_weights(after.spotformer, before.spotformer)
    assert not same_weights(after.head, before.head)
    log = store.read_table(folder / "log.parquet", "log")
    assert log["total"].iloc[-1] < log["total"].iloc[0]
    extract_features(folder / "model.pt", paths, folder / "again.h5", cached_path=cached.features)
    score_fold(folder / "model.pt", folder / "again.h5", {"s3_a": paths["s3_a"]}, folder / "scores.h5")
    expected = predict(after, store.read(paths["s3_a"], "snippets")["snippets"])[1]
    np.testing.assert_allclose(store.read(folder / "scores.h5", "scores")["intensity/s3_a"], expected, atol=1e-5)


def test_features_of_another_fold_are_refused(source):
    folder, paths, cached = source
    with pytest.raises(
        InputError, match="trained on subject 's1' and cannot be tested on it; it was made for subject 's3'"
    ):
        train_project(folder, paths, held_out="s1", params=CACHED, cached=cached)


def test_features_of_another_model_are_refused_for_a_cached_training(source):
    folder, paths, cached = source
    train_project(folder, paths, params=replace(QUICK, learning_rate=2e-3))
    with pytest.raises(InputError, match="features of another model"):
        train_project(folder, paths, params=CACHED, cached=replace(cached, model=folder / "model.pt"))


def test_a_cached_training_of_another_size_or_without_a_source_is_refused(source):
    folder, paths, cached = source
    with pytest.raises(InputError, match="no model and features were given"):
        train_project(folder, paths, params=CACHED)
    with pytest.raises(InputError, match="only head_dropout may differ"):
        train_project(folder, paths, params=CACHED, cached=cached, model=replace(MODEL, width=16))


def test_features_taken_over_are_those_that_were_trained_on(source):
    folder, paths, cached = source
    with pytest.raises(InputError, match="was not trained on the features"):
        extract_features(folder / "source.pt", paths, folder / "again.h5", cached_path=cached.features)


def test_tensorboard_without_its_package_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="tensorboard is true, but the package is not installed; pip install"):
        train(videos(), MODEL, replace(QUICK, tensorboard=True), 0, state_path=tmp_path / "checkpoint.pt")


def test_a_step_says_what_it_found_without_reading_it():
    """Names and terms come as tensors: an epoch reads them once."""
    params = replace(QUICK, method="journal")
    model = SpottingModel(MODEL).train()
    optimiser = torch.optim.Adam(model.parameters())
    batch, generator = on_device(videos(1)[0], torch.device("cpu")), torch.Generator()
    (found,) = step(model, model.spotformer, optimiser, [batch], 3, params, generator)
    assert found.names[-1] == "total"
    assert found.values.shape == (len(found.names),)
    assert not found.values.requires_grad
