"""Which proposals meet which instances: overlaps as integers, and the pairings that the protocols are made of.

Conventions
-----------
Intervals are ``[onset, offset]``, int64, [N, 2]. A *group* is whatever may be paired with each other, such as one class
of one video: every interval has the number of its group, [N]. Lengths and intersections count frames, inclusive by
default; ``extra=0`` reads the same numbers as half-open, ``[onset, offset)``, so that an interval is one frame shorter.
Pairs are rows (instance, proposal), [K, 2], in the order of the instances.

Ties
----
An IoU is compared with the threshold as integers, so that exactly .5 reaches .5. Where several partners are equally
good, the row that comes first is taken, but for ``optimal``, where scipy's assignment decides among pairings of equally
many pairs and equal total IoU. No count depends on that choice.
"""

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.base.intervals import Intervals

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlaps:
    """All pairs whose IoU reaches the threshold, sorted by instance, then proposal.

    instance, proposal : rows [K] in the tables of instances and proposals
    iou : [K], in (0, 1]
    """

    instance: Ints
    proposal: Ints
    iou: Floats

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Overlaps":
        return Overlaps(self.instance[chosen], self.proposal[chosen], self.iou[chosen])

    def pairs(self) -> Ints:
        """Return the pairs [K, 2] in the order of the instances."""
        return np.stack([self.instance, self.proposal], axis=1)


def match(instances: Intervals, proposals: Intervals, iou: float = 0.5) -> Ints:
    """Match instances [N, 2] and proposals [M, 2] of one group one to one: most pairs, then greatest total IoU.

    Examples
    --------
    >>> match(np.array([[0, 9], [10, 19]]), np.array([[0, 4], [12, 19], [30, 39]])).tolist()
    [[0, 0], [1, 1]]
    """
    groups = np.zeros(len(instances), np.int64), np.zeros(len(proposals), np.int64)
    return optimal(find_overlaps(instances, groups[0], proposals, groups[1], iou)).pairs()


def find_overlaps(
    truth: Intervals, truth_group: Ints, found: Intervals, found_group: Ints, iou: float, *, extra: int = 1
) -> Overlaps:
    """Return all pairs of one group whose IoU is at least ``iou``.

    Parameters
    ----------
    truth, found
        Instances [N, 2] and proposals [M, 2].
    truth_group, found_group
        Groups [N], [M], numbers from 0.
    iou
        Least IoU of a pair, in (0, 1]; taken as the nearest fraction of a denominator of at most 1000.
    extra
        1: intervals are inclusive; 0: half-open, then an empty interval overlaps nothing.

    Raises
    ------
    InputError
        ``iou`` is out of its range.
    """
    limit = threshold(iou)
    instance, proposal = _candidates(truth, truth_group, found, found_group, limit)
    onset = np.maximum(truth[instance, 0], found[proposal, 0])
    offset = np.minimum(truth[instance, 1], found[proposal, 1])
    intersection = np.maximum(offset - onset + extra, 0)
    length = [intervals[:, 1] - intervals[:, 0] + extra for intervals in (truth, found)]
    union = length[0][instance] + length[1][proposal] - intersection
    reached = (intersection > 0) & (intersection * limit.denominator >= union * limit.numerator)
    pairs = Overlaps(instance, proposal, intersection / np.maximum(union, 1))[reached]
    return pairs[np.lexsort((pairs.proposal, pairs.instance))]


def threshold(iou: float) -> Fraction:
    """Return an IoU threshold as a fraction; raises InputError unless it lies in (0, 1]."""
    limit = Fraction(iou).limit_denominator(1000) if 0 < iou <= 1 else Fraction(0)
    if limit <= 0:
        raise InputError(f"IoU threshold is {iou}, expected at least .001 and at most 1")
    return limit


def optimal(overlaps: Overlaps) -> Overlaps:
    """Choose pairs one to one: as many as possible and, among those, of the greatest total IoU.

    Pairs that share no row with another are taken at once; the others fall into connected components, each of which is
    one assignment problem.
    """
    alone = (np.bincount(overlaps.instance)[overlaps.instance] == 1) if len(overlaps.iou) else np.zeros(0, bool)
    alone &= (np.bincount(overlaps.proposal)[overlaps.proposal] == 1) if len(overlaps.iou) else alone
    chosen = [np.flatnonzero(alone)]
    rest = np.flatnonzero(~alone)
    for component in _components(overlaps[rest]):
        chosen.append(rest[component][_assign(overlaps[rest[component]])])
    return overlaps[np.sort(np.concatenate(chosen))]


