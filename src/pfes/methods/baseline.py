"""The method ``baseline``: peaks of the mean ROI flow magnitude, without training.

Conventions
-----------
``snippets`` [T, 17, 10, 2] hold, for sampled frame t and entry e, the mean flow of each ROI from frame t-8 to t-8+e in
px of the aligned crop, nose motion removed; beyond the ends of the video the first or last frame repeats.
The two classes are spotted each with its own interval distance k, in the order of ``records.CLASSES``.

Method
------
1. Feature difference: frame t against the average of the frames k before and k after it, here of ROI positions,
   |d(t) - (d(t-k) + d(t+k)) / 2| = |flow(t-k -> t) - flow(t -> t+k)| / 2, averaged over the strongest. It is high at an
   apex and 0 for steady drift. Moilanen, Zhao, Pietikainen, ICPR 2014, doi 10.1109/ICPR.2014.303.
2. A moving average.
3. Peaks above mean + p (max - mean), as Moilanen et al., at least k frames apart; p = .6 as in SL-Swin.
4. The interval is the peak and a fixed number of frames on each side (SL-Swin: 18 for macro).
5. Class: the width of a bell or triangle at half its height is half its duration; a peak that so says less than .5 s is
   no macro, any other no micro. Micro is spotted on the frames that no macro-expression covers, since the large motion
   would lift the threshold over every small one.

Differences
-----------
- Moilanen et al. compare texture in 36 blocks and average the strongest third of the differences; here it is flow at
  the 10 ROIs, of which the strongest 3 are averaged (``roi_share=.3``; 1 averages all, which hides one-sided motion).
- The threshold is relative, so that every video would yield its highest peak; ``min_peak_px`` keeps still videos empty.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base.config import REQUIRED, setting
from pfes.base.errors import InputError
from pfes.base.records import CLASSES, FRAME_COLUMNS, HALF
from pfes.decoding.proposals import Floats, Mask, SpotParameters, moving_average
from pfes.methods.base import Curves, Signals, TrainingFreeMethod


@dataclass(frozen=True)
class PeakParameters:
    """How one class is spotted."""

    distance_frames: int = setting(REQUIRED, "interval distance k, frames", minimum=1, maximum=16)
    smooth_frames: int = setting(REQUIRED, "width of the moving average, frames, odd", minimum=1)
    half_width_frames: int = setting(REQUIRED, "frames on each side of a peak", minimum=1)

    def __post_init__(self) -> None:
        if self.smooth_frames % 2 == 0:
            raise InputError(f"spot.baseline: smooth_frames is {self.smooth_frames}, expected an odd number; 1 is none")


@dataclass(frozen=True)
class BaselineParameters:
    """Peaks of the flow magnitude, the method baseline."""

    section: ClassVar[str] = "baseline"

    threshold_share: float = setting(0.6, "p of the threshold mean + p (max - mean)", minimum=0, maximum=1)
    min_peak_px: float = setting(0.1, "least height of a peak, px of the crop, above the noise of the flow", minimum=0)
    roi_share: float = setting(
        0.3, "share of the ROIs, the strongest of each frame, that are averaged", minimum=0, maximum=1
    )
    micro_s: float = setting(0.5, "a peak shorter than this is micro, s", minimum=0)
    macro: PeakParameters = setting(
        PeakParameters(distance_frames=16, smooth_frames=9, half_width_frames=18), "Peaks of macro-expressions"
    )
    micro: PeakParameters = setting(
        PeakParameters(distance_frames=8, smooth_frames=3, half_width_frames=6), "Peaks of micro-expressions"
    )


class Baseline(TrainingFreeMethod):
    """Peaks of the flow magnitude."""

    name = "baseline"
    spot_sections = (BaselineParameters,)
    reads_spot = False

    def curves(self, signals: Signals, params: SpotParameters) -> Curves:
        """Return the magnitudes, px, as class scores, and the larger one as intensity."""
        magnitudes = class_magnitudes(signals.measured, params.of(BaselineParameters))
        return {"intensity": magnitudes.max(axis=1), "class_scores": magnitudes}

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return the peaks; score and intensities are in px."""
        return propose_peaks(curves["class_scores"], params.of(BaselineParameters), fps, valid=curves["valid"])


def class_magnitudes(snippets: NDArray[np.floating], params: BaselineParameters) -> Floats:
    """Return the flow magnitude [T, 2] of snippets [T, 17, 10, 2] at the interval distance of each class."""
    distances = (params.macro.distance_frames, params.micro.distance_frames)
    return np.stack([flow_magnitude(snippets, distance, params.roi_share) for distance in distances], axis=1)


