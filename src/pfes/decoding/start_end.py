"""From the ten outputs of the fully supervised SpotFormer to proposals.

Deng, Hayashi, Nagahara, "SpotFormer", arXiv 2407.20799, doi 10.1109/TAFFC.2026.3677401.

Conventions
-----------
T sampled frames at about 30 fps; ``outputs`` [T, 10] are probabilities in the order of pfes.methods.supervised.losses. Intervals are
inclusive ``[onset, offset]``, 0-based, int64. Proposals have the columns of pfes.decoding.proposals and go the same way.

Steps, per class
----------------
1. A candidate at every frame a whose apex probability is above a threshold.
2. Its onset s is the frame of highest start probability in [a - far, a - near], its offset e that of highest end
   probability in [a + near, a + far]; both ranges are cut at the ends of the video, where at least its first or last
   frame stays in them. Of equal probabilities the frame nearest to a is taken.
3. It is kept if start beats end at s and end beats start at e.
4. Score = P_start(s) P_end(e) P_apex(a). NMS, whose IoU is half-open, then the best few per video.

Difference from the release
---------------------------
A frame without a face has probability 0 throughout.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pfes.base.config import setting
from pfes.base.intervals import as_intervals, nms
from pfes.base.records import CLASSES, FRAME_COLUMNS

Floats = NDArray[np.float64]
START, END, APEX = (3, 0), (4, 1), (7, 6)  # columns of the outputs: macro, micro


@dataclass(frozen=True)
class DecodeParameters:
    """Decoding of the method supervised (METHOD 11), which reads nothing else of spot; the paper's at 30 fps."""

    section: ClassVar[str] = "supervised"

    apex_threshold: float = setting(
        0.5, "apex probability above which a frame is the apex of a candidate", minimum=0, maximum=1
    )
    macro_reach: tuple[int, int] = setting(
        (8, 29),
        "least and greatest distance of onset and offset from the apex of a macro-expression, frames",
        items={"minimum": 0},
    )
    micro_reach: tuple[int, int] = setting(
        (2, 8),
        "least and greatest distance of onset and offset from the apex of a micro-expression, frames",
        items={"minimum": 0},
    )
    nms_iou: float = setting(
        0.5, "IoU with a better proposal of its class above which a proposal is dropped", minimum=0, maximum=1
    )
    max_per_video: int = setting(5, "greatest number of proposals of a class in a video", minimum=1)


def decode(
    outputs: ArrayLike, params: DecodeParameters = DecodeParameters(), *, valid: ArrayLike | None = None
) -> pd.DataFrame:
    """Turn the outputs of one video into proposals.

    Parameters
    ----------
    outputs
        Probabilities [T, 10].
    valid
        Mask [T], False where there is no face. None: all frames are valid.

    Returns
    -------
    DataFrame
        Columns records.FRAME_COLUMNS, in the order of class and onset; ``mean_intensity`` is the mean apex
        probability of the class inside, ``peak_intensity`` the one at the apex.

    Raises
    ------
    ValueError
        Shapes differ or a value is not finite.
    """
    scores = np.asarray(outputs, np.float64)
    mask = np.ones(len(scores), bool) if valid is None else np.asarray(valid, bool)
    if scores.ndim != 2 or scores.shape[1] != 10 or mask.shape != scores.shape[:1]:
        raise ValueError(f"expected [T, 10] and [T], got {scores.shape} and {mask.shape}")
    if not np.isfinite(scores[mask]).all():
        raise ValueError("the outputs are not finite; did training diverge?")
    scores = np.where(mask[:, None], scores, 0.0)
    tables = []
    for c, (name, reach) in enumerate(zip(CLASSES, (params.macro_reach, params.micro_reach), strict=True)):
        start, end, apex = scores[:, START[c]], scores[:, END[c]], scores[:, APEX[c]]
        found, score = candidates(start, end, apex, reach, params.apex_threshold)
        best = nms(as_intervals(found[:, 0], found[:, 2]), score, params.nms_iou, half_open=True)[
            : params.max_per_video
        ]
        best = best[np.lexsort((found[best, 2], found[best, 0]))]
        means = [apex[onset : offset + 1].mean() for onset, _, offset in found[best]]
        columns = (
            np.full(len(best), name, object), *found[best].T, score[best],
            np.array(means, np.float64), apex[found[best, 1]],
        )  # fmt: skip
        tables.append(pd.DataFrame(dict(zip(FRAME_COLUMNS, columns, strict=True))))
    return pd.concat(tables, ignore_index=True)


def candidates(
    start: Floats, end: Floats, apex: Floats, reach: tuple[int, int], threshold: float
) -> tuple[NDArray[np.int64], Floats]:
    """Return candidates [N, 3] (onset, apex, offset) of one class in the order of their apex, and scores [N].

    ``start``, ``end``, ``apex`` are probabilities [T]; see the module's steps 1 to 4.
    """
    peaks = np.flatnonzero(apex > threshold)
    distance = np.arange(reach[0], reach[1] + 1)
    before = np.maximum(peaks[:, None] - distance, 0)  # [N, reach], nearest first
    after = np.minimum(peaks[:, None] + distance, max(len(apex) - 1, 0))
    rows = np.arange(len(peaks))
    onset = before[rows, start[before].argmax(1)]
    offset = after[rows, end[after].argmax(1)]
    kept = (start[onset] > end[onset]) & (end[offset] > start[offset])
    score = start[onset] * end[offset] * apex[peaks]
    return np.stack([onset, peaks, offset], axis=1)[kept].astype(np.int64), score[kept]