def greedy(overlaps: Overlaps, rank: Ints) -> Overlaps:
    """Choose pairs one to one as proposals come, in the order of ``rank`` [M]: each takes its best instance still free."""
    order = np.lexsort((overlaps.instance, -overlaps.iou, rank[overlaps.proposal]))
    instances, proposals, chosen = set[int](), set[int](), list[int]()
    for position in order.tolist():
        instance, proposal = int(overlaps.instance[position]), int(overlaps.proposal[position])
        if instance not in instances and proposal not in proposals:
            instances.add(instance)
            proposals.add(proposal)
            chosen.append(position)
    return overlaps[np.sort(np.array(chosen, np.int64))]


def best_of_each(overlaps: Overlaps) -> Overlaps:
    """Choose for each instance its proposal of highest IoU; a proposal may serve several instances."""
    return _first_of_each(overlaps, np.lexsort((overlaps.proposal, -overlaps.iou, overlaps.instance)))


def earliest_of_each(overlaps: Overlaps) -> Overlaps:
    """Choose for each instance the first proposal of the table; a proposal may serve several instances."""
    return _first_of_each(overlaps, np.lexsort((overlaps.proposal, overlaps.instance)))


def _first_of_each(overlaps: Overlaps, order: Ints) -> Overlaps:
    return overlaps[order[np.unique(overlaps.instance[order], return_index=True)[1]]]


def _candidates(
    truth: Intervals, truth_group: Ints, found: Intervals, found_group: Ints, limit: Fraction
) -> tuple[Ints, Ints]:
    """Return rows [K], [K] of all pairs of a group that could reach ``limit``: the onset of the proposal lies in range.

    A proposal of more than length / limit frames cannot reach an instance, nor one that starts after its end.
    """
    if not (len(truth) and len(found)):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    base = min(truth.min(), found.min())
    span = max(truth.max(), found.max()) - base + 1  # each group has its own stretch of one long timeline
    place = found_group * span + found[:, 0] - base
    order = np.argsort(place, kind="stable")
    reach = (truth[:, 1] - truth[:, 0] + 1) * limit.denominator // limit.numerator + 1
    start = truth_group * span + np.maximum(truth[:, 0] - reach - base, 0)
    first = np.searchsorted(place[order], start)
    last = np.searchsorted(place[order], truth_group * span + truth[:, 1] - base, side="right")
    count = last - first
    instance = np.repeat(np.arange(len(truth)), count)
    step = np.arange(len(instance)) - np.repeat(np.cumsum(count) - count, count)
    return instance, order[np.repeat(first, count) + step]


def _components(overlaps: Overlaps) -> list[Ints]:
    """Return the positions of the pairs of each connected component."""
    if not len(overlaps.iou):
        return []
    n_instances, n_proposals = int(overlaps.instance.max()) + 1, int(overlaps.proposal.max()) + 1
    size = n_instances + n_proposals
    links = scipy.sparse.coo_array(
        (np.ones(len(overlaps.iou)), (overlaps.instance, overlaps.proposal + n_instances)), (size, size)
    )
    label = scipy.sparse.csgraph.connected_components(links, directed=False)[1][overlaps.instance]
    members = defaultdict[int, list[int]](list)
    for position, name in enumerate(label.tolist()):
        members[name].append(position)
    return [np.array(positions, np.int64) for positions in members.values()]


def _assign(overlaps: Overlaps) -> Ints:
    """Return the positions of the pairs of the best assignment of one component."""
    instances, row = np.unique(overlaps.instance, return_inverse=True)
    kept = _best_partners(row, overlaps.iou, len(instances))
    proposals, column = np.unique(overlaps.proposal[kept], return_inverse=True)
    position = np.full((len(instances), len(proposals)), -1)
    position[row[kept], column] = kept
    weight = np.zeros(position.shape)
    # A pair weighs more than all IoU of an assignment together, so that the number of pairs comes first.
    weight[row[kept], column] = min(position.shape) + 1 + overlaps.iou[kept]
    chosen = position[scipy.optimize.linear_sum_assignment(weight, maximize=True)]
    return chosen[chosen >= 0]


def _best_partners(row: Ints, iou: Floats, count: int) -> Ints:
    """Return the positions of the ``count`` best pairs of each row: of ``count`` rows, no best assignment needs others."""
    order = np.lexsort((-iou, row))
    rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    return order[rank < count]