def flow_magnitude(snippets: NDArray[np.floating], distance_frames: int = 8, roi_share: float = 0.3) -> Floats:
    """Return the feature difference [T] in px at interval distance k, averaged over the strongest ROIs.

    Parameters
    ----------
    snippets
        Flow [T, 17, R, 2] in px.
    distance_frames
        k, 1 to 16.
    roi_share
        Share of the R ROIs to average, rounded, at least one; 1 averages all.
    """
    span = snippets.shape[1] - 1
    if not 1 <= distance_frames <= span:
        raise ValueError(f"distance_frames is {distance_frames}, expected 1 to {span}, the span of a snippet")
    frames = np.arange(len(snippets))
    before = displacement(snippets, frames - distance_frames, frames)  # (T, R, 2)
    after = displacement(snippets, frames, frames + distance_frames)
    difference = np.sort(np.linalg.norm(before - after, axis=2) / 2, axis=1)  # (T, R), weakest first
    count = max(1, round(roi_share * snippets.shape[2]))
    return np.asarray(difference[:, -count:].mean(axis=1), np.float64)


def displacement(snippets: NDArray[np.floating], start: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
    """Return the flow [N, R, 2] from frames ``start`` [N] to ``end`` [N], 0 <= end - start <= 16, cut to the video."""
    last = len(snippets) - 1
    start, end = np.clip(start, 0, last), np.clip(end, 0, last)
    row = np.minimum(start + HALF, last)  # the snippet that begins at ``start``, or the last one
    first, second = snippets[row, start - row + HALF], snippets[row, end - row + HALF]
    return second.astype(np.float64) - first


def propose_peaks(
    magnitudes: Floats, params: BaselineParameters, fps: float = 30.0, *, valid: Mask | None = None
) -> pd.DataFrame:
    """Turn the flow magnitudes of one video into proposals.

    Parameters
    ----------
    magnitudes
        Magnitude [T, 2] in px for macro and micro, see ``class_magnitudes``.
    fps
        Sampled frames per second.
    valid
        Mask [T], False where there is no face: such a frame has no motion.

    Returns
    -------
    DataFrame
        Columns as of ``proposals.propose``, score and intensities in px; a flat or empty magnitude gives no row.
    """
    mask = np.ones(len(magnitudes), bool) if valid is None else np.asarray(valid, bool)
    free = mask.copy()
    tables = []
    for index, (name, peak) in enumerate(zip(CLASSES, (params.macro, params.micro), strict=True)):
        curve = np.where(mask, moving_average(magnitudes[:, index], peak.smooth_frames, mask), 0.0)
        apexes, duration_s = find_apexes(curve, free, peak.distance_frames, params, fps)
        apexes = apexes[(duration_s < params.micro_s) == (name == "micro")]
        tables.append(_intervals(name, curve, apexes, peak.half_width_frames))
        for onset, offset in tables[-1][["onset", "offset"]].to_numpy(np.int64):
            free[onset : offset + 1] = False
    return pd.concat(tables, ignore_index=True)


def find_apexes(
    curve: Floats, free: Mask, distance_frames: int, params: BaselineParameters, fps: float
) -> tuple[NDArray[np.int64], Floats]:
    """Return the peaks [N] of ``curve`` [T] on free frames and above their threshold, and the durations [N] they tell.

    The threshold is that of the free frames; a curve that is the same on all of them has no peak.
    """
    if not free.any() or np.ptp(curve[free]) < 1e-9:
        return np.empty(0, np.int64), np.empty(0)
    mean, highest = curve[free].mean(), curve[free].max()
    threshold = max(mean + params.threshold_share * (highest - mean), params.min_peak_px)
    from scipy.signal import find_peaks, peak_widths  # takes a second to import, and every job imports this module

    padded = np.concatenate([[0.0], curve, [0.0]])  # a peak may be the first or last frame
    peaks, _ = find_peaks(padded, height=threshold, distance=distance_frames)
    peaks = peaks[free[peaks - 1]]
    half = peak_widths(padded, peaks, rel_height=0.5, prominence_data=_whole(padded, peaks))[0]
    return peaks.astype(np.int64) - 1, 2 * half / fps


def _whole(padded: Floats, peaks: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return what makes scipy measure widths at half the height above 0 and not half the prominence."""
    return padded[peaks], np.zeros(len(peaks), np.intp), np.full(len(peaks), len(padded) - 1, np.intp)


def _intervals(name: str, curve: Floats, apexes: NDArray[np.int64], half_width: int) -> pd.DataFrame:
    onset = np.maximum(apexes - half_width, 0)
    offset = np.minimum(apexes + half_width, len(curve) - 1)
    means = np.array([curve[start : end + 1].mean() for start, end in zip(onset, offset, strict=True)], np.float64)
    names = np.full(len(apexes), name, dtype=object)
    columns = (names, onset, apexes, offset, curve[apexes], means, curve[apexes])
    return pd.DataFrame(dict(zip(FRAME_COLUMNS, columns, strict=True)))
