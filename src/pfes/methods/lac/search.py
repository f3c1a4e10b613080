"""The optimal sequence of one class: which frames are expression, given the seeds and the scores (METHOD 10.1).

Conventions
-----------
The known frames of a class, its action seeds (1) and everything that is background to it (0), fix how many segments the
video has and in which order they alternate: segment k covers at least [lo_k, hi_k], and segment k + 1 begins in
(hi_k, lo_{k+1}]. What is looked for are these n - 1 beginnings. The value of a labelling is the mean over segments of the
outer-inner contrast (``ptal.losses.oic``), on the score of the class for action, on 1 less it for background.

Source: LAC, ICCV 2021, arXiv 2108.05029, its code @1ef066a.

Differences
-----------
``exact`` is ours. ``greedy`` keeps at most TIES times its budget where more hypotheses tie with the last that stays.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

import numpy as np
from numpy.typing import NDArray

from pfes.base.kernels import compiled
from pfes.methods.lac.parameters import LacParameters
from pfes.methods.ptal.seeds import Seeds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TIES = 4


def find_sequence(p: NDArray[np.floating], seeds: Seeds, params: LacParameters) -> NDArray[np.bool_]:
    """Return which frames are expression of each class, bool [T, 2]; a class without an action seed has none.

    Parameters
    ----------
    p : fused scores [T, 2] of the classes.
    """
    sequence = np.zeros(p.shape, bool)
    for kind in range(p.shape[1]):
        if seeds.action[:, kind].any():
            known = np.full(len(p), -1)
            known[seeds.background | seeds.action.any(1)] = 0
            known[seeds.action[:, kind]] = 1
            sequence[:, kind] = best_labels(p[:, kind], known, params)
    return sequence


def best_labels(p: NDArray[np.floating], known: Ints, params: LacParameters) -> NDArray[np.bool_]:
    """Return the labels [T] of the best sequence found for the score p [T]; ``known`` is 1, 0 or -1 where nothing is."""
    low, high, kinds = segments(known)
    total = np.concatenate([[0.0], np.cumsum(p, dtype=np.float64)])
    if params.search == "exact":
        begins = exact(total, low, high, kinds)
    else:
        begins = greedy(total, low, high, kinds, params.budget, params.drop_below)
    labels = np.zeros(len(p), bool)
    for begin, end, kind in zip(begins, [*begins[1:], len(p)], kinds, strict=True):
        labels[begin:end] = kind
    return labels


def segments(known: Ints) -> tuple[Ints, Ints, Ints]:
    """Return first and last known frame and the label of each run of equal known labels, in order."""
    frames = np.flatnonzero(known >= 0)
    labels = known[frames]
    edges = np.flatnonzero(np.diff(labels)) + 1
    first, last = np.concatenate([[0], edges]), np.concatenate([edges - 1, [len(frames) - 1]])
    return frames[first], frames[last], labels[first]


def sequence_value(p: NDArray[np.floating], begins: Ints, kinds: Ints) -> float:
    """Return the mean contrast of the segments that begin at ``begins`` (the first at 0) and have the labels ``kinds``."""
    total = np.concatenate([[0.0], np.cumsum(p, dtype=np.float64)])
    ends = [*begins[1:].tolist(), len(p)]
    values = [_contrast(total, a, b, k) for a, b, k in zip(begins.tolist(), ends, kinds.tolist(), strict=True)]
    return float(np.mean(values))


@compiled
def _contrast(total, begin, stop, kind):
    """Return the contrast of frames begin .. stop - 1; on 1 - p it is that on p with the other sign, but at the ends.

    With a flank the ones cancel out; a segment that is the whole video has none and is worth its mean.
    """
    n_frames = len(total) - 1
    length = stop - begin
    first, last = max(begin - (length + 3) // 4, 0), min(stop + length // 4, n_frames)
    inside = (total[stop] - total[begin]) / length
    count = last - first - length
    if count == 0:
        return inside if kind == 1 else 1 - inside
    outside = (total[last] - total[first] - (total[stop] - total[begin])) / count
    return inside - outside if kind == 1 else outside - inside


@compiled
def exact(total, low, high, kinds):
    """Return the beginnings [n] of the segments of greatest value; of equals the earliest.

    A contrast depends on the two ends of its segment alone, so that the best up to each beginning of segment k follow from
    those of segment k - 1.
    """
    n, n_frames = len(low), len(total) - 1
    choice = np.zeros((n + 1, n_frames + 1), np.int32)
    best = np.zeros(n_frames + 1)
    for k in range(n):
        first, last = (0, 0) if k == 0 else (high[k - 1] + 1, low[k])
        next_first, next_last = (n_frames, n_frames) if k == n - 1 else (high[k] + 1, low[k + 1])
        after = np.full(n_frames + 1, -np.inf)
        for stop in range(next_first, next_last + 1):
            for begin in range(first, last + 1):
                value = best[begin] + _contrast(total, begin, stop, kinds[k])
                if value > after[stop]:
                    after[stop] = value
                    choice[k, stop] = begin
        best = after
    begins = np.zeros(n, np.int64)
    stop = n_frames
    for k in range(n - 1, -1, -1):
        begins[k] = choice[k, stop]
        stop = begins[k]
    return begins


@compiled
def greedy(total, low, high, kinds, budget, drop_below):
    """Return the beginnings [n] of the segments that the published search finds.

    Frame by frame a hypothesis stays in its segment, begins the next one, or, between the two, both. Its value is the mean
    contrast of its completed segments, infinite before the first. Then those below ``drop_below`` go (never the best), and
    all but the best ``budget`` (those that tie with the last stay).
    """
    n, n_frames = len(low), len(total) - 1
    begins = np.zeros((1, n), np.int64)
    segment, sums = np.zeros(1, np.int64), np.zeros(1)
    for frame in range(1, n_frames):
        branches = 0
        for i in range(len(segment)):
            k = segment[i]
            branches += k < n - 1 and high[k] < frame < low[k + 1]
        size = len(segment) + branches
        new_begins, new_segment, new_sums = np.zeros((size, n), np.int64), np.zeros(size, np.int64), np.zeros(size)
        place = 0
        for i in range(len(segment)):
            k = segment[i]
            may_switch = k < n - 1 and frame > high[k]
            if not (may_switch and frame == low[k + 1]):
                new_begins[place], new_segment[place], new_sums[place] = begins[i], k, sums[i]
                place += 1
            if may_switch:
                new_begins[place] = begins[i]
                new_begins[place, k + 1] = frame
                new_segment[place] = k + 1
                new_sums[place] = sums[i] + _contrast(total, begins[i, k], frame, kinds[k])
                place += 1
        values = np.full(size, np.inf)
        for i in range(size):
            if new_segment[i] > 0:
                values[i] = new_sums[i] / new_segment[i]
        least = min(drop_below, values.max())
        if size > budget:
            least = max(least, np.partition(values, size - budget)[size - budget])
        kept = np.flatnonzero(values >= least)[: budget * TIES]
        begins, segment, sums = new_begins[kept], new_segment[kept], new_sums[kept]
    best, chosen = -np.inf, 0
    for i in range(len(segment)):
        value = (sums[i] + _contrast(total, begins[i, n - 1], n_frames, kinds[n - 1])) / n
        if value > best:
            best, chosen = value, i
    return begins[chosen]
