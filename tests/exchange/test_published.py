"""Published features: channels, frames and classes by hand; files that want more than arrays; a whole run."""

import os
import pickle

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.cli import app
from pfes.datasets import load
from pfes.exchange.published import import_published, read_object_array
from tests.conftest import snakemake

CHANNELS = [1, 2, 3, 5, 6, 7, 9, 10, 11, 12]  # METHOD 7.4


def object_array(entries):
    array = np.empty(len(entries), object)
    for number, entry in enumerate(entries):
        array[number] = entry
    return array


def save(folder, flows, **annotations):
    """Write a release; ``annotations`` are the entries of each file, one per video."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "features.npy", object_array(flows), allow_pickle=True)
    for name, entries in annotations.items():
        np.save(folder / f"{name}.npy", object_array(entries), allow_pickle=True)
    return folder / "features.npy", folder


def constants(frames=40, channels=14):
    """Flow in which channel c is 10 c everywhere, y 1 more than x."""
    flow = np.zeros((frames, 17, channels, 2))
    flow += 10.0 * np.arange(channels)[:, None] + np.arange(2)
    return flow


CASME = {
    "videoname": ["casme_15_0401girlcrashing", "casme_16_0508funny"],
    "segments": [[[6, 21, 11], [30, 36, 33]], []],  # onset, offset, apex; frames from 1
    "labels": [["Macro", "Micro"], []],
    "labels_gau_frame": [[32, 12], []],  # in any order
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("channels", [13, 14, 17])
def test_the_ten_channels_are_those_of_the_release_and_not_the_first(tmp_path, dtype, channels):
    flow = constants(channels=channels).astype(dtype)
    import_published(*save(tmp_path / "in", [flow, flow], **CASME), tmp_path / "out")
    found = store.read(tmp_path / "out/snippets/casme_15_0401girlcrashing.h5", "snippets")["snippets"]
    assert found.shape == (40, 17, 10, 2)
    assert found[3, 5, :, 0].tolist() == [10.0 * channel for channel in CHANNELS]
    assert found[3, 5, :, 1].tolist() == [10.0 * channel + 1 for channel in CHANNELS]


def test_ten_channels_are_taken_as_they_are(tmp_path):
    flow = constants(channels=10)
    import_published(*save(tmp_path / "in", [flow, flow], **CASME), tmp_path / "out")
    found = store.read(tmp_path / "out/snippets/casme_16_0508funny.h5", "snippets")
    np.testing.assert_array_equal(found["snippets"], flow.astype(np.float32))
    assert found["valid"].all()


def test_frames_classes_points_and_names_of_casme2(tmp_path):
    found = import_published(*save(tmp_path / "in", [constants()] * 2, **CASME), tmp_path / "out")
    assert found == (2, 2, 0, True, "casme2")
    sheet = pd.read_csv(tmp_path / "out/expressions.csv")
    assert sheet.drop(columns="dataset").to_numpy().tolist() == [
        ["casme_15", "0401girlcrashing", 5, 10, 20, "macro", 11],
        ["casme_15", "0401girlcrashing", 29, 32, 35, "micro", 31],
    ]
    videos = pd.read_csv(tmp_path / "out/videos.csv")
    assert videos[["subject", "video", "fps"]].to_numpy().tolist() == [
        ["casme_15", "0401girlcrashing", 30.0], ["casme_16", "0508funny", 30.0],
    ]  # fmt: skip
    config = yaml.safe_load((tmp_path / "out/run.yaml").read_text())
    assert config["dataset"] == {"name": "published", "root": str(tmp_path / "out"), "of": "casme2"}
    assert config["points"] == {"mode": "given"}
    assert config["spot"]["macro"]["min_score"] == 0.5
    release = load("published", config["dataset"])
    assert [video.video_id for video in release.videos] == ["casme_15_0401girlcrashing", "casme_16_0508funny"]
    assert release.expressions["native_onset"].tolist() == [5, 29]


def test_samm_has_no_apex_counts_from_0_and_points_that_leave_instances_out_are_not_taken(tmp_path):
    entries = {
        "videoname": ["samm_006_1", "samm_006_2"],
        "segments": [np.array([[5.0, 20.0]]), np.array([[3, 9], [20, 31]])],
        "labels": [np.array(["Macro"]), np.array(["Micro", "Macro"])],
        "labels_gau_frame": [np.array([7]), np.array([25])],
    }
    found = import_published(*save(tmp_path / "in", [constants()] * 2, **entries), tmp_path / "out")
    assert (found.points, found.dataset) == (False, "samm_lv")
    sheet = pd.read_csv(tmp_path / "out/expressions.csv")
    assert sheet[["subject", "video", "onset", "apex", "offset", "class"]].to_numpy().tolist() == [
        ["samm_006", 1, 5, 12, 20, "macro"], ["samm_006", 2, 3, 6, 9, "micro"], ["samm_006", 2, 20, 25, 31, "macro"],
    ]  # fmt: skip
    config = yaml.safe_load((tmp_path / "out/run.yaml").read_text())
    assert config["points"] == {"mode": "gaussian"}
    assert config["constants"]["conference"]["training"]["loss"]["contrast"] == 2e-5


def test_subjects_of_casme3_are_all_but_the_last_two_characters(tmp_path):
    entries = {"videoname": ["1_a", "217_m"], "segments": [[], []], "labels": [[], []]}
    import_published(*save(tmp_path / "in", [constants()] * 2, **entries), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out/videos.csv", dtype=str)["subject"].tolist() == ["1", "217"]


def test_a_point_goes_to_the_instance_that_it_lies_in_the_shorter_first(tmp_path):
    entries = CASME | {
        "segments": [[[2, 40, 20], [18, 24, 21]], []], "labels_gau_frame": [[30, 22], []],
    }  # fmt: skip
    import_published(*save(tmp_path / "in", [constants()] * 2, **entries), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out/expressions.csv")["point"].tolist() == [29, 21]


def test_the_number_of_the_first_frame_can_be_said(tmp_path):
    import_published(*save(tmp_path / "in", [constants()] * 2, **CASME), tmp_path / "out", first_frame=0)
    assert pd.read_csv(tmp_path / "out/expressions.csv")["onset"].tolist() == [6, 30]


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
    ("flow", "changes", "message"),
    [
        (np.zeros((5, 16, 13, 2)), {}, r"video 0 .*: shape \(5, 16, 13, 2\), expected \[T, 17, n, 2\]"),
        (np.zeros((5, 17, 9, 2)), {}, "9 channels, expected 13 or more"),
        (np.zeros((5, 17, 11, 2)), {}, "11 channels, expected 13 or more"),
        (np.zeros((5, 17, 12, 2)), {}, "12 channels, expected 13 or more"),
        (np.full((5, 17, 13, 2), np.nan), {}, "expected finite floating-point numbers"),
        (None, {"segments": [[[9, 5, 7], [30, 36, 33]], []]}, "instance 0: onset 9, offset 5"),
        (None, {"segments": [[[0, 5, 7], [30, 36, 33]], []]}, "instance 0: onset 0, offset 5"),
        (None, {"segments": [[[6, 21, 11]], []]}, "1 rows in segments.npy, 2 in labels.npy"),
        (None, {"segments": [[[6], [7]], []]}, "1 numbers and class 'Macro', expected onset, offset"),
        (None, {"labels": [["Macro", "Huge"], []]}, "class 'Huge', expected onset, offset .* Macro or Micro"),
        (None, {"labels": [["Macro", "Micro"]]}, "labels.npy: 1 entries, but .*features.npy has 2 videos"),
        (None, {"videoname": ["casme_15_0401", "samm_006_1"]}, "are of no known dataset; say which with --dataset"),
        (None, {"videoname": ["casme_15_0401", "casme_15_0401"]}, "casme_15_0401 is there twice"),
    ],
)
def test_what_does_not_fit_the_layout_is_refused(tmp_path, flow, changes, message):
    flows = [constants() if flow is None else flow, constants()]
    with pytest.raises(InputError, match=message):
        import_published(*save(tmp_path / "in", flows, **(CASME | changes)), tmp_path / "out")


def test_a_missing_file_of_annotations_is_named(tmp_path):
    features, folder = save(tmp_path / "in", [constants()] * 2, **CASME)
    (folder / "segments.npy").unlink()
    with pytest.raises(InputError, match="segments.npy is missing; expected the folder of annotations"):
        import_published(features, folder, tmp_path / "out")


def made_up_release(folder, run):
    """The snippets and labels of a smoke run in the layout of the release, as of CAS(ME)^2: 13 channels, frames from 1."""
    videos = store.read_table(run / "dataset/videos.parquet", "videos")
    labels = store.read_table(run / "dataset/expressions.parquet", "expressions")
    flows, entries = [], {"videoname": [], "segments": [], "labels": [], "labels_gau_frame": []}
    for number, video_id in enumerate(videos["video_id"]):
        snippets = store.read(run / f"snippets/{video_id}.h5", "snippets")["snippets"]
        flow = np.full((len(snippets), 17, 13, 2), 1e3)  # whole boxes, which nobody should read
        flow[:, :, CHANNELS] = snippets
        own = labels[labels["video_id"] == video_id]
        flows.append(flow)
        entries["videoname"].append(f"casme_{15 + number}_0401girlcrashing")
        entries["segments"].append((own[["onset", "offset", "apex"]].to_numpy() + 1).tolist())
        entries["labels"].append(own["class"].str.capitalize().tolist())
        entries["labels_gau_frame"].append((own["apex"] + 1).tolist())
    return save(folder, flows, **entries)


@pytest.mark.slow
def test_a_made_up_release_goes_through_the_workflow_to_a_report_with_two_commands(tmp_path, run):
    features, annotations = made_up_release(tmp_path / "release", run)
    options = ["--annotations", str(annotations), "--out", str(tmp_path / "data")]
    done = CliRunner().invoke(app, ["import-features", str(features), *options])
    assert done.exit_code == 0, done.output
    config = yaml.safe_load((tmp_path / "data/run.yaml").read_text())
    small = {
        "model": {"width": 16, "heads": 2}, "experiments": ["as_released", "journal"],
        "training": {"epochs": 2, "keep_every": 1, "learning_rate": 1e-3},
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config | small))
    done = snakemake(tmp_path, configfile=tmp_path / "run.yaml")
    assert done.returncode == 0, done.stderr
    result = tmp_path / "results/casme2_published"
    assert (result / "report.html").stat().st_size > 10_000
    assert not (result / "flow").exists()
    ours, theirs = (store.read_table(path / "dataset/expressions.parquet", "expressions") for path in (run, result))
    assert theirs[["onset", "apex", "offset", "class"]].equals(ours[["onset", "apex", "offset", "class"]])
    for before, after in zip(
        sorted((run / "snippets").glob("*.h5")), sorted((result / "snippets").glob("*.h5")), strict=True
    ):
        np.testing.assert_array_equal(
            store.read(before, "snippets")["snippets"], store.read(after, "snippets")["snippets"]
        )
    points = store.read_table(result / "points/journal/seed0.parquet", "points")
    assert points["frame"].tolist() == theirs["apex"].tolist()
    shifted = store.read_table(result / "points/as_released/seed0.parquet", "points")
    assert (shifted["frame"] - points["frame"]).tolist() == [1] * len(points)  # labels from 1, as in the release
    table = store.read_table(result / "evaluate/protocol_table.parquet", "protocol_table")
    assert set(table.loc[~table["published"], "source"]) == {"as_released", "journal", "baseline"}
    assert "oracle" in set(table["epochs"])
    assert table["published"].sum() == 15
