"""Crop boxes and regions of interest from landmarks.

Conventions
-----------
Landmarks are float32 [T, 68, 2] (x, y), px of the recording. A crop box is (x0, y0, side), integers, px of the
recording; the crop is scaled to S x S px ("crop px"). ROI boxes are (x0, y0, x1, y1) in crop px, x1 and y1 exclusive;
which regions there are is a table (``rois``).

The crop follows [ROI]: with g half the distance of the inner eye corners and c their midpoint, rows
c_y - 3.5 g .. c_y + 5.5 g and columns c_x - 4.5 g .. c_x + 4.5 g.

References
----------
[ROI] Zhao et al., "Rethinking Optical Flow Methods for Micro-Expression Spotting", doi 10.1145/3503161.3551602.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter1d

from pfes.faces.geometry import Points
from pfes.faces.rois import NOSE as NOSE
from pfes.faces.rois import ROI_NAMES as ROI_NAMES
from pfes.faces.rois import ROI_SCALE, ROIS, Roi
from pfes.faces.rois import read_rois as read_rois

Boxes = NDArray[np.int64]


def stabilise(landmarks: Points, cut: NDArray[np.bool_] | None = None, sigma: float = 2.0) -> Points:
    """Fill gaps linearly in time (held at the ends) and smooth with a Gaussian of ``sigma`` frames, both within a shot.

    For placing crops and ROIs only; no motion is ever made from the result. At least one frame must have a face.

    Parameters
    ----------
    landmarks : [T, 68, 2], NaN where there is no face
    cut : [T], True in the first frame after a cut; nothing passes from one shot to the next, but a shot without any face
        takes the nearest frame that has one. None: a single shot.
    """
    filled = np.full_like(landmarks, np.nan, np.float64)
    starts = [] if cut is None else np.flatnonzero(cut).tolist()
    for start, end in zip([0, *starts], [*starts, len(landmarks)], strict=True):
        shot = landmarks[start:end].reshape(end - start, -1)
        frames = np.flatnonzero(np.isfinite(shot[:, 0]))
        if len(frames):
            held = [np.interp(np.arange(end - start), frames, column[frames]) for column in shot.T]
            smooth = gaussian_filter1d(np.stack(held, axis=-1), sigma, axis=0, mode="nearest")
            filled[start:end] = smooth.reshape(-1, *landmarks.shape[1:])
    nearest = distance_transform_edt(np.isnan(filled[:, 0, 0]), return_distances=False, return_indices=True)[0]
    return filled[nearest].astype(np.float32)


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


def roi_boxes(landmarks: Points, box: NDArray[np.int64], size: int, rois: Sequence[Roi] = ROIS) -> Boxes:
    """Return the boxes [R, 4] (x0, y0, x1, y1) of ``rois`` in crop px for one face [68, 2] in its crop box.

    Boxes are cut at the border of the crop and never empty.
    """
    points = (landmarks - box[:2]) * (size / box[2])
    scale = size / ROI_SCALE
    boxes = []
    for roi in rois:
        left, up, right, down = (value * scale for value in roi.margin)
        low, high = points[list(roi.points)].min(0), points[list(roi.points)].max(0)
        boxes.append([low[0] - left, low[1] - up, high[0] + right, high[1] + down])
    result = np.rint(boxes).astype(np.int64)
    result[:, :2] = np.clip(result[:, :2], 0, size - 2)
    result[:, 2:] = np.clip(result[:, 2:], result[:, :2] + 2, size)
    return result
