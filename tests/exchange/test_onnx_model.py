"""The ONNX file of a model says what the model says, for any number of frames, and is read without PyTorch."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from pfes.base.errors import InputError
from pfes.exchange.onnx_model import export_onnx
from pfes.network.parameters import ModelParameters
from pfes.training.model import SpottingModel, predict, reproducible, save_model


def write_model(path, method):
    with reproducible(0):
        model = SpottingModel(ModelParameters(width=8, heads=2), method)
    meta = {
        "held_out": [],
        "train_subjects": ["anna"],
        "training": {"method": method},
        "model": {"width": 8, "heads": 2},
    }
    save_model(path, model, meta)
    return model


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("lac", "supervised")]


@pytest.mark.parametrize("method", ["journal", *SLOW])
def test_curves_are_those_of_the_model(tmp_path, method):
    model = write_model(tmp_path / "model.pt", method)
    names = export_onnx(tmp_path / "model.pt", tmp_path / "to/model.onnx")
    assert names == ["intensity", "class_scores"] + ["outputs"] * (method == "supervised")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["model.onnx"]
    graph = onnx.load(tmp_path / "to/model.onnx")
    assert json.loads(graph.metadata_props[0].value)["train_subjects"] == ["anna"]
    reader = ReferenceEvaluator(graph)
    for frames in (2, 7, 61):
        snippets = np.random.default_rng(frames).normal(size=(frames, 17, 10, 2)).astype(np.float32)
        intensity, class_scores = reader.run(None, {"snippets": snippets})[:2]
        _, expected, expected_scores = predict(model, snippets)
        assert intensity == pytest.approx(expected, abs=1e-5) and class_scores == pytest.approx(
            expected_scores, abs=1e-5
        )


def test_a_method_that_refines_proposals_is_refused(tmp_path):
    write_model(tmp_path / "model.pt", "hrpro")
    with pytest.raises(InputError, match="hrpro refines proposals"):
        export_onnx(tmp_path / "model.pt", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_proposals_are_decoded_without_torch():
    code = "import sys, pfes.decoding.proposals; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
