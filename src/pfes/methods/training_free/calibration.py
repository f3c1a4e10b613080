"""The threshold that gives a person who does nothing a wanted number of alarms a minute (METHOD 10b.8).

A stretch marked neutral holds no expression: whatever is spotted there is a false alarm. The threshold that leaves F of them
a minute is read off the heights of the excursions there, or, on a stretch too short to hold one, from a law of extremes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.methods.training_free.excursions import Floats, find_excursions
from pfes.methods.training_free.parameters import TrainingFreeParameters

LEAST_S = 10.0  # shortest stretch that says anything
BLOCK_S = 2.0
EULER = 0.5772156649  # mean of the standard Gumbel law


@dataclass(frozen=True)
class Calibration:
    """What a neutral stretch of ``minutes`` gave: ``threshold`` c, ``alarms`` there, and by which rule (``counted`` or ``law``).

    ``bound``: the rate of alarms, per minute, that so few alarms in so short a time exclude at 95 %.
    """

    threshold: float
    minutes: float
    alarms: int
    rule: str

    @property
    def bound(self) -> float:
        """Return the upper limit of the rate, 1/min: 3 / minutes without any alarm."""
        return float(_upper(self.alarms) / self.minutes)


def check_stretch(seconds: float, alarms_per_minute: float) -> None:
    """Raise InputError if a neutral stretch is shorter than 10 s, or the rate is not above 0."""
    if seconds < LEAST_S:
        raise InputError(
            f"--neutral: {seconds:.1f} s of the recording, expected at least {LEAST_S:.0f}; mark a longer stretch without expressions"
        )
    if alarms_per_minute <= 0:
        raise InputError(f"--alarms-per-minute is {alarms_per_minute:g}, expected more than 0, such as 1 or 3")


def calibrate(
    curve: Floats, neutral: NDArray[np.bool_], fps: float, params: TrainingFreeParameters, alarms_per_minute: float
) -> Calibration:
    """Return the smallest threshold that leaves at most ``alarms_per_minute`` on the ``neutral`` frames [T].

    Where the stretch is too short to hold a single alarm at that rate, the maxima of its blocks of 2 s are taken to
    follow a Gumbel law (moments), of which the quantile 1 - F / 30 is the threshold.

    Raises
    ------
    InputError
        As ``check_stretch``.
    """
    seconds = float(neutral.sum() / fps)
    check_stretch(seconds, alarms_per_minute)
    excursions = find_excursions(curve, fps, params, 0.0)
    inside = neutral[excursions.apexes]
    heights = np.sort(excursions.heights[inside])[::-1]
    allowed = int(alarms_per_minute * seconds / 60 + 1e-9)
    if allowed >= 1:
        highest = heights[allowed] if len(heights) > allowed else 0.0  # the first that must not be an alarm
        threshold, rule = float(np.nextafter(highest, np.inf)), "counted"
    else:
        size = round(BLOCK_S * fps)
        blocks = np.flatnonzero(neutral)[: len(np.flatnonzero(neutral)) // size * size].reshape(-1, size)
        maxima = np.array([heights_in(excursions.apexes, excursions.heights, block) for block in blocks])
        scale = float(np.std(maxima, ddof=1)) * np.sqrt(6) / np.pi
        location = float(np.mean(maxima)) - EULER * scale
        quiet = 1 - alarms_per_minute * BLOCK_S / 60
        threshold, rule = location - scale * float(np.log(-np.log(quiet))), "law"
    return Calibration(threshold, seconds / 60, int((heights >= threshold).sum()), rule)


def heights_in(apexes: NDArray[np.int64], heights: Floats, frames: NDArray[np.int64]) -> float:
    """Return the greatest of ``heights`` [N] whose apex [N] is among ``frames``; 0 if there is none."""
    own = heights[(apexes >= frames[0]) & (apexes <= frames[-1])]
    return float(own.max(initial=0.0))


def _upper(count: int) -> float:
    """Return the mean of the Poisson law that gives ``count`` or fewer with a chance of 5 %."""
    from scipy.stats import chi2

    return float(chi2.ppf(0.95, 2 * count + 2) / 2)
