"""How well a curve follows another: Spearman, Kendall (tau-b) and mean absolute error, per clip.

Conventions
-----------
Metrics are taken per clip and averaged over clips. Ties get average ranks (Spearman) and are corrected for (tau-b).
A constant prediction orders nothing: its Spearman and Kendall are 0, and it is counted. Where the reference is constant
there is no order to find: Spearman and Kendall are NaN and left out of the averages. Two steps give -1, 0 or 1.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.floating]


def clip_metrics(predicted: Floats, reference: Floats) -> dict[str, float]:
    """Return ``spearman``, ``kendall``, ``mae`` and ``constant`` (0 or 1) of one clip, two arrays [T] without NaN.

    Raises ValueError for arrays of different or no length, or values that are not finite.
    """
    predicted, reference = np.asarray(predicted, float), np.asarray(reference, float)
    if predicted.shape != reference.shape or predicted.ndim != 1 or not len(predicted):
        raise ValueError(f"clip_metrics: shapes {predicted.shape} and {reference.shape}, expected two equal [T]")
    if not (np.isfinite(predicted).all() and np.isfinite(reference).all()):
        raise ValueError("clip_metrics: values that are not finite")
    constant = bool(np.ptp(predicted) == 0)
    error = float(np.abs(predicted - reference).mean())
    if np.ptp(reference) == 0:
        return {"spearman": np.nan, "kendall": np.nan, "mae": error, "constant": float(constant)}
    if constant:
        return {"spearman": 0.0, "kendall": 0.0, "mae": error, "constant": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        spearman = float(stats.spearmanr(predicted, reference).statistic)
        kendall = float(stats.kendalltau(predicted, reference).statistic)
    return {"spearman": spearman, "kendall": kendall, "mae": error, "constant": 0.0}


def bootstrap_mean(values: Floats, groups: NDArray, *, samples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of ``values`` [N] under resampling of whole ``groups`` [N] (subjects).

    NaN values are left out; NaN, NaN where nothing is left.
    """
    kept = np.isfinite(values)
    values, groups = np.asarray(values)[kept], np.asarray(groups)[kept]
    if not len(values):
        return np.nan, np.nan
    names, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, values, len(names))
    counts = np.bincount(index, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), (samples, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
