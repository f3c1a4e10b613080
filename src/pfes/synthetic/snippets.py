"""From tracks of the regions to snippets, as the stages flow and snippets define them (METHOD 5), without a picture.

Conventions
-----------
N recordings of T frames, M frames wanted of each. Tracks are [N, T, 11, 2]: positions of the ten regions and the nose, px
of the crop at 128 px up to a constant. The window of frame t is t-8 .. t+8, beyond the ends the first or last frame
repeats, its first frame is the reference: entry k is the motion from the reference to window frame k, less that of the
nose.

Differences
-----------
Where crops are placed, and that they follow the nose, leaves nothing after the nose is subtracted: a shift of the crop
adds to all regions and to the nose alike. What does act on means at regions, their error and shrinkage, is ``noise``.
"""

import numpy as np
from numpy.typing import NDArray

from pfes.base.records import HALF
from pfes.flow.snippets import N_ROIS

Array = NDArray[np.float32]


def window_frames(frames: NDArray[np.int64], n_frames: int) -> NDArray[np.int64]:
    """Return the frames [..., 17] of the windows of ``frames`` [...]."""
    return np.clip(frames[..., None] + np.arange(-HALF, HALF + 1), 0, n_frames - 1)


def window_motion(tracks: Array, frames: NDArray[np.int64]) -> Array:
    """Return what would be measured without error, [N, M, 17, 10, 2], in the windows of ``frames`` [N, M]."""
    members = window_frames(frames, tracks.shape[1])
    against_nose = tracks[:, :, :N_ROIS] - tracks[:, :, N_ROIS:]
    seen = against_nose[np.arange(len(tracks))[:, None, None], members]
    return np.asarray(seen - seen[:, :, :1], np.float32)
