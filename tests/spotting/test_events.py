"""Events for statistics, from motion that is known."""

import numpy as np
import pandas as pd
import pytest

from pfes.faces.align import ROI_NAMES
from pfes.methods.base import Signals
from pfes.spotting.events import events_of, summary, way

RAMP = 0.25  # px of the crop per frame of the region that moves


def snippets(length=60, region=7):
    """Region ``region`` moves right by RAMP px per frame: from frame t - 8 to t - 8 + e it has gone e frames, cut to the video."""
    frames = np.arange(length)
    reference, reached = (
        np.clip(frames - 8, 0, length - 1)[:, None],
        np.clip(frames[:, None] - 8 + np.arange(17), 0, length - 1),
    )
    flow = np.zeros((length, 17, 10, 2), np.float32)
    flow[:, :, region, 0] = RAMP * (reached - reference)
    return flow


def faces(length=60):
    """Inner eye corners 30 px apart, eyes 60 px."""
    landmarks = np.zeros((length, 68, 2), np.float32)
    landmarks[:, 42, 0] = 30
    return {"landmarks": landmarks, "interocular": np.full(length, 60.0), "pose": np.full((length, 3), 5.0)}


def signals(measured, valid):
    seen = faces(len(valid))
    return Signals(
        measured=measured, valid=valid, cut=np.zeros(len(valid), bool), fps=30.0, landmarks=seen["landmarks"],
        pose=seen["pose"], size=90,
    )  # fmt: skip


def proposal(onset, apex, offset, kind="macro", video="a"):
    row = {"class": kind, "onset": onset, "apex": apex, "offset": offset, "score": 0.5, "video_id": video}
    row |= {f"native_{name}": 2 * row[name] for name in ("onset", "apex", "offset")}
    return row | {f"{name}_s": row[name] / 30 for name in ("onset", "apex", "offset")}


@pytest.mark.parametrize("end", [12, 20, 28, 41])
def test_a_way_is_summed_beyond_the_reach_of_the_window(end):
    moved = way("snippets", snippets(), 12, end)
    assert moved[7, 0] == pytest.approx(RAMP * (end - 12)) and np.abs(moved).sum() == pytest.approx(RAMP * (end - 12))


def test_an_event_has_its_region_size_and_quality():
    # crop of 90 px, 4.5 x 30 = 135 px of the recording: 1.5 px per crop px; 20 frames x .25 = 5 crop px = 7.5 px of 60 = 12.5 %
    valid = np.ones(60, bool)
    valid[35:40] = False
    seen = signals(snippets(), valid)
    found = events_of(pd.DataFrame([proposal(10, 30, 39)]), "snippets", seen, faces()["interocular"]).iloc[0]
    assert found["displacement_pct"] == pytest.approx(12.5)
    assert found["region"] == ROI_NAMES[7] and found["side"] in ("left", "right")
    assert (found["onset"], found["offset"]) == (20, 78)
    assert found["duration_s"] == pytest.approx(1.0)
    assert found["usable_share"] == pytest.approx(25 / 30) and found["yaw_deg"] == 5


def test_the_same_motion_read_from_displacement_is_the_same_event():
    # g is 15 px of the recording, 10 px of the crop
    place = np.zeros((60, 10, 2))
    place[:, 7, 0] = RAMP * np.arange(60) / 10 + 3  # from any zero
    seen = signals(place, np.ones(60, bool))
    found = events_of(pd.DataFrame([proposal(10, 30, 39)]), "displacement", seen, faces()["interocular"]).iloc[0]
    assert found["displacement_pct"] == pytest.approx(12.5) and found["region"] == ROI_NAMES[7]


def test_rates_are_per_usable_minute_and_latency_from_the_stimulus():
    videos = pd.DataFrame(
        {
            "subject": ["a", "a", "b"], "video": ["1", "2", "1"], "usable_s": [60.0, 30.0, 120.0],
            "condition": ["x", "y", "x"], "stimulus_s": [2.0, np.nan, 1.0],
        }
    )  # fmt: skip
    rows = [("a", "1", 1.0), ("a", "1", 3.5), ("a", "1", 9.0), ("a", "2", 4.0)]  # the first comes before the stimulus
    events = pd.DataFrame(rows, columns=["subject", "video", "onset_s"])
    events = events.assign(duration_s=0.5, displacement_pct=2.0, score=0.1, **{"class": "macro"})
    found = summary(events, videos, ["condition"]).set_index(["subject", "condition", "class"])
    assert found.loc[("a", "x", "macro"), ["events", "rate_per_min", "latency_s"]].tolist() == [3, 3.0, 1.5]
    assert found.loc[("a", "y", "macro"), "rate_per_min"] == 2 and np.isnan(found.loc[("a", "y", "macro"), "latency_s"])
    assert found.loc[("b", "x", "macro"), ["events", "rate_per_min"]].tolist() == [0, 0.0]
    assert np.isnan(found.loc[("b", "x", "macro"), "duration_s"])
