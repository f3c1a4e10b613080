"""The settings of the fully supervised SpotFormer's training."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pfes.base.config import setting
from pfes.base.errors import InputError

SegmentChoice = Literal["expression", "all"]
CHOICES: tuple[SegmentChoice, ...] = ("expression", "all")


@dataclass(frozen=True)
class SupervisedParameters:
    """Training of the method supervised (METHOD 11); the defaults are the paper's for CAS(ME)^2."""

    section: ClassVar[str] = "supervised"

    macro_weight: float = setting(0.5, "m, weight of the macro terms; .55 for SAMM-LV", minimum=0)
    contrast: float = setting(0.005, "weight of the supervised contrastive term", minimum=0)
    temperature: float = setting(0.5, "temperature of the supervised contrastive term", exclusiveMinimum=0)
    segment_frames: int = setting(16, "consecutive frames of a segment", minimum=1)
    batch_segments: int = setting(32, "segments of a training step", minimum=1)
    segments: SegmentChoice = setting(
        "expression", "segments that are trained on: expression (those that touch one, as in the release) or all"
    )

    def __post_init__(self) -> None:
        if self.segments not in CHOICES:
            raise InputError(f"supervised: segments {self.segments!r} is not known; expected one of {CHOICES}")
