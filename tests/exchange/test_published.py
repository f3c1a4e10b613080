"""Published features: a round trip, and files that want more than arrays."""

import os
import pickle

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.cli import app
from pfes.exchange.published import import_published, read_object_array
from pfes.training.model import load_model
from tests.conftest import ROOT
from tests.training_data import synthetic_video

torch.set_num_threads(1)


def object_array(entries):
    array = np.empty(len(entries), object)
    for number, entry in enumerate(entries):
        array[number] = entry
    return array


def published(folder, rois=12, dtype=np.float64):
    """Three videos of two subjects as their authors might have saved them, the second without any instance."""
    generator = np.random.default_rng(0)
    flows = [generator.normal(size=(frames, 17, rois, 2)).astype(dtype) for frames in (90, 40, 60)]
    labels = [np.array([[20, 30, 45, 0], [60, 65, 70, 1]]), np.zeros((0, 4), int), np.array([[5, -1, 10, 1]])]
    np.save(folder / "features.npy", object_array(flows), allow_pickle=True)
    np.save(folder / "labels.npy", object_array(labels), allow_pickle=True)
    np.save(folder / "names.npy", np.array(["s1/a", "s1/b", "s2/a"]))
    return flows


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_round_trip_keeps_every_number_and_label(tmp_path, dtype):
    flows = published(tmp_path, dtype=dtype)
    paths = {"annotations": tmp_path / "labels.npy", "names": tmp_path / "names.npy"}
    assert import_published(tmp_path / "features.npy", tmp_path / "out", **paths) == 3
    for name, flow in zip(["s1_a", "s1_b", "s2_a"], flows, strict=True):
        arrays = store.read(tmp_path / f"out/snippets/{name}.h5", "snippets")
        np.testing.assert_array_equal(arrays["snippets"], flow[:, :, :10].astype(np.float32))
        assert arrays["valid"].all()
    videos = store.read_table(tmp_path / "out/videos.parquet", "videos")
    assert videos[["subject", "video", "n_frames"]].to_numpy().tolist() == [
        ["s1", "a", 90],
        ["s1", "b", 40],
        ["s2", "a", 60],
    ]
    found = store.read_table(tmp_path / "out/expressions.parquet", "expressions")
    rows = found[["video_id", "class", "onset", "apex", "offset"]].to_numpy().tolist()
    assert rows == [["s1_a", "macro", 20, 30, 45], ["s1_a", "micro", 60, 65, 70], ["s2_a", "micro", 5, 7, 10]]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_pickle_protocol_are_read(tmp_path, protocol):
    entries = object_array([np.arange(6.0).reshape(2, 3), np.array([[1, 2, "macro"]], object)])
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(entries))
        pickle.dump(entries, file, protocol=protocol)
    found = read_object_array(tmp_path / "a.npy")
    np.testing.assert_array_equal(found[0], entries[0])
    assert found[1].tolist() == [[1, 2, "macro"]]


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        Call(os.system, "touch executed"),
        Call(eval, "open('executed', 'w')"),
        Call(exec, "open('executed', 'w')"),
        Call(getattr, "text", "upper"),
        Call(pickle.loads, pickle.dumps(Call(os.system, "touch executed"))),
        Call(np.load, "other.npy"),
    ],
    ids=["os.system", "eval", "exec", "getattr", "pickle.loads", "np.load"],
)
def test_a_file_that_wants_to_run_something_is_refused_before_it_runs(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    np.save("bad.npy", object_array([np.zeros(3), call]), allow_pickle=True)
    with pytest.raises(InputError, match=r"bad.npy: .* asks for .*, which is no array\); it was not executed"):
        read_object_array("bad.npy")
    assert not os.path.exists("executed")


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00v\x00{'descr': '|O'"])
def test_a_file_that_is_no_array_is_named(tmp_path, content):
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(InputError, match="bad.npy: not read as an array"):
        read_object_array(tmp_path / "bad.npy")


@pytest.mark.parametrize(
    ("flow", "labels", "message"),
    [
        (np.zeros((5, 16, 12, 2)), [], r"video 0: shape \(5, 16, 12, 2\), expected \[T, 17, n, 2\]"),
        (np.zeros((5, 17, 9, 2)), [], r"n >= 10 ROIs"),
        (np.full((5, 17, 10, 2), np.nan), [], "expected finite floating-point numbers"),
        (np.zeros((5, 17, 10, 2)), [[1, 2, 5, 0]], "row 0: onset 1 and offset 5 .* in a video of 5 frames"),
        (np.zeros((5, 17, 10, 2)), [[1, 2, 3, 7]], "class 7, expected 0 or macro, 1 or micro"),
        (np.zeros((5, 17, 10, 2)), [[1, 2]], "2 values, expected onset, offset, class"),
    ],
)
def test_what_does_not_fit_the_layout_is_refused(tmp_path, flow, labels, message):
    np.save(tmp_path / "f.npy", object_array([flow]), allow_pickle=True)
    np.save(tmp_path / "l.npy", object_array([np.array(labels)]), allow_pickle=True)
    with pytest.raises(InputError, match=message):
        import_published(tmp_path / "f.npy", tmp_path / "out", annotations=tmp_path / "l.npy")


def test_annotations_of_another_number_of_videos_are_refused(tmp_path):
    published(tmp_path)
    np.save(tmp_path / "two.npy", object_array([np.zeros((0, 3)), np.zeros((0, 3))]), allow_pickle=True)
    with pytest.raises(InputError, match="two.npy: 2 entries, but .*features.npy has 3 videos"):
        import_published(tmp_path / "features.npy", tmp_path / "out", annotations=tmp_path / "two.npy")


def test_imported_features_can_be_trained_on_at_once(tmp_path, monkeypatch):
    """The two commands that somebody with the published features gives."""
    own = [synthetic_video(i, 90, ((30, 0), (65, 1))) for i in range(3)]
    np.save(tmp_path / "f.npy", object_array([video.snippets for video in own]), allow_pickle=True)
    np.save(tmp_path / "l.npy", object_array([np.array([[20, 40, "macro"], [60, 70, "micro"]])] * 3), allow_pickle=True)
    config = {"model": {"width": 8, "heads": 2}, "training": {"epochs": 1, "device": "cpu"}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(ROOT)
    options = ["--annotations", str(tmp_path / "l.npy"), "--out", str(tmp_path / "data")]
    done = CliRunner().invoke(app, ["import-features", str(tmp_path / "f.npy"), *options])
    assert done.exit_code == 0, done.output
    options = ["--config", str(tmp_path / "own.yaml"), "--held-out", "s2", "--out", str(tmp_path / "model")]
    done = CliRunner().invoke(app, ["train", str(tmp_path / "data"), *options])
    assert done.exit_code == 0, done.output
    _, meta = load_model(tmp_path / "model/model.pt", for_subject="s2")
    assert meta["train_subjects"] == ["s0", "s1"]
