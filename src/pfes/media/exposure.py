"""Whether a picture can be seen at all: too dark, without contrast, or burnt out.

Conventions
-----------
Pictures are uint8 [H, W, 3] BGR; levels are of grey, 0 to 255. EXPOSURES names what ``exposure`` returns: ``dark`` where
even the brightest twentieth stays below DARK, ``flat`` where all but a twentieth at either end lies within FLAT, and
``saturated`` where more than BURNT of the picture is at WHITE or above.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

EXPOSURES = ("fine", "dark", "flat", "saturated")
FINE, DARK_ONE, FLAT_ONE, SATURATED_ONE = range(4)
DARK, FLAT, WHITE, BURNT = 48.0, 10.0, 250.0, 0.5
SIDE = 64  # px: pictures are thinned to about this before they are looked at


def exposure(picture: NDArray[np.uint8]) -> int:
    """Return the index in EXPOSURES of a picture; an empty one is fine."""
    if not picture.size:
        return FINE
    grey = picture[:: max(1, picture.shape[0] // SIDE), :: max(1, picture.shape[1] // SIDE)].mean(axis=-1)
    low, high = np.percentile(grey, [5, 95])
    if high < DARK:
        return DARK_ONE
    if high - low < FLAT:
        return FLAT_ONE
    return SATURATED_ONE if (grey >= WHITE).mean() > BURNT else FINE


def shares(exposures: Iterable[int]) -> dict[str, float]:
    """Return {dark, flat, saturated: share of pictures} from indices in EXPOSURES; 0 for no picture."""
    counts = np.bincount(np.fromiter(exposures, np.int64), minlength=len(EXPOSURES))
    return {name: float(counts[i] / max(counts.sum(), 1)) for i, name in enumerate(EXPOSURES) if i != FINE}


def told(share: dict[str, float], least: float = 0.1) -> list[str]:
    """Return what to say of these shares, those of at least ``least``: ``dark in 80 % of the frames``."""
    return [f"{name} in {part:.0%} of the frames" for name, part in share.items() if part >= least]
