"""The settings that LAC, HR-Pro, TSP-Net and SF-Net share."""

from dataclasses import dataclass
from typing import ClassVar

from pfes.base.config import setting


@dataclass(frozen=True)
class PtalParameters:
    """Training of the heads of point-supervised action localisation (METHOD 10); the defaults are those of LAC."""

    section: ClassVar[str] = "ptal"

    learning_rate: float = setting(1e-4, "learning rate of Adam for the head, the same in every epoch", minimum=0)
    weight_decay: float = setting(5e-4, "L2 penalty of Adam for the head", minimum=0)
    batch_videos: int = setting(16, "videos whose mean loss is one step of the optimiser", minimum=1)
