"""The settings of TSP-Net."""

from dataclasses import dataclass
from typing import ClassVar

from pfes.base.config import setting


@dataclass(frozen=True)
class TspParameters:
    """Training of the method tsp (METHOD 10.3)."""

    section: ClassVar[str] = "tsp"

    move_every: int = setting(10, "epochs after which points move to the centres of their candidates", minimum=1)
    as_released: bool = setting(
        False, "add the shift from where a point is to where it was at first, as the published code does"
    )


@dataclass(frozen=True)
class TspSpotParameters:
    """Inference of the method tsp (METHOD 10.3)."""

    section: ClassVar[str] = "tsp"

    class_share: float = setting(
        0.0,
        "least mean probability of a class in a video that has it; .1 as published, 0 is no limit",
        minimum=0,
        maximum=1,
    )
    neighbour_iou: float = setting(
        0.4, "IoU above which candidates are neighbours, whose ends are averaged", minimum=0, maximum=1
    )
