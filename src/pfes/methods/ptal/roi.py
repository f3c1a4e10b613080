"""Features of an interval, whatever its length, with those of its surroundings (METHOD 10.0).

Conventions
-----------
Intervals are real-valued [start, end] on the axis where frame i covers [i, i + 1]: the inclusive frames [onset, offset] are
[onset, offset + 1]. Source: HR-Pro, arXiv 2308.12608, its code @1abb331; TSP-Net has the same.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pfes.base.kernels import compiled

BINS = 12
PARTS = ((0, 2), (2, 10), (10, 12))  # bins before, inside and after the interval
AROUND = 0.25  # of the width that is added on each side


def roi_bins(features: NDArray[np.float32], intervals: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the features of the bins [N, 12, D] of intervals [N, 2] of ``features`` [T, D].

    The interval and a quarter of its width on each side is cut into 12 equal bins. A bin is the mean of as many evenly
    spaced samples as it is frames wide, rounded up (at least one); a sample lies between two frames, whose features are at
    their centres i + .5, and is linear between them; beyond the video they are zero.
    """
    out = np.zeros((len(intervals), BINS, features.shape[1]), np.float32)
    _bins(np.ascontiguousarray(features, np.float32), np.asarray(intervals, np.float64), out)
    return out


def roi_parts(features: Tensor, intervals: NDArray[np.float64]) -> Tensor:
    """Return r [N, 3, D]: the elementwise maxima of the bins before, inside and after each interval, without gradient."""
    bins = roi_bins(features.detach().cpu().numpy(), intervals)
    parts = np.stack([bins[:, first:stop].max(1) for first, stop in PARTS], 1)
    return torch.as_tensor(parts, device=features.device)


class RoiEmbedding(nn.Module):
    """z = Dropout(ReLU(W [r2 - r1, r2, r2 - r3])), from parts [N, 3, D] to [N, D]."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, parts: Tensor) -> Tensor:
        """Return z [N, D]."""
        before, inside, after = parts.unbind(1)
        z: Tensor = self.dropout(self.linear(torch.cat([inside - before, inside, inside - after], 1)).relu())
        return z


def branch(width: int, outputs: int) -> nn.Sequential:
    """Return two layers with a ReLU between them, D -> D / 2 -> ``outputs``."""
    return nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, outputs))


@compiled
def _bins(features, intervals, out):
    n_frames, width = features.shape
    for n in range(len(intervals)):
        start, end = intervals[n]
        size = (end - start) * (1 + 2 * AROUND) / BINS
        begin = start - AROUND * (end - start)
        count = max(int(np.ceil(size - 1e-9)), 1)
        for i in range(BINS):
            for k in range(count):
                place = begin + i * size + (k + 0.5) * size / count - 0.5
                low = int(np.floor(place))
                share = place - low
                if 0 <= low < n_frames:
                    for d in range(width):
                        out[n, i, d] += (1 - share) * features[low, d] / count
                if 0 <= low + 1 < n_frames:
                    for d in range(width):
                        out[n, i, d] += share * features[low + 1, d] / count
