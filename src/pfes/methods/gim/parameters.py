"""The settings of GIM: its pseudo-labels and the weights of its losses."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pfes.base.config import setting
from pfes.base.errors import InputError

Overlap = Literal["random-frame", "random-instance", "higher", "lower", "later"]
Variance = Literal["frames", "d_l"]
Strategy = Literal["gim", "hard", "cosine", "class-wise"]
LabelPass = Literal["clean", "as_released"]
HARD_HALF = (5, 3)  # stage 1, frames on each side: macro, micro
GAUSSIAN_HALF = (4, 2)  # stage 2
MARGIN = 1e-4  # frames; keeps d L / 2 = 1.2 * 5 / 2 at 3 in floating point
IntensityLoss = Literal["mse", "bce"]
Over = Literal["mean", "sum"]


@dataclass(frozen=True)
class GimParameters:
    """Pseudo-labels (METHOD 7.1); not read by the method as_released, which has its own constants (METHOD 7.4).

    The defaults are the paper's, for 100 epochs. Epochs count from 0.
    """

    section: ClassVar[str] = "gim"

    hard_epochs: int = setting(1, "epochs with hard labels around the points", minimum=0)
    gaussian_epochs: int = setting(4, "epochs with a Gaussian of fixed width around the points", minimum=0)
    theta_start: float = setting(0.8, "intensity threshold of eq. 3 at the start of its fall", minimum=0, maximum=1)
    theta_end: float = setting(0.5, "intensity threshold of eq. 3 at the end", minimum=0, maximum=1)
    theta_epochs: int = setting(30, "epochs of training after which the threshold has reached its end", minimum=0)
    k_c: tuple[int, int] = setting((32, 16), "search window of macro and micro, frames", items={"minimum": 1})
    d: float = setting(
        1.2,
        "length of the labelled range in units of L, the frames counted as part of the expression (eq. 4)",
        exclusiveMinimum=0,
    )
    half_widths: tuple[tuple[int, int], tuple[int, int]] | None = setting(
        None,
        "least and most half-width of the labelled range of macro and micro, frames; null is the paper's form, [[8, 18], [4, 8]] the release's",
        items={"items": {"type": "integer", "minimum": 0}},
    )
    strategy: Strategy = setting(
        "gim",
        "soft label: gim, hard (1), cosine (similarity to the pseudo-apex) or class-wise (one mean for each class of a video)",
    )
    variance_over: Variance = setting(
        "frames", "what the sum of eq. 4 is divided by: the frames of the range (release), or d_l, as printed"
    )
    overlap: Overlap = setting(
        "random-frame",
        "which of two overlapping instances of one class labels a shared frame: the higher or the lower label, the later instance, or one drawn for each frame (random-frame, as published) or instance (random-instance)",
    )
    label_pass: LabelPass = setting(
        "clean",
        "pass that labels are made from: clean (without dropout) or as_released (the training pass, with the release's dropout)",
    )
    empty_is_neutral: bool = setting(True, "all frames of a video without points are neutral")

    def __post_init__(self) -> None:
        choices = ("strategy", Strategy), ("overlap", Overlap), ("label_pass", LabelPass), ("variance_over", Variance)
        for name, allowed in choices:
            value, known = getattr(self, name), get_args(allowed)
            if value not in known:
                raise InputError(f"gim: {name} {value!r} is not known; expected one of {', '.join(known)}")

    def stage(self, epoch: int) -> int:
        """Return the stage 1, 2 or 3 of ``epoch``."""
        return 1 + (epoch >= self.hard_epochs) + (epoch >= self.hard_epochs + self.gaussian_epochs)

    def theta(self, epoch: int) -> float:
        """Return the threshold of eq. 3 in ``epoch``: theta_start up to the first epoch of stage 3, then falling."""
        first = self.hard_epochs + self.gaussian_epochs
        share = (epoch - first) / max(self.theta_epochs - 1 - first, 1)
        return self.theta_start + (self.theta_end - self.theta_start) * min(max(share, 0.0), 1.0)

    def longest_half(self) -> int:
        """Return the greatest half-width that any range of any stage can have, frames."""
        if self.half_widths is not None:
            halves = [most for _, most in self.half_widths]
        else:
            halves = [int(self.d * (2 * (k // 2) + 1) / 2 + MARGIN) for k in self.k_c]
        return max(*halves, *HARD_HALF, *GAUSSIAN_HALF)


@dataclass(frozen=True)
class LossParameters:
    """Weights of the losses (METHOD 7.2); the method as_released reads norm and contrast only.

    A weight of 0 leaves the term out.

    The defaults are those of the journal form for CAS(ME)^2; for SAMM-LV norm .3 and contrast 2e-6. The conference form
    has contrast 1.4e-4 for CAS(ME)^2, 2e-5 for SAMM-LV. The form ``as_released`` reads only ``norm`` and ``contrast``.
    """

    section: ClassVar[str] = "loss"

    intensity: IntensityLoss = setting(
        "mse", "intensity against labels: mse (mean square) or bce (binary cross-entropy)"
    )
    intensity_weight: float = setting(
        1.0, "weight of that term; 0 leaves it out, as it does every other term", minimum=0
    )
    action: float = setting(1.0, "weight of the action classification (conference only)", minimum=0)
    smooth: float = setting(0.1, "l1, weight of the smoothness term (eq. 11)", minimum=0)
    norm: float = setting(2.5, "l2, weight of the intensity (eq. 10); .3 for SAMM-LV", minimum=0)
    norm_over: Over = setting("mean", "eq. 10 over frames: mean (release) or sum (as printed)")
    contrast: float = setting(
        1.4e-5,
        "l3, coefficient of the contrastive term (eq. 7, 8); 2e-6 for SAMM-LV; conference 1.4e-4, 2e-5 for SAMM-LV",
        minimum=0,
    )
    contrast_over: Over = setting("mean", "eq. 7 over anchors: mean (release) or sum (as printed)")
    temperature: float = setting(0.5, "tau, temperature of the contrastive term", exclusiveMinimum=0)
    reward: tuple[float, float] = setting(
        (0.4, 0.6),
        "weight of the intensity of reliable macro and micro frames, subtracted (journal only)",
        items={"minimum": 0},
    )
    apex_weight: tuple[float, float] = setting(
        (1.0, 1.8), "weight of the apex classification of macro and micro (journal only)", items={"minimum": 0}
    )
    apex_alpha: tuple[float, float] = setting(
        (0.90, 0.93),
        "share of the positive frames in the apex classification of macro and micro",
        items={"minimum": 0, "maximum": 1},
    )

    def __post_init__(self) -> None:
        for name, allowed in (("intensity", IntensityLoss), ("norm_over", Over), ("contrast_over", Over)):
            value, known = getattr(self, name), get_args(allowed)
            if value not in known:
                raise InputError(f"loss: {name} {value!r} is not known; expected {' or '.join(known)}")


@dataclass(frozen=True)
class ReleasedParameters:
    """What the method as_released may leave out of the published code (METHOD 7.4)."""

    section: ClassVar[str] = "as_released"

    pad_to_longest: bool = setting(
        False, "pad every video to the longest one with zeros, which pass BatchNorm and count in the mean intensity"
    )
