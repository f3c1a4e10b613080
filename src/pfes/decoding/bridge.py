"""Held expressions: the proposals of their onset and of their offset, joined.

A window of 17 frames sees motion. Where an expression is held for longer there is none, the intensity falls, and what is
found is the way there and the way back. They are told from two expressions by where they go: the one moves the regions one
way, the other moves them back.

Conventions
-----------
``moved`` [T, 10, 2] is the displacement over the window of each frame, px of the crop: entry 16 of its snippet. Its mean over
an expression that is seen whole is small, there and back. Proposals are FRAME_COLUMNS; ``bridged`` returns new ones.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base.records import CLASSES

OPPOSITE = -0.8  # cosine of the two displacements, all regions together: at most this
STRONGEST = 3  # regions over which the length of a displacement is the mean
LEAST_PX, LEAST_SHARE = 0.5, 0.5  # length of each, px of the crop at 128 px; of the shorter, of the longer
MICRO_S = 0.5  # a joined expression is micro only if it is shorter


def bridged(proposals: pd.DataFrame, moved: NDArray[np.floating], longest_s: float, fps: float) -> pd.DataFrame:
    """Join neighbouring proposals that are onset and offset of one expression of at most ``longest_s``.

    The joined one reaches from the onset of the first to the offset of the second, has its apex in the middle of the two
    apexes and the mean of their scores and mean intensities. A proposal is joined once, the earlier pair first. Of
    proposals that overlap by more than half of the shorter neither is a neighbour: they are readings of one motion.
    """
    rows = proposals.sort_values(["onset", "offset"], kind="stable").to_dict("records")
    found, index = [], 0
    while index < len(rows):
        pair = rows[index : index + 2]
        if len(pair) == 2 and _one_expression(pair[0], pair[1], moved, longest_s * fps):
            found.append(_joined(pair[0], pair[1], fps))
            index += 2
        else:
            found.append(pair[0])
            index += 1
    joined = pd.DataFrame(found, columns=proposals.columns).astype(proposals.dtypes)
    classes = np.array([CLASSES.index(name) for name in joined["class"]], np.int64)
    return joined.iloc[np.lexsort((joined["onset"].to_numpy(), classes))].reset_index(drop=True)


def _one_expression(first: dict, second: dict, moved: NDArray[np.floating], longest: float) -> bool:
    shared = first["offset"] - second["onset"] + 1
    shorter = min(first["offset"] - first["onset"], second["offset"] - second["onset"]) + 1
    if second["offset"] - first["onset"] + 1 > longest or 2 * shared > shorter:
        return False
    there, back = (moved[row["onset"] : row["offset"] + 1].mean(axis=0, dtype=np.float64) for row in (first, second))
    lengths = [np.sort(np.linalg.norm(way, axis=1))[-STRONGEST:].mean() for way in (there, back)]
    if min(lengths) < max(LEAST_PX, LEAST_SHARE * max(lengths)):
        return False
    return bool((there * back).sum() <= OPPOSITE * np.linalg.norm(there) * np.linalg.norm(back))


def _joined(first: dict, second: dict, fps: float) -> dict:
    length = second["offset"] - first["onset"] + 1
    return {
        "class": CLASSES[int(length < MICRO_S * fps)],
        "onset": first["onset"],
        "apex": (first["apex"] + second["apex"]) // 2,
        "offset": second["offset"],
        **{name: (first[name] + second[name]) / 2 for name in ("score", "mean_intensity")},
        "peak_intensity": max(first["peak_intensity"], second["peak_intensity"]),
    }
