"""Crop boxes and regions of interest from landmarks.

Conventions
-----------
Landmarks are float32 [T, 68, 2] (x, y), px of the recording. A crop box is (x0, y0, side), integers, px of the
recording; the crop is scaled to S x S px ("crop px"). ROI boxes are (x0, y0, x1, y1) in crop px, x1 and y1 exclusive.

The crop follows [ROI]: with g half the distance of the inner eye corners and c their midpoint, rows
c_y - 3.5 g .. c_y + 5.5 g and columns c_x - 4.5 g .. c_x + 4.5 g.

References
----------
[ROI] Zhao et al., "Rethinking Optical Flow Methods for Micro-Expression Spotting", doi 10.1145/3503161.3551602.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pfes.landmarks import Points

Boxes = NDArray[np.int64]

ROI_SCALE = 320  # size of crop in which the table below is written, px


@dataclass(frozen=True)
class Roi:
    """A box around landmarks: their bounding box widened by ``margin`` (left, up, right, down), px at S = 320.

    ``share``: the flow of the box is the mean over this share of its pixels, the strongest ones by magnitude.
    """

    name: str
    points: tuple[int, ...]
    margin: tuple[int, int, int, int] = (10, 10, 10, 10)
    share: float = 0.3


# The first ten feed SpotFormer, which pools them as [0:3], [3:6], [6:10]: their order is load-bearing (METHOD 5).
ROIS = (
    Roi("left_brow_inner", (20,)),
    Roi("left_brow_middle", (19,)),
    Roi("left_brow_outer", (18,)),
    Roi("right_brow_inner", (23,)),
    Roi("right_brow_middle", (24,)),
    Roi("right_brow_outer", (25,)),
    Roi("mouth_left_corner", (48,), (10, 10, 20, 10), 0.2),
    Roi("mouth_right_corner", (54,), (20, 10, 10, 10), 0.2),
    Roi("mouth_upper_lip", (51,), share=0.2),
    Roi("mouth_lower_lip", (57,), share=0.2),
    Roi("nose", (29, 30), share=0.7),
    Roi("left_lower_eyelid", (40, 41), (5, 5, 5, 10)),
    Roi("right_lower_eyelid", (46, 47), (5, 5, 5, 10)),
    Roi("inner_mouth", (62,)),
)
ROI_NAMES = tuple(roi.name for roi in ROIS)
NOSE = ROI_NAMES.index("nose")


def stabilise(landmarks: Points, sigma: float = 2.0) -> Points:
    """Fill gaps linearly in time (held at the ends) and smooth with a Gaussian of ``sigma`` frames.

    For placing crops and ROIs only; no motion is ever made from the result. At least one frame must have a face.
    """
    frames = np.arange(len(landmarks))
    found = np.isfinite(landmarks[:, 0, 0])
    flat = landmarks.reshape(len(landmarks), -1)
    filled = np.stack([np.interp(frames, frames[found], column[found]) for column in flat.T], axis=-1)
    return gaussian_filter1d(filled, sigma, axis=0, mode="nearest").reshape(landmarks.shape).astype(np.float32)


def crop_boxes(landmarks: Points) -> Boxes:
    """Return the crop box [T, 3] (x0, y0, side) of each frame, px of the recording; landmarks without NaN."""
    inner = landmarks[:, [39, 42]].astype(np.float64)  # inner eye corners
    half = np.maximum(np.linalg.norm(inner[:, 0] - inner[:, 1], axis=-1) / 2, 1.0)
    centre = inner.mean(1)
    corner = np.stack([centre[:, 0] - 4.5 * half, centre[:, 1] - 3.5 * half, 9 * half], axis=-1)
    return np.rint(corner).astype(np.int64)


def crop(image: NDArray, box: NDArray[np.int64], size: int) -> NDArray:
    """Cut ``box`` (x0, y0, side) out of ``image`` [H, W], edges replicated beyond the border, scaled to [size, size].

    Shrinking averages over areas, so that nothing aliases into motion.
    """
    x0, y0, side = (int(value) for value in box)
    height, width = image.shape[:2]
    if x0 >= 0 and y0 >= 0 and x0 + side <= width and y0 + side <= height:
        cut = image[y0 : y0 + side, x0 : x0 + side]
    else:
        rows = np.clip(np.arange(y0, y0 + side), 0, height - 1)
        columns = np.clip(np.arange(x0, x0 + side), 0, width - 1)
        cut = image[rows[:, None], columns[None]]
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)


def roi_boxes(landmarks: Points, box: NDArray[np.int64], size: int) -> Boxes:
    """Return the boxes [R, 4] (x0, y0, x1, y1) of ROIS in crop px for one face [68, 2] in its crop box.

    Boxes are cut at the border of the crop and never empty.
    """
    points = (landmarks - box[:2]) * (size / box[2])
    scale = size / ROI_SCALE
    boxes = []
    for roi in ROIS:
        left, up, right, down = (value * scale for value in roi.margin)
        low, high = points[list(roi.points)].min(0), points[list(roi.points)].max(0)
        boxes.append([low[0] - left, low[1] - up, high[0] + right, high[1] + down])
    result = np.rint(boxes).astype(np.int64)
    result[:, :2] = np.clip(result[:, :2], 0, size - 2)
    result[:, 2:] = np.clip(result[:, 2:], result[:, :2] + 2, size)
    return result
