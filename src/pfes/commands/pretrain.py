"""Train a network on made motion, test it on made motion that it never saw, and write it with its card."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import values_of
from pfes.base.records import CLASSES
from pfes.evaluation.matching import find_overlaps, optimal
from pfes.faces.landmarks import FaceParameters
from pfes.flow.snippets import SnippetParameters
from pfes.flow.sw_mro import FlowParameters
from pfes.media.decode import SamplingParameters
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import spot_parameters
from pfes.network.parameters import ModelParameters
from pfes.spotting.proposal_tables import proposed
from pfes.synthetic.recordings import FPS, draw_recordings
from pfes.training.box import SPOT
from pfes.training.model import SpottingModel, predict, save_model
from pfes.training.pretrain import PretrainParameters, pretrain

log = logging.getLogger(__name__)
TESTED, TESTED_S = 40, 30.0  # made recordings of the test, and their length, s
TEST_STREAM = 2**31  # of the seed sequence: no step of a training draws from it


def write_pretrained(out: Path, model_params: ModelParameters, params: PretrainParameters, seed: int) -> dict[str, Any]:
    """Train, test, and write model.pt and model.json (its card) to the folder ``out``; return the card.

    An interrupted training goes on from checkpoint.pt there.
    """
    out.mkdir(parents=True, exist_ok=True)
    state_path = out / "checkpoint.pt"
    model, losses = pretrain(model_params, params, seed, state_path=state_path)
    settings = {"model": asdict(model_params), "pretraining": asdict(params), "seed": seed}
    made = provenance.record("pretrain", settings, [])
    spotting = {
        "sampling": asdict(SamplingParameters()), "faces": asdict(FaceParameters()), "flow": asdict(FlowParameters()),
        "snippets": asdict(SnippetParameters()), "spot": SPOT,
    }  # fmt: skip
    meta = {
        "model": asdict(model_params), "training": values_of(TrainingParameters()), "pretraining": asdict(params),
        "seed": seed, "experiment": "box", "held_out": [], "validation_subjects": [], "train_subjects": [],
        "train_videos": [], "spotting": spotting, "provenance": made,
    }  # fmt: skip
    save_model(out / "model.pt", model, meta)
    minutes = params.steps * params.recordings * params.seconds / 60
    card = {
        "what": "a prior of how faces move, trained on made motion; no validated model of people",
        "made_from": f"{minutes:.0f} minutes of motion made by pfes.synthetic, {params.frames} frames of each recording",
        "persons_data": "none: no recording, landmark or label of any person",
        "command": f"pfes pretrain --width {model_params.width} --steps {params.steps} --seed {seed}",
        **settings,
        "loss": round(losses[-1], 4),
        "sha256": provenance.file_digest(out / "model.pt"),
        "measured_on": {"made recordings never trained on": found_in_made(model, seed)},
        "made": made,
    }
    with store.atomic(out / "model.json") as temporary:
        temporary.write_text(json.dumps(card, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    state_path.unlink(missing_ok=True)
    return card


def found_in_made(model: SpottingModel, seed: int) -> dict[str, Any]:
    """Return what ``model`` finds in TESTED made recordings: hits, false alarms and misses (strict), per class."""
    made = draw_recordings(np.random.default_rng([seed, TEST_STREAM]), TESTED, TESTED_S)
    params, found = spot_parameters(SPOT), []
    for index, snippets in enumerate(made.snippets):
        _, intensity, scores = predict(model, snippets)
        curves = {
            "intensity": intensity, "class_scores": scores, "valid": np.ones(len(snippets), bool), "moved": snippets[:, -1]
        }  # fmt: skip
        found.append(proposed(model.method, curves, params, FPS).assign(recording=index))
    return {"minutes": TESTED * TESTED_S / 60, **_counts(made.expressions, pd.concat(found, ignore_index=True))}


def _counts(expressions: NDArray[np.int64], proposals: pd.DataFrame) -> dict[str, Any]:
    result = {}
    for kind, name in enumerate(CLASSES):
        own, mine = expressions[expressions[:, 1] == kind], proposals[proposals["class"] == name]
        intervals, recording = mine[["onset", "offset"]].to_numpy(np.int64), mine["recording"].to_numpy(np.int64)
        pairs = optimal(find_overlaps(own[:, [2, 4]], own[:, 0], intervals, recording, 0.5))
        result[name] = {"expressions": len(own), "proposals": len(mine), "hits": len(pairs.iou)}
    return result
