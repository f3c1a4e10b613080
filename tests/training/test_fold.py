import json
import pickle
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from pfes.base import store
from pfes.base.errors import InputError
from pfes.methods.gim.parameters import GimParameters, LossParameters
from pfes.network.heads import PfesHead
from pfes.network.parameters import ModelParameters
from pfes.training.features import extract_features, score_fold
from pfes.training.fold import TrainingParameters, mirrored, train
from pfes.training.model import SpottingModel, load_model, predict, save_model
from tests.training_data import MODEL, QUICK, synthetic_video, train_project

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other

# ---------------------------------------------------------------------------------------------- learning


def test_training_separates_expression_from_neutral_and_macro_from_micro():
    videos = [synthetic_video(i, 120, ((30 + 3 * i, 0), (90 - 2 * i, 1)), name=str(i)) for i in range(3)]
    gim, loss = GimParameters(gaussian_epochs=3, theta_epochs=8), LossParameters(norm=0.3)
    params = TrainingParameters(epochs=20, learning_rate=5e-3, weight_decay=0.0, device="cpu", sections=(gim, loss))
    model, log, _ = train(videos, replace(MODEL, width=16, head_dropout=0.1), params, seed=0)
    assert log["total"].iloc[-1] < log["total"].iloc[0] - 0.3
    unseen = synthetic_video(99, 120, ((40, 0), (85, 1)))
    _, intensity, class_scores = predict(model, unseen.snippets)
    neutral = np.r_[0:20, 62:74, 100:120]
    for apex in (40, 85):
        assert intensity[apex - 2 : apex + 3].mean() > intensity[neutral].mean() + 0.3
    macro_lead = class_scores[:, 0] - class_scores[:, 1]
    assert macro_lead[40] > macro_lead[85] + 0.05


def test_the_same_seed_gives_the_same_weights_at_one_and_two_threads():
    videos = [synthetic_video(i) for i in range(2)]
    states = []
    for threads, seed in ((1, 3), (2, 3), (1, 4)):
        torch.set_num_threads(threads)
        torch.manual_seed(threads)  # the caller's random state must not matter
        states.append(train(videos, MODEL, QUICK, seed)[0].state_dict())
        assert torch.get_num_threads() == threads  # and is left as it was
    torch.set_num_threads(1)
    one, two, other = states
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_log_names_every_term_theta_and_the_learning_rate():
    rows = []
    params = replace(
        QUICK, epochs=3, decay_every=2, sections=(GimParameters(hard_epochs=1, gaussian_epochs=0, theta_epochs=3),)
    )
    _, log, _ = train([synthetic_video(0)], MODEL, params, 0, lambda row, _: rows.append(row))
    terms = ["macro", "micro", "neutral", "reward", "apex", "smooth", "norm", "contrast"]
    assert list(log.columns) == ["epoch", *terms, "total", "theta", "learning_rate", "seconds", "memory_mb"]
    assert log["total"].to_numpy() == pytest.approx(log[terms].sum(axis=1).to_numpy(), abs=1e-5)
    assert log["theta"].tolist() == pytest.approx([0.8, 0.8, 0.5])
    assert log["learning_rate"].tolist() == pytest.approx([1e-3, 1e-3, 5e-4])
    assert [row["epoch"] for row in rows] == [0, 1, 2]


def test_a_mirrored_smile_pulls_the_other_corner_the_other_way():
    x = torch.zeros(1, 17, 10, 2)
    x[..., 6, :] = torch.tensor([-3.0, -1.0])  # left mouth corner, out and up
    x[..., 2, :] = torch.tensor([0.5, 2.0])  # outer left brow
    expected = torch.zeros(1, 17, 10, 2)
    expected[..., 7, :] = torch.tensor([3.0, -1.0])
    expected[..., 5, :] = torch.tensor([-0.5, 2.0])
    assert torch.equal(mirrored(x), expected)
    assert torch.equal(mirrored(mirrored(x)), x)


def test_mirroring_is_seeded_and_off_by_default():
    videos = [synthetic_video(i) for i in range(2)]
    plain, always, again = (
        train(videos, MODEL, replace(QUICK, mirror=share), 0)[0].head.hidden.weight for share in (0.0, 1.0, 1.0)
    )
    assert torch.equal(always, again)
    assert not torch.equal(plain, always)


def test_a_video_without_a_valid_frame_costs_nothing():
    video = replace(synthetic_video(0), valid=np.zeros(90, bool))
    _, log, _ = train([video], MODEL, replace(QUICK, epochs=1), 0)
    assert log.drop(columns=["epoch", "theta", "learning_rate", "seconds", "memory_mb"]).eq(0).all(axis=None)


def test_a_non_finite_loss_stops_with_video_epoch_and_terms():
    bad = synthetic_video(0, name="broken")
    bad.snippets[10] = np.nan
    with pytest.raises(InputError, match=r"s1_broken: loss is not finite in epoch 0 \(macro nan, .*norm nan"):
        train([bad], MODEL, QUICK, 0)


