"""The mean flow of each region of interest over its strongest pixels (METHOD 5, step 2)."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

import numpy as np
from numpy.typing import NDArray

from pfes.base.kernels import compiled
from pfes.faces import align
from pfes.faces.align import ROIS

SHARES = np.array([roi.share for roi in ROIS])


def roi_means(
    flow: NDArray[np.float32], boxes: align.Boxes, shares: NDArray[np.float64] = SHARES
) -> NDArray[np.float32]:
    """Return the mean flow [R, 2] over the strongest share of each ROI's pixels.

    Parameters
    ----------
    flow
        float32 [S, S, 2], px.
    boxes
        int64 [R, 4] (x0, y0, x1, y1), inside of the flow and not empty.
    shares
        [R], of the pixels of each box; at least one pixel counts. Of pixels as strong as the weakest that counts, those
        first in the order of rows count.
    """
    means = np.empty((len(boxes), 2), np.float32)
    _means(flow, boxes, shares, means)
    return means


@compiled
def _means(flow, boxes, shares, means):
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i]
        strength = np.empty((y1 - y0) * (x1 - x0), np.float32)
        n = 0
        for y in range(y0, y1):
            for x in range(x0, x1):
                strength[n] = flow[y, x, 0] * flow[y, x, 0] + flow[y, x, 1] * flow[y, x, 1]
                n += 1
        count = max(1, int(np.rint(shares[i] * n)))
        weakest = np.partition(strength, n - count)[n - count]
        ties = count - np.sum(strength > weakest)
        sum_x = sum_y = 0.0
        n = 0
        for y in range(y0, y1):
            for x in range(x0, x1):
                tied = strength[n] == weakest and ties > 0
                if strength[n] > weakest or tied:
                    sum_x += flow[y, x, 0]
                    sum_y += flow[y, x, 1]
                    ties -= tied
                n += 1
        means[i, 0], means[i, 1] = sum_x / count, sum_y / count
