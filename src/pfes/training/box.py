"""The model in the box: a small network trained on made motion (``pfes.training.pretrain``), part of the package.

It is a prior of how faces move, no validated model of people: no person's recording, landmark or label went into it. It may
spot a recording as it is (``pfes spot --model box``), and a training may begin from its weights (``training.start: box``).

Files beside this module: box.pt, see ``pfes.training.model``; box.json, its card (JSON): what it was made from, by which
command, seed and versions, its size, the SHA-256 of box.pt, and what it was measured on.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.network.parameters import ModelParameters

if TYPE_CHECKING:  # a workflow that begins imports no torch
    from pfes.training.model import SpottingModel

log = logging.getLogger(__name__)
# How its curves become proposals: section ``spot``, as in config/experiments/box.yaml.
SPOT: dict[str, Any] = {
    "length_first": True,
    "smooth_frames": 7,
    "both_classes": False,
    "class_threshold": 0.2,
    "bridge_s": 4.5,
    "macro": {"min_frames": 15, "max_frames": 240, "min_score": 0.4, "max_per_video": 1000},
    "micro": {"min_frames": 8, "max_frames": 15, "min_score": 0.4, "max_per_video": 1000, "max_s": 0.5},
}
MODEL, CARD = (Path(__file__).with_suffix(suffix) for suffix in (".pt", ".json"))


def card() -> dict[str, Any]:
    """Return the card of the model in the box."""
    said: dict[str, Any] = json.loads(CARD.read_text(encoding="utf-8"))
    return said


def check_size(params: ModelParameters, where: str) -> None:
    """Raise InputError unless a network of ``params`` can begin from the model in the box; ``where`` says whose they are."""
    own = build(ModelParameters, card()["model"])
    differing = [name for name in ("width", "heads", "padding") if getattr(own, name) != getattr(params, name)]
    if differing:
        found, expected = (
            ", ".join(f"model.{name} {_plain(getattr(one, name))}" for name in differing) for one in (params, own)
        )
        raise InputError(
            f"{where}: {found}, but training.start is box, whose network has {expected}; set these, or training.start: random"
        )


def start_model(name: str, params: ModelParameters) -> SpottingModel | None:
    """Return the model that a training with ``training.start: name`` begins from; None for random weights."""
    from pfes.training.model import load_model

    if name == "random":
        return None
    check_size(params, "training")
    return load_model(MODEL)[0]


def take_weights(model: SpottingModel, start: SpottingModel) -> None:
    """Put the weights of ``start`` into ``model``; a head of another kind keeps its own, which the log says."""
    model.spotformer.load_state_dict(start.spotformer.state_dict())
    if type(model.head) is type(start.head):
        model.head.load_state_dict(start.head.state_dict())
    else:
        log.warning("method %s has a head of its own, which begins from random weights", model.method.name)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
