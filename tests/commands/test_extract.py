"""From recordings to snippets without a model: the same files as the stages, and no recording lost for another's sake."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands import extract
from pfes.commands.cli import app
from pfes.faces.align import ROI_NAMES
from pfes.flow.sw_mro import FlowParameters

QUICK = extract.ExtractParameters(flow=FlowParameters(method="dis", size=64))


@pytest.fixture(scope="module")
def smoke_video(run):
    return str(next(run.glob("dataset/demo/*.mp4")))


@pytest.fixture(scope="module")
def done(run, smoke_video, tmp_path_factory):
    """Outcomes, by name, of two processes on a good recording, one that is missing and one that is no video."""
    folder = tmp_path_factory.mktemp("features")
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no video at all")
    outcomes = extract.extract_all([str(folder / "gone.mp4"), str(broken), smoke_video], folder, QUICK, jobs=2)
    return {outcome.name: outcome for outcome in outcomes}, folder


def test_a_bad_recording_stops_no_other(done, smoke_video):
    outcomes, folder = done
    good = outcomes.pop("s01_v01")
    assert good.recording == smoke_video
    assert good.problem is None
    assert len(store.read(folder / "snippets/s01_v01.h5", "snippets")["snippets"]) == 120
    assert "no such file" in outcomes["gone"].problem
    assert "broken.mp4" in outcomes["broken"].problem


def test_a_process_gives_what_this_one_gives(done, smoke_video, tmp_path):
    _, folder = done
    assert [outcome.problem for outcome in extract.extract_all([smoke_video], tmp_path, QUICK)] == [None]
    here, there = (store.read(path / "snippets/s01_v01.h5", "snippets") for path in (tmp_path, folder))
    assert np.array_equal(here["snippets"], there["snippets"])


def test_an_unexpected_error_is_an_outcome_too(monkeypatch, tmp_path):
    def fail(*arguments, **options):
        raise RuntimeError("the detector broke")

    monkeypatch.setattr(extract, "write_faces", fail)
    (outcome,) = extract.extract_all(["a.mp4"], tmp_path, QUICK)
    assert "a.mp4: RuntimeError: the detector broke" in outcome.problem
    assert "Traceback" in (tmp_path / "logs/a.log").read_text()


def test_two_recordings_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="would both be called clip"):
        list(extract.extract_all(["one/clip.mp4", "two/clip.mp4"], tmp_path, QUICK))


def test_other_formats_hold_the_same_numbers(done):
    _, folder = done
    arrays = store.read(folder / "snippets/s01_v01.h5", "snippets")
    files = extract.finish(folder, "s01_v01", ("npz", "csv"), plots=True)
    assert [path.suffix for path in files] == [".h5", ".npz", ".csv", ".png"]
    with np.load(files[1], allow_pickle=False) as npz:
        assert np.array_equal(npz["snippets"], arrays["snippets"])
        assert npz["rois"].tolist() == list(ROI_NAMES[:10])
        assert float(npz["fps"]) == 30
    table = pd.read_csv(files[2])
    assert len(table) == 120
    assert table["mouth_lower_lip_y_8"].to_numpy() == pytest.approx(arrays["snippets"][:, 8, 9, 1], abs=1e-4)
    assert table["time_s"].iloc[30] == pytest.approx(1)
    assert files[3].read_bytes().startswith(b"\x89PNG")


def test_the_command_ends_non_zero_with_the_list(run, smoke_video, tmp_path):
    """One of the two is good: its files are there. The list is the error that main prints."""
    (tmp_path / "quick.yaml").write_text("flow: {method: dis, size: 64}\n")
    arguments = ["snippets", str(tmp_path / "gone.mp4"), smoke_video, "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(app, [*arguments, "--config", str(tmp_path / "quick.yaml")])
    assert isinstance(found.exception, InputError)
    assert "1 of 2 recordings have no snippets" in str(found.exception)
    assert "gone.mp4: no such file" in str(found.exception)
    assert (tmp_path / "out/snippets/s01_v01.h5").exists()
    assert store.attributes(tmp_path / "out/flow/s01_v01.h5", "flow")["size"] == 64


def test_an_unknown_format_is_refused_before_any_work(tmp_path):
    found = CliRunner().invoke(app, ["snippets", __file__, "--out", str(tmp_path / "out"), "--format", "mat"])
    assert "--format mat: expected npz or csv" in str(found.exception)
    assert not (tmp_path / "out").exists()
