"""The benchmark of a GPU, tried on the CPU: every check runs, what fails is named, and the truth of its images holds."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from pfes.base.errors import InputError
from pfes.bench import gpu


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    made = gpu.bench_gpu(path, "cpu", tell=lambda line: None)
    assert json.loads(path.read_text())["checks"].keys() == made["checks"].keys()
    return made["checks"]


def test_every_check_gives_its_rows(found):
    assert not gpu.failed({"checks": found}), found
    assert {name: len(result.get("rows", [])) for name, result in found.items()} == {
        "flow": 1, "kernels": 0, "training": 2, "chunks": 2, "inference": 1,
    }  # fmt: skip
    assert "need a CUDA device" in found["kernels"]["not_run"]


def test_a_device_is_held_against_the_cpu(found):
    """The CPU against itself: the same losses, and flow, chunks and curves within rounding of the other way."""
    (flow,) = found["flow"]["rows"]
    assert flow["flows"] == 2 * gpu.FLOWS and flow["max_px_from_cpu"] < 1e-2
    assert (
        flow["mean_px_from_truth"] == pytest.approx(flow["cpu_mean_px_from_truth"], rel=0.02)
        and flow["flows_per_s"] > 0
    )
    single, low = found["training"]["rows"]
    assert single["relative"] == 0 and 0 < low["relative"] < 0.05
    assert found["chunks"]["rows"][1]["features"] < 1e-4 and found["chunks"]["rows"][1]["gradients"] < 1e-2
    assert found["inference"]["rows"][0]["intensity_from_cpu"] == 0


def test_a_failure_is_named_and_the_rest_goes_on(monkeypatch, tmp_path):
    def broken(size):
        yield {"first": 1}
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu, "CHECKS", {"broken": broken, "whole": lambda size: iter([{"rows": 1}])})
    lines: list[str] = []
    made = gpu.bench_gpu(tmp_path / "gpu.json", "cpu", tell=lines.append)
    assert made["checks"]["broken"]["rows"] == [{"first": 1}] and gpu.failed(made) == ["broken"]
    assert made["checks"]["whole"]["rows"] == [{"rows": 1}]
    assert lines[0].startswith("broken: failed: RuntimeError: out of memory") and lines[1].startswith("whole: done")


def test_no_check_begins_after_the_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "CHECKS", {"one": lambda size: iter([])})
    assert (
        "limit of -1 s"
        in gpu.bench_gpu(tmp_path / "gpu.json", "cpu", -1, lambda line: None)["checks"]["one"]["not_run"]
    )


def test_the_flow_of_the_waves_is_true():
    """An image read where the flow leads is the first image again."""
    images, flows = gpu.waves(48, 3.0)
    y, x = np.mgrid[12:36, 12:36]
    at = flows[-1, 12:36, 12:36]
    columns, rows = x + at[..., 0], y + at[..., 1]
    low, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, across = rows - low, columns - left
    last = images[-1]
    read = (1 - down) * ((1 - across) * last[low, left] + across * last[low, left + 1]) + down * (
        (1 - across) * last[low + 1, left] + across * last[low + 1, left + 1]
    )
    error, moved = np.abs(read - images[0, 12:36, 12:36]).mean(), np.abs(last - images[0])[12:36, 12:36].mean()
    assert np.linalg.norm(at, axis=-1).max() > 2.5 and error < 0.15 * moved


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_card_is_one_line(tmp_path):
    with pytest.raises(InputError, match="torch finds no CUDA device; try the command itself with --device cpu"):
        gpu.bench_gpu(tmp_path / "gpu.json")


def test_it_imports_where_there_is_neither_opencv_nor_mediapipe():
    blocked = "import sys; sys.modules.update(dict.fromkeys(['cv2', 'mediapipe', 'av', 'jsonschema', 'skimage']))"
    subprocess.run([sys.executable, "-c", f"{blocked}; import pfes.bench.gpu"], check=True)
