"""The training benchmark measures what it says."""

import pytest
import torch

from pfes.base.errors import InputError
from pfes.bench import train as bench_train
from pfes.bench.train import CASME2, step_flop
from pfes.training.fold import TrainingParameters


def test_work_per_frame_is_that_of_the_paper():
    """168 M multiply-adds per frame at full size, two operations each, forward once and backward twice that."""
    assert step_flop(256) / 6 == pytest.approx(168e6, rel=0.05)


def test_plain_and_ours_are_measured_side_by_side(monkeypatch):
    """In this process, which is faster; memory is then not that of a step."""
    monkeypatch.setattr(bench_train, "in_process", lambda module, task: bench_train.measure(task))
    table = bench_train.bench_train([12, 24], 8, 1, device="cpu", padded=30, params=TrainingParameters(chunk_frames=10))
    assert table[["frames", "system"]].to_numpy().tolist() == [[12, "plain"], [12, "ours"], [24, "plain"], [24, "ours"]]
    assert (table[["seconds", "memory_mb", "peak_share", "run_hours"]] > 0).all(axis=None)
    assert (table["peak_share"] < 1).all()
    plain, ours = (table[table["system"] == name].reset_index() for name in ("plain", "ours"))
    assert plain["work_tflop"].tolist() == pytest.approx([30 * step_flop(8) / 1e12] * 2)
    assert ours["work_tflop"].tolist() == pytest.approx([n * step_flop(8) / 1e12 for n in (12, 24)])
    assert ours["speedup"].tolist() == pytest.approx((plain["seconds"] / ours["seconds"]).tolist())
    passes = CASME2["epochs"] * (CASME2["folds"] - 1)
    assert plain["run_hours"][0] == pytest.approx(plain["seconds"][0] * CASME2["videos"] * passes / 3600)


def test_a_process_measures_its_own_memory_and_says_why_it_failed():
    task = {"frames": 40, "padded": 40, "width": 8, "repeats": 1, "params": {"device": "cpu"}}
    found = bench_train.in_process("pfes.bench.train", task)
    assert 50 < found["memory_mb"] < 2000
    with pytest.raises(InputError, match="'frames': 40, .* ended with status 1: .*unknown"):
        bench_train.in_process("pfes.bench.train", {**task, "params": {"unknown": 1}})


def test_nothing_to_measure_is_said():
    with pytest.raises(InputError, match="expected both at least 1"):
        bench_train.bench_train([], 8, 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_said():
    with pytest.raises(InputError, match="torch finds no CUDA device"):
        bench_train.bench_train([12], 8, 1, device="cuda")
