"""What jobs ask of a scheduler: more for more frames, channels, steps and attempts; within what nodes have."""

from types import SimpleNamespace

import pandas as pd
import pytest

from pfes.base import store
from pfes.network.memory import MOST_MB, step_mb
from pfes.workflow.plan import plan_file
from pfes.workflow.resources import MOST_MINUTES, START_MB, UNCOUNTED, Demands, minutes, training
from tests.conftest import ROOT

FOLD = SimpleNamespace(experiment="journal", fold="s01", seed="0")


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return plan_file(ROOT / "tests/smoke.yaml")


def count(plan, frames):
    (plan.run / "dataset").mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"video_id": list(plan.videos), "n_frames": [frames] * len(plan.videos)})
    store.write_table(plan.run / "dataset/videos.parquet", "videos", table, {})


def test_frames_are_those_that_were_counted_else_a_guess(plan):
    demands = Demands(plan)
    assert demands.frames(plan.videos) == 3 * UNCOUNTED
    count(plan, 120)
    assert demands.frames(plan.videos) == 360


def test_every_attempt_asks_for_more_and_none_for_more_than_a_day(plan):
    count(plan, 120)
    asks = Demands(plan).asks("train")
    first, second, third = ({name: ask(FOLD, attempt) for name, ask in asks.items()} for attempt in (1, 2, 3))
    assert second["mem_mb"] == pytest.approx(2 * first["mem_mb"], abs=2)
    assert third["runtime"] == 3 * first["runtime"]
    assert all(isinstance(value, int) for value in first.values())
    count(plan, 10**9)
    assert Demands(plan).asks("train")["runtime"](FOLD, 3) == MOST_MINUTES


def test_a_long_recording_asks_for_more_memory_in_training_and_little_more_in_flow(plan):
    """Training holds whole videos, flow streams."""
    found = {}
    for frames in (500, 2500):
        count(plan, frames)
        demands = Demands(plan)
        video = SimpleNamespace(video=next(iter(plan.videos)))
        found[frames] = demands.demand("train", FOLD).mem_mb, demands.demand("flow", video).mem_mb
    assert found[2500][0] > found[500][0] + 1.25 * step_mb(2000, 16)
    assert found[2500][1] - found[500][1] < 20


def test_a_training_at_the_papers_size_fits_a_node_of_32_gb_however_long_its_videos_are(plan):
    """11,000 frames would take 62 GB in one piece (5.6 MB a frame)."""
    paper = {"model": {"width": 256}, "training": {**plan.config["training"], "epochs": 100}}
    for frames in (1000, 2857, 2858, 11_000, 20_000):
        assert step_mb(frames, 256) < 1.4 * MOST_MB
        assert START_MB < training(paper, 98 * 2000, frames).mem_mb < 32_000


def test_the_rules_ask_for_what_is_computed(plan):
    demand = Demands(plan).demand("train", FOLD)
    asks = Demands(plan).asks("train")
    assert asks["mem_mb"](FOLD, 1) == round(demand.mem_mb)
    assert asks["runtime"](FOLD, 1) == minutes(demand)
    for rule in ("dataset", "evaluate", "report", "training_free"):
        assert Demands(plan).asks(rule)["mem_mb"](SimpleNamespace(), 1) >= 2000