def test_what_cannot_be_trained_on_is_named():
    with pytest.raises(InputError, match="no usable video"):
        train([], MODEL, QUICK, 0)
    with pytest.raises(InputError, match="none of the 1 training videos has a point"):
        train([synthetic_video(0, apexes=())], MODEL, QUICK, 0)
    with pytest.raises(InputError, match="s1_a: point at frame 90 of 90"):
        train([replace(synthetic_video(0), point_frames=np.array([90]))], MODEL, QUICK, 0)


# ---------------------------------------------------------------------------------------------- prediction and files


def test_chunked_prediction_equals_the_whole():
    model, video = SpottingModel(MODEL), synthetic_video(1)
    whole, parts = predict(model, video.snippets, chunk=1000), predict(model, video.snippets, chunk=7)
    assert [part.shape for part in parts] == [(90, 8), (90,), (90, 2)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert not model.training
    assert [part.shape for part in predict(model, video.snippets[:0])] == [(0, 8), (0,), (0, 2)]


def test_a_model_comes_back_as_it_was_saved(tmp_path):
    model, *_ = train([synthetic_video(0)], replace(MODEL, padding=(0, 0, 1, 1)), QUICK, 0)
    meta = {
        "model": vars(model.params),
        "held_out": ["s9"],
        "train_subjects": ["s1"],
        "spotting": {"a": {"b": [1, 2.5, None]}},
    }
    save_model(tmp_path / "model.pt", model, meta)
    again, found = load_model(tmp_path / "model.pt", for_subject="s9")
    assert again.params == model.params
    assert found["spotting"] == meta["spotting"]
    assert not again.training
    for one, other in zip(
        predict(model, synthetic_video(5).snippets), predict(again, synthetic_video(5).snippets), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    save_model(tmp_path / "another_name.pt", again, found)
    assert (tmp_path / "another_name.pt").read_bytes() == (tmp_path / "model.pt").read_bytes()


def test_a_model_is_refused_for_a_subject_that_it_was_trained_on(tmp_path):
    save_model(
        tmp_path / "model.pt", SpottingModel(MODEL), {"model": vars(MODEL), "held_out": "s9", "train_subjects": ["s1"]}
    )
    with pytest.raises(InputError, match="trained on subject 's1'.*made for subject 's9'"):
        load_model(tmp_path / "model.pt", for_subject="s1")


class Trap:
    """Raises the moment it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the pickle was executed')",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", ["pickle", "torch", "text", "zip", "empty", "dict", "missing"])
def test_what_is_no_model_is_refused_without_executing_it(tmp_path, content):
    path = tmp_path / "model.pt"
    if content == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    elif content == "torch":
        torch.save({"kind": "model", "format": 1, "state": Trap()}, path)
    elif content == "text":
        path.write_text("not a model")
    elif content == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/b", "c")
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "dict":
        torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="no such file" if content == "missing" else "not a pfes model"):
        load_model(path)


# ---------------------------------------------------------------------------------------------- folds


def test_a_fold_opens_no_file_of_its_held_out_subject(project, monkeypatch):
    folder, paths = project
    opened = []
    original = h5py.File
    monkeypatch.setattr(
        h5py, "File", lambda path, *rest, **options: opened.append(str(path)) or original(path, *rest, **options)
    )
    for video_id in ("s3_a", "s3_b"):
        paths[video_id].unlink()  # not even there
    train_project(folder, paths)
    assert {path.rsplit("/", 1)[1] for path in opened} == {"s1_a.h5", "s1_b.h5", "s2_a.h5", "s2_b.h5"}
    _, meta = load_model(folder / "model.pt", for_subject="s3")
    assert meta["held_out"] == ["s3"]
    assert meta["train_subjects"] == ["s1", "s2"]
    assert meta["train_videos"] == ["s1_a", "s1_b", "s2_a", "s2_b"]
    assert meta["spotting"] == {"proposals": {"thresholds": [0.2, 0.8]}}
    sources = {source.rsplit("/", 1)[-1] for source in meta["provenance"]["sources"]}
    assert sources == {"points.parquet", "videos.parquet", "s1_a.h5", "s1_b.h5", "s2_a.h5", "s2_b.h5"}
    assert len(store.read_table(folder / "log.parquet", "log")) == QUICK.epochs
    with pytest.raises(InputError, match="trained on subject 's1'"):
        load_model(folder / "model.pt", for_subject="s1")


def test_a_fold_may_hold_out_several_subjects(project):
    folder, paths = project
    train_project(folder, paths, held_out=["s3", "s1"])
    _, meta = load_model(folder / "model.pt", for_subject=["s1", "s3"])
    assert (meta["held_out"], meta["train_subjects"]) == (["s1", "s3"], ["s2"])
    with pytest.raises(InputError, match="trained on subject 's2'.*made for subject 's1', 's3'"):
        load_model(folder / "model.pt", for_subject=["s1", "s2"])
    extract_features(folder / "model.pt", paths, folder / "features.h5")
    own = {video_id: path for video_id, path in paths.items() if not video_id.startswith("s2")}
    score_fold(folder / "model.pt", folder / "features.h5", own, folder / "scores.h5")
    assert {name.split("/")[1] for name in store.read(folder / "scores.h5", "scores")} == set(own)


def test_validation_subjects_are_not_trained_on(project):
    folder, paths = project
    for video_id in ("s2_a", "s2_b"):
        paths[video_id].unlink()
    train_project(folder, paths, validation=["s2"])
    _, meta = load_model(folder / "model.pt", for_subject="s2")
    assert (meta["held_out"], meta["validation_subjects"], meta["train_subjects"]) == (["s3"], ["s2"], ["s1"])


def test_what_the_held_out_subject_did_changes_no_weight(project):
    folder, paths = project
    train_project(folder, paths)
    before = (folder / "model.pt").read_bytes()
    points = store.read_table(folder / "points.parquet", "points")
    points.loc[points["subject"] == "s3", "frame"] = 1
    video = synthetic_video(77, 50, (), "s3", "a")
    store.write(paths["s3_a"], "snippets", {"snippets": video.snippets, "valid": video.valid}, {})
    moved = folder / "moved"
    store.write_table(moved / "points.parquet", "points", points, {})
    store.write_table(moved / "videos.parquet", "videos", store.read_table(folder / "videos.parquet", "videos"), {})
    train_project(moved, paths)
    one, other = load_model(folder / "model.pt")[0].state_dict(), load_model(moved / "model.pt")[0].state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    train_project(folder, paths)
    assert (folder / "model.pt").read_bytes() == before  # and the same work gives the same file


def test_refused_videos_are_skipped_and_nothing_left_is_an_error(project):
    folder, paths = project
    store.refuse(paths["s1_b"], "snippets", "no face", {})
    train_project(folder, paths)
    assert load_model(folder / "model.pt")[1]["train_videos"] == ["s1_a", "s2_a", "s2_b"]
    for video_id in ("s1_a", "s2_a", "s2_b"):
        store.refuse(paths[video_id], "snippets", "no face", {})
    with pytest.raises(InputError, match="no usable video of any training subject"):
        train_project(folder, paths)


def test_an_invalid_frame_may_hold_anything_a_valid_one_must_be_finite(project):
    folder, paths = project
    video = synthetic_video(0, 90, ((30, 0),))
    video.snippets[5] = np.nan
    video.valid[5] = False
    store.write(paths["s1_a"], "snippets", {"snippets": video.snippets, "valid": video.valid}, {})
    train_project(folder, paths)
    store.write(paths["s1_a"], "snippets", {"snippets": video.snippets, "valid": np.ones(90, bool)}, {})
    with pytest.raises(InputError, match="flow of frame 5 is not finite"):
        train_project(folder, paths)


def test_features_and_scores_are_what_the_model_predicts(project):
    folder, paths = project
    store.refuse(paths["s3_b"], "snippets", "no face", {})
    train_project(folder, paths)
    extract_features(folder / "model.pt", paths, folder / "features.h5")
    held = store.attributes(folder / "features.h5", "features")
    assert json.loads(held["held_out"]) == ["s3"]
    assert json.loads(held["train_subjects"]) == ["s1", "s2"]
    own = {video_id: path for video_id, path in paths.items() if video_id.startswith("s3")}
    score_fold(folder / "model.pt", folder / "features.h5", own, folder / "scores.h5")
    scores = store.read(folder / "scores.h5", "scores")
    assert set(scores) == {f"{name}/s3_a" for name in ("intensity", "class_scores", "valid", "moved")}
    assert (scores["moved/s3_a"] == store.read(paths["s3_a"], "snippets")["snippets"][:, 16]).all()
    model, _ = load_model(folder / "model.pt")
    features, intensity, class_scores = predict(model, store.read(paths["s3_a"], "snippets")["snippets"])
    np.testing.assert_allclose(store.read(folder / "features.h5", "features")["features/s3_a"], features, atol=1e-5)
    np.testing.assert_allclose(scores["intensity/s3_a"], intensity, atol=1e-5)
    np.testing.assert_allclose(scores["class_scores/s3_a"], class_scores, atol=1e-5)


def test_scoring_a_video_of_the_training_is_refused(project):
    folder, paths = project
    train_project(folder, paths)
    extract_features(folder / "model.pt", paths, folder / "features.h5")
    with pytest.raises(InputError, match="s1_a: .* was trained on this video"):
        score_fold(folder / "model.pt", folder / "features.h5", paths, folder / "scores.h5")
    assert not (folder / "scores.h5").exists()


def test_features_of_another_model_are_refused(project):
    folder, paths = project
    train_project(folder, paths)
    extract_features(folder / "model.pt", paths, folder / "features.h5")
    train_project(folder, paths, params=replace(QUICK, learning_rate=2e-3))
    with pytest.raises(InputError, match="features of another model"):
        score_fold(folder / "model.pt", folder / "features.h5", {"s3_a": paths["s3_a"]}, folder / "scores.h5")


def test_the_model_holds_spotformer_and_the_journal_head():
    model = SpottingModel(ModelParameters())
    assert sum(p.numel() for p in model.spotformer.parameters()) == 3_166_208
    assert isinstance(model.head, PfesHead)
