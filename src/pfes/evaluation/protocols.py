"""The protocols: what counts as found, and what as false.

Each protocol is a short function from the intervals of all videos to a ``Matching``; counting and ratios are the same
for all of them (pfes.evaluation.counts). ``strict`` is ours and the default; the others reproduce what published figures were
made with, and are shown beside it.

Conventions
-----------
Frames are whole numbers; an interval is inclusive, [onset, offset], of offset - onset + 1 frames, unless said otherwise.
IoU is compared as integers: exactly .5 reaches .5. tp + fn is the number of instances in every protocol. F1 is
2 tp / (2 tp + fp + fn), which is 2 tp / (proposals counted + instances) wherever tp + fp is the number of proposals
counted.

strict
    Same class, inclusive IoU >= threshold, one-to-one, of the greatest number of pairs and, among those, of the greatest
    total IoU. Every video counts, also one without instances; every proposal counts.

gim-release
    The scorer of the GIM release (ActivityNet's, cut to counts). Per class, proposals by falling score; each takes the
    free instance of highest IoU. Intervals are half-open, [onset, offset) of the same numbers: one frame shorter.
    Proposals of a class that the subject of the video has no instance of are not counted, nor are those in a video without
    any instance, which is not in the release's list. The release also chooses the epoch on the test subject: see the
    rows ``oracle`` of the protocol table. Its loop over subjects leaves out samm_024, casme_29 and casme_35, whose totals
    one of its scripts keeps and another loses; here they count as all others.

    Differences from ``strict``
    - Greedy matching can lose pairs, so only lowers F1: two instances close together, one proposal that fits both.
    - IoU without the last frame: intervals of a and b frames that share c have (c-1)/(a+b-c-1) instead of c/(a+b-c),
      so a pair at the threshold can fall below it. On the macro scores of SL-Swin (CAS(ME)^2) 70 pairs instead of 71.
    - Ignoring proposals of absent classes and videos can only raise F1. The epoch chosen on the test subject likewise.
    Differences from the release
    - Of equal scores the earlier row goes first, and of equal IoU the earlier instance; the release leaves both to an
      unstable sort. Without scores the order of the rows decides.
    - The release adds a frame to the end of its proposals; here offsets are taken as they are given.

megc2020
    MEGC 2020's baseline scorer, used in the papers of 2020 to 2022. Same class, inclusive IoU; an instance is found if
    any proposal reaches it. tp: instances found; fp: proposals - tp; fn: instances - tp, so that precision is
    tp / proposals and F1 is 2 tp / (proposals + instances).

    Differences from ``strict``
    - A proposal may find several instances and an instance may be found by several proposals, so tp can only be higher.
      TSMSNet on CAS(ME)^2, macro: tp 81 instead of 76, F1 .2440 instead of .2289.
    - fp is not the number of proposals that miss: it falls below 0, and F1 may exceed 1, where proposals find more
      instances than there are proposals.
    Differences from the baseline's code
    - There an interval of a single frame has IoU 0 with everything.

megc-strs
    Spotting as in the spot-then-recognise challenges of MEGC (STRS = F1 of spotting x F1 of recognition; only spotting
    here). Classes are ignored. An instance belongs to the first proposal, in the order of the rows, that reaches it;
    tp: instances found; fp: proposals to which no instance belongs. A pair counts for the class of the instance, a
    false proposal for its own class, so that macro + micro = overall.

    Differences from ``strict``
    - The right place in the wrong class is a hit.
    - A proposal takes every instance that it reaches and that is still free; then tp + fp exceeds the number of proposals.
      Where instances overlap by half, perfect proposals score below 1: the first takes what the second needed.
    - fp depends on the order of the rows where an earlier proposal takes what another could have had; tp does not.
    Differences from the challenge's code
    - There, videos without instances and subjects without proposals are left out altogether, which can only raise F1:
      their false proposals, or their misses, go unseen. Here every video counts.

he-2021
    What He, ACM MM 2021, was scored with (METHOD 10b.5). Classes are ignored. An instance looks at the proposals of its
    video in the order of the rows and stops at the first whose half-open IoU reaches .2; it is found if that IoU also
    reaches the threshold. tp: instances found; fp: proposals that found none. A pair counts for the class of the
    instance, a false proposal for its own class. The published list counts its proposals from 0 beside labels from 1:
    ``pfes evaluate`` does so too (SHIFT), a run of the workflow does not.

    Differences from ``strict``
    - The right place in the wrong class is a hit, and one proposal may find several instances.
    - A bad proposal that comes first hides a good one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfes.base.intervals import Intervals
from pfes.evaluation.matching import (
    Floats,
    Ints,
    Overlaps,
    best_of_each,
    earliest_of_each,
    find_overlaps,
    greedy,
    optimal,
)


@dataclass(frozen=True)
class Side:
    """The instances, or the proposals, of all videos.

    intervals : [N, 2]
    video, kind, subject : numbers [N] of the video, the class and the subject of the video
    score : [N]; of the instances, 0
    """

    intervals: Intervals
    video: Ints
    kind: Ints
    subject: Ints
    score: Floats


@dataclass(frozen=True)
class Matching:
    """What a protocol found.

    pairs : rows (instance, proposal), sorted by instance; an instance stands in one pair at most
    counted : [M] which proposals count at all
    """

    pairs: Overlaps
    counted: NDArray[np.bool_]


Protocol = Callable[[Side, Side, float], Matching]


def strict(truth: Side, found: Side, iou: float) -> Matching:
    """Match one to one within video and class: most pairs, then greatest total IoU."""
    return Matching(optimal(_overlaps(truth, found, iou)), np.ones(len(found.video), bool))


def gim_release(truth: Side, found: Side, iou: float) -> Matching:
    """Match greedily by score, intervals half-open, and ignore classes and videos without instances."""
    present = set(zip(truth.subject.tolist(), truth.kind.tolist(), strict=True))
    labelled = set(truth.video.tolist())
    rows = zip(found.video.tolist(), found.subject.tolist(), found.kind.tolist(), strict=True)
    counted = [video in labelled and (subject, kind) in present for video, subject, kind in rows]
    rank = np.empty(len(found.score), np.int64)
    rank[np.argsort(-found.score, kind="stable")] = np.arange(len(rank))
    return Matching(greedy(_overlaps(truth, found, iou, extra=0), rank), np.array(counted, bool))


def megc2020(truth: Side, found: Side, iou: float) -> Matching:
    """Give each instance its best proposal of the video and class, however often one is used."""
    return Matching(best_of_each(_overlaps(truth, found, iou)), np.ones(len(found.video), bool))


def megc_strs(truth: Side, found: Side, iou: float) -> Matching:
    """Give each instance the first proposal of the video that reaches it, whatever its class."""
    overlaps = find_overlaps(truth.intervals, truth.video, found.intervals, found.video, iou)
    return Matching(earliest_of_each(overlaps), np.ones(len(found.video), bool))


def he_2021(truth: Side, found: Side, iou: float) -> Matching:
    """Give each instance the first proposal of the video that touches it by .2, whatever its class, if it reaches ``iou``."""
    touching = find_overlaps(truth.intervals, truth.video, found.intervals, found.video, TOUCH, extra=0)
    first = earliest_of_each(touching)
    return Matching(first[first.iou >= iou], np.ones(len(found.video), bool))


PROTOCOLS: Mapping[str, Protocol] = {
    "strict": strict,
    "gim-release": gim_release,
    "megc2020": megc2020,
    "megc-strs": megc_strs,
    "he-2021": he_2021,
}
TOUCH = 0.2  # IoU at which an instance of he-2021 stops looking
SHIFT = {
    "he-2021": -1
}  # frames by which a published list of proposals was moved against its labels when it was counted
FALSE_IS_THE_REST = ("megc2020",)  # fp is the number of proposals less tp; elsewhere that of unmatched proposals


def _overlaps(truth: Side, found: Side, iou: float, extra: int = 1) -> Overlaps:
    groups = [
        side.video * (1 + max(truth.kind.max(initial=0), found.kind.max(initial=0))) + side.kind
        for side in (truth, found)
    ]
    return find_overlaps(truth.intervals, groups[0], found.intervals, groups[1], iou, extra=extra)
