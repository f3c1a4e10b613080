"""Sizes of network and training by name: what a configuration sets for few data, or for a machine without a GPU."""

from typing import Any

from pfes.base.errors import InputError
from pfes.base.records import CLASSES

SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "model": {"width": 32, "heads": 2, "head_dropout": 0.2},
        "training": {"epochs": 24, "learning_rate": 4e-3},
    },
    "medium": {
        "model": {"width": 96, "heads": 4, "head_dropout": 0.4},
        "training": {"epochs": 40, "learning_rate": 1e-3},
    },
    "paper": {},
}
# Where a training is shorter than the paper's: stages and decay of the learning rate in proportion, mirrored steps.
SHORT: dict[str, Any] = {"weight_decay": 0.0, "mirror": 0.5, "loss": {"smooth": 1.0, "norm": 0.6}}


def sized(size: str) -> dict[str, dict[str, Any]]:
    """Return the sections model, training and spot of a configuration for a size; none for the paper's, the defaults.

    Raises
    ------
    InputError
        There is no such size.
    """
    if size not in SIZES:
        raise InputError(f"--size {size}: expected one of {', '.join(SIZES)}")
    if size == "paper":
        return {}
    chosen = {name: dict(part) for name, part in SIZES[size].items()}
    epochs = chosen["training"]["epochs"]
    gim = {"gaussian_epochs": 2, "theta_epochs": epochs // 2, "half_widths": [[8, 18], [4, 8]]}
    chosen["training"] |= {**SHORT, "decay_every": epochs // 3, "gim": gim}
    limits = {name: {"min_score": 0.4} for name in CLASSES}
    spot = {"length_first": True, "smooth_frames": 7, "both_classes": False, "class_threshold": 0.2}
    return {**chosen, "spot": {**spot, **limits}}
