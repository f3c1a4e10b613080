"""The section ``evaluate`` of a configuration."""

from dataclasses import dataclass

from pfes.base.config import setting


@dataclass(frozen=True)
class BootstrapParameters:
    """How intervals and p values are drawn.

    samples : draws of the bootstrap, and exchanges of the permutation
    level : share of the distribution that an interval holds
    seed : of the draws
    """

    samples: int = setting(2000, "draws of subjects for intervals, and exchanges for p values", minimum=100)
    level: float = setting(0.95, "share of the draws that an interval holds", exclusiveMinimum=0, exclusiveMaximum=1)
    seed: int = setting(0, "seed of the draws", minimum=0)


@dataclass(frozen=True)
class EvaluateParameters:
    """How a run is evaluated."""

    protocol: str = setting(
        "strict",
        "how proposals are counted (docs/evaluation.md)",
        enum=("strict", "gim-release", "megc2020", "megc-strs", "he-2021"),
    )
    iou: float = setting(0.5, "least overlap of a hit, intersection over union", minimum=0.05, maximum=1)
    review_s: float = setting(
        3.0,
        "time that looking at a proposal takes besides its own length, for the curve of recall against minutes of review, s",
        minimum=0,
    )
    bootstrap: BootstrapParameters = setting(BootstrapParameters(), "intervals over subjects and p values")
