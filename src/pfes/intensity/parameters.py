"""The section ``intensity`` of a configuration: the systems of continuous intensity and what they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pfes.base.config import setting
from pfes.intensity.clips import ClipParameters
from pfes.intensity.losses import IntensityLossParameters
from pfes.intensity.model import IntensityModelParameters
from pfes.intensity.prediction import StreamParameters
from pfes.intensity.training import IntensityTrainingParameters

PARTS = ("clips", "model", "training", "loss", "stream")  # that a system may change


@dataclass(frozen=True)
class IntensityParameters:
    """Continuous intensity from onset, apex and offset (arXiv 2512.01145)."""

    enabled: bool = setting(False, "train and compare it with the rest of the run")
    seeds: tuple[int, ...] | None = setting(
        None, "seeds of its trainings; null is those of the run", minItems=1, uniqueItems=True, items={"minimum": 0}
    )
    of: str | None = setting(
        None,
        "clip dataset that the run is on, whose published figures stand in the table",
        enum=("casme_ii", "samm", None),
    )
    beside: bool = setting(
        True,
        "measure GIM's intensity and the flow on the same clips; false needs no spotting (clip datasets)",
    )
    systems: Mapping[str, Any] = setting(
        {"gru": {}, "frame_wise": {"model": {"recurrent": False}}},
        "systems to compare, by name: what each changes in the parts below; null leaves one out",
        minProperties=1,
        additionalProperties={
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {part: {"type": "object"} for part in PARTS if part != "clips"},
        },
    )
    clips: ClipParameters = setting(ClipParameters(), "clips of expressions")
    model: IntensityModelParameters = setting(IntensityModelParameters(), "size of the network")
    training: IntensityTrainingParameters = setting(IntensityTrainingParameters(), "training of a fold")
    loss: IntensityLossParameters = setting(IntensityLossParameters(), "weights of the losses")
    stream: StreamParameters = setting(StreamParameters(), "whole recordings")
