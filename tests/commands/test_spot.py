"""One recording of one's own, with the models of a run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.spot import Wanted, load_models, model_paths, spot
from pfes.media.decode import read_frames
from pfes.training import box
from pfes.training.model import load_model, predict, save_model


@pytest.fixture(scope="module")
def spotted(run, shared_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("spot")
    return spot(shared_data / "videos/single_face.mp4", out, Wanted(run)), out


def test_curve_and_overlay_have_one_entry_per_frame(spotted):
    found, out = spotted
    curve = pd.read_csv(out / "intensity.csv")
    assert len(curve) == len(found.intensity) == 72
    assert curve["intensity"].between(0, 1).all()
    assert sum(1 for _ in read_frames(out / "overlay.mp4")) == 72
    assert (out / "intensity.png").read_bytes().startswith(b"\x89PNG")


def test_proposals_are_in_frames_and_seconds(spotted):
    """The smoke run's limits are open, so that there are proposals."""
    found, out = spotted
    table = pd.read_csv(out / "proposals.csv")
    assert len(table) == len(found.proposals) > 0
    assert table["onset_s"].to_numpy() == pytest.approx(table["onset"].to_numpy() / 30, abs=1e-4)
    assert table["native_offset"].max() < 72


def test_the_curve_is_the_mean_over_the_folds(run, spotted):
    found, out = spotted
    snippets = store.read(out / "snippets.h5", "snippets")["snippets"]
    curves = [predict(load_model(path)[0], snippets)[1] for path in run.glob("train/journal/*/seed0/model.pt")]
    assert len(curves) == 3
    assert np.mean(curves, axis=0) == pytest.approx(found.intensity, abs=1e-6)


def test_one_model_file_works_too(run, shared_data, tmp_path):
    path = next(run.glob("train/journal/*/seed0/model.pt"))
    assert len(spot(shared_data / "videos/single_face.mp4", tmp_path, Wanted(path, overlay=False)).intensity) == 72
    assert not (tmp_path / "overlay.mp4").exists()


def test_the_model_in_the_box_spots_a_video_by_itself(shared_data, tmp_path):
    """Somebody who talks to the camera for 2.4 s; how many are found there is no question of right or wrong."""
    found = spot(shared_data / "videos/single_face.mp4", tmp_path, Wanted("box", overlay=False))
    assert len(found.intensity) == 72 and found.intensity.max() > 0.5 > np.median(found.intensity)
    assert model_paths(Path("box")) == [box.MODEL]
    snippets = store.read(tmp_path / "snippets.h5", "snippets")["snippets"]
    assert predict(load_model(box.MODEL)[0], snippets)[1] == pytest.approx(found.intensity, abs=1e-6)


def test_a_folder_without_models_and_an_unknown_experiment_are_named(run, tmp_path):
    with pytest.raises(InputError, match="no trained model; expected a run folder"):
        model_paths(tmp_path)
    with pytest.raises(InputError, match="experiment 'other'; choose one of journal"):
        model_paths(run, "other")


def test_models_made_with_other_parameters_are_not_mixed(run, tmp_path):
    paths = sorted(run.glob("train/journal/*/seed0/model.pt"))
    model, meta = load_model(paths[0])
    meta["spotting"]["flow"]["size"] = 64
    save_model(tmp_path / "model.pt", model, meta)
    with pytest.raises(InputError, match="made with other parameters"):
        load_models([paths[1], tmp_path / "model.pt"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_face.mp4", "no face was found"),
        ("multi_face_5_frames.mp4", "expected at least 17"),
        ("gone.mp4", "no such file"),
    ],
)
def test_a_bad_video_is_one_line_and_status_2(run, shared_data, tmp_path, name, message):
    command = [
        sys.executable,
        "-m",
        "pfes.commands.cli",
        "spot",
        str(shared_data / "videos" / name),
        "--model",
        str(run),
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count(message) == 1
    assert "Traceback" not in done.stderr


def test_info_prints_provenance_of_each_kind_of_file(run):
    for pattern in ("faces/*/*.h5", "evaluate/metrics.parquet", "train/journal/*/seed0/model.pt"):
        path = next(run.glob(pattern))
        done = subprocess.run(
            [sys.executable, "-m", "pfes.commands.cli", "info", str(path)], capture_output=True, text=True, check=True
        )
        assert "provenance" in yaml.safe_load(done.stdout)


def test_summary_prints_the_table_and_the_report(run):
    done = subprocess.run(
        [sys.executable, "-m", "pfes.commands.cli", "summary", str(run)], capture_output=True, text=True, check=True
    )
    assert "journal" in done.stdout
    assert "report.html" in done.stdout
