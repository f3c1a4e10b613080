"""The section ``intensity`` of a configuration: the systems of continuous intensity and what they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pfes.base.config import setting
from pfes.base.errors import InputError

Shape = Literal["triangle", "half_sine", "gaussian", "gim", "step", "shuffled"]
PARTS = ("clips", "model", "training", "loss", "stream")  # that a system may change


@dataclass(frozen=True)
class ClipParameters:
    """How clips are cut."""

    steps: int = setting(16, "steps of a clip from onset to offset", minimum=2)
    context: int = setting(8, "steps kept before and after it", minimum=0)
    size: int = setting(112, "side of the crops, px", minimum=32)
    neutral: int = setting(2, "clips without expression per video; the paper has none", minimum=0)
    smooth: float = setting(
        4.0, "standard deviation of the smoothing of the landmarks that place the crops, frames", exclusiveMinimum=0
    )

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise InputError(f"intensity.clips: steps is {self.steps}, expected 2 or more (onset and offset)")
        if self.context < 0 or self.neutral < 0:
            raise InputError("intensity.clips: context and neutral must be 0 or more")
        if self.size < 32:
            raise InputError(f"intensity.clips: size is {self.size} px, expected 32 or more (five halvings)")


@dataclass(frozen=True)
class IntensityLossParameters:
    """Weights of the terms."""

    smooth: float = setting(0.1, "weight of the smoothness term", minimum=0)
    ranking: float = setting(0.1, "weight of the apex ranking term; 0 for CASME II in the paper", minimum=0)
    margin: float = setting(0.5, "by how much the apex should outrank a step of intensity 0", minimum=0, maximum=1)


@dataclass(frozen=True)
class IntensityModelParameters:
    """Size of the network."""

    width: int = setting(64, "channels of the first stage; 64 is ResNet-18, smaller is for CPUs", minimum=1)
    recurrent: bool = setting(
        True, "bidirectional GRU over the frames; without it each frame stands alone (the paper's baseline)"
    )
    hidden: int = setting(128, "channels of the GRU in each direction", minimum=1)
    reference: Literal["none", "first"] = setting(
        "none", "what the encoder sees: none, the crops; first, their difference to the first step of the clip"
    )
    weights: str | None = setting(None, "file of torchvision's resnet18 weights to start from (width 64)")
    dropout: float = setting(0.3, "before the last layer", minimum=0, maximum=0.99)


@dataclass(frozen=True)
class IntensityTrainingParameters:
    """How an intensity model is trained."""

    shape: Shape = setting("triangle", "pseudo-intensity: triangle, half_sine, gaussian, gim, step or shuffled")
    epochs: int = setting(60, "passes over the training clips", minimum=1)
    batch: int = setting(8, "clips of one step", minimum=2)
    learning_rate: float = setting(
        1e-3, "learning rate of Adam at the start; falls to 0 along a cosine", exclusiveMinimum=0
    )
    weight_decay: float = setting(1e-4, "L2 penalty of Adam", minimum=0)
    context: float = setting(
        0.5,
        "probability that a clip is shown with a random part of what lies around it; 0 in the paper",
        minimum=0,
        maximum=1,
    )
    neutral: bool = setting(True, "train on the neutral clips too; false in the paper")
    mirror: float = setting(0.5, "probability that a clip is mirrored left to right", minimum=0, maximum=1)
    light: float = setting(0.05, "standard deviation of the gain of the light, relative", minimum=0)
    shift: int = setting(3, "largest shift of a clip, px", minimum=0)
    noise: float = setting(2.0, "standard deviation of the noise added, grey levels", minimum=0)
    classes: tuple[str, ...] = setting(
        ("macro", "micro"), "expressions trained and tested on", minItems=1, items={"enum": ["macro", "micro"]}
    )
    device: str = setting(
        "auto", "cpu, cuda, or auto for CUDA where there is one", changes_results=False, enum=("cpu", "cuda", "auto")
    )


@dataclass(frozen=True)
class StreamParameters:
    """How a recording is cut into windows."""

    lengths: tuple[int, ...] = setting(
        (24, 48), "windows over a whole recording, frames", minItems=1, items={"minimum": 2}
    )
    stride: int = setting(4, "frames from one window to the next", minimum=1)


@dataclass(frozen=True)
class IntensityParameters:
    """Continuous intensity from onset, apex and offset (arXiv 2512.01145)."""

    enabled: bool = setting(False, "train and compare it with the rest of the run")
    seeds: tuple[int, ...] | None = setting(
        None, "seeds of its trainings; null is those of the run", minItems=1, uniqueItems=True, items={"minimum": 0}
    )
    of: str | None = setting(
        None,
        "clip dataset of the run; its published figures are then shown in the table",
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
