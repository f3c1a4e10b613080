"""The command ``pfes pretrain``: a model and its card."""

import hashlib
import json

from typer.testing import CliRunner

from pfes.commands.cli import app
from pfes.commands.spot import load_models


def test_pretrain_writes_a_model_that_can_be_used_and_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("pfes.commands.pretrain.TESTED", 2)
    done = CliRunner().invoke(app, ["pretrain", "--out", str(tmp_path), "--width", "8", "--steps", "2"])
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["command"] == "pfes pretrain --width 8 --steps 2 --seed 0" and card["model"]["width"] == 8
    assert card["sha256"] == hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    assert card["made"]["libraries"]["torch"] and "none" in card["persons_data"]
    tested = card["measured_on"]["made recordings never trained on"]
    assert tested["minutes"] == 1.0 and tested["macro"]["expressions"] > 0
    models, settings = load_models([tmp_path / "model.pt"])
    assert models[0].params.width == 8 and settings["spot"]["length_first"] and settings["flow"]["size"] == 128
    assert not (tmp_path / "checkpoint.pt").exists()
