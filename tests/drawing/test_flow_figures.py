"""Pictures of the flow: what is drawn where."""

import numpy as np
import pytest

from pfes.base import store
from pfes.base.errors import InputError
from pfes.drawing import flow_figures
from pfes.faces.align import NOSE, ROI_NAMES
from pfes.flow.sw_mro import FlowParameters


def test_each_roi_is_a_line_of_its_motion_in_its_panel():
    """ROI 4 (right brow middle) moves by t px down over 8 frames; drawn at t / fps, the frame in which the motion ends."""
    snippets = np.zeros((30, 17, 10, 2), np.float32)
    snippets[:, 8, 4, 1] = np.arange(30)
    figure = flow_figures.trajectories(snippets, np.ones(30, bool), 10.0)
    assert len(figure.axes) == 6
    down = figure.axes[3]  # right brow, y
    line = next(line for line in down.lines if line.get_label() == "right brow middle")
    assert line.get_xdata() == pytest.approx(np.arange(30) / 10)
    assert line.get_ydata() == pytest.approx(np.arange(30))
    assert {line.get_label() for line in figure.axes[5].lines} >= {name.replace("_", " ") for name in ROI_NAMES[6:10]}


def test_a_longer_lag_is_drawn_where_its_motion_ends():
    figure = flow_figures.trajectories(np.zeros((30, 17, 10, 2), np.float32), np.ones(30, bool), 10.0, lag=16)
    assert figure.axes[0].lines[0].get_xdata()[0] == pytest.approx(0.8)


def test_frames_that_are_not_valid_are_left_out():
    valid = np.ones(30, bool)
    valid[10:13] = False
    figure = flow_figures.trajectories(np.ones((30, 17, 14, 2), np.float32), valid, 30.0)
    assert len(figure.axes) == 8  # files of flow hold nose, eyelids and inner mouth too
    assert np.flatnonzero(np.isnan(figure.axes[0].lines[0].get_ydata())).tolist() == [10, 11, 12]


def test_another_kind_of_file_is_named(tmp_path):
    store.write(tmp_path / "a.h5", "faces", {}, {})
    with pytest.raises(InputError, match="holds faces, expected snippets or flow"):
        flow_figures.write_trajectories(tmp_path / "a.h5", tmp_path / "a.png")


@pytest.fixture(scope="module")
def clip(run):
    return str(next(run.glob("dataset/demo/s01_v01.mp4"))), next(run.glob("faces/*/s01_v01.h5"))


def test_the_dense_flow_is_that_of_the_stage(run, clip):
    """Its ROI means are the snippets of the same frame; with no re-centring to differ by."""
    snippets = store.read(run / "snippets/s01_v01.h5", "snippets")["snippets"]
    params = FlowParameters(recentre=0)
    crop, flow, rois = flow_figures.dense(*clip, 40, params=params)
    assert crop.shape == (128, 128)
    means = flow_figures.roi_means(flow + 0, rois)
    assert means[NOSE] == pytest.approx(np.zeros(2), abs=0.05)
    assert means[:10] == pytest.approx(snippets[40, 8], abs=0.35)


def test_arrows_are_written_for_frames_that_are_there(clip, tmp_path):
    quick = FlowParameters(method="dis", size=64)
    flow_figures.write_arrows(*clip, [0, 40], tmp_path / "a.png", params=quick)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="frame 120, expected 0 to 119"):
        flow_figures.write_arrows(*clip, [120], tmp_path / "b.png", params=quick)
