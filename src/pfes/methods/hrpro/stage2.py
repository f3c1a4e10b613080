"""Stage 2 of HR-Pro: how good a candidate is, and where its ends should be (METHOD 10.2).

Conventions
-----------
Intervals are real-valued [start, end] on the axis where frame i covers [i, i + 1], so that the overlap of two is that of
their inclusive frames. N candidates of both classes, R reliable ones. Source: arXiv 2308.12608, its code @1abb331.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pfes.base.intervals import Intervals
from pfes.methods.hrpro.stage1 import ReliableHead
from pfes.methods.ptal.candidates import Candidates
from pfes.methods.ptal.losses import mean
from pfes.methods.ptal.roi import RoiEmbedding, branch, roi_parts
from pfes.methods.ptal.stage import SecondStage

MOST = 1000  # intervals of a step
RELIABLE_IOU = 0.3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """What stage 2 learns from in a video: candidates [N, 2], reliable ones [R, 2], runs of background seeds [B, 2]."""

    candidates: Floats
    reliable: Floats
    background: Floats


class RefineHead(SecondStage):
    """One regressor for both classes: predicted IoU q from all of an interval's features, shifts of its ends from the flanks."""

    def __init__(self, width: int, dropout: float = 0.7) -> None:
        super().__init__(ReliableHead(width, dropout))
        self.embed = RoiEmbedding(width, dropout)
        self.quality, self.start, self.end = (branch(width, 1) for _ in range(3))

    def judge(self, features: Tensor, intervals: Floats) -> tuple[Tensor, Tensor]:
        """Return q [N] in (0, 1) and the refined intervals [N, 2] of ``intervals`` [N, 2] of ``features`` [T, D]."""
        parts = roi_parts(features, intervals)
        quality = self.quality(self.embed(parts))[:, 0].sigmoid()
        shift = torch.cat([self.start(parts[:, 0]), self.end(parts[:, 2])], 1)  # [N, 2]
        given = torch.as_tensor(intervals, dtype=features.dtype, device=features.device)
        return quality, given + shift * (given[:, 1:] - given[:, :1])


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU [N, M] of real-valued intervals [N, 2] and [M, 2]; one whose end is before its start has 0."""
    inside = torch.minimum(first[:, None, 1], second[None, :, 1]) - torch.maximum(first[:, None, 0], second[None, :, 0])
    inside = inside.clamp_min(0)
    width = (first[:, 1] - first[:, 0]).clamp_min(0)[:, None] + (second[:, 1] - second[:, 0]).clamp_min(0)[None, :]
    return inside / (width - inside).clamp_min(1e-6)


def refine_loss(
    quality: Tensor, refined: Tensor, given: Tensor, reliable: Tensor, generator: torch.Generator
) -> Tensor:
    """Return L_reg + L_iou of N candidates.

    Parameters
    ----------
    quality : q [N]; refined, given : [N, 2]; reliable : [R, 2], R may be 0.

    With m the best IoU of a given interval with a reliable one: L_reg is the mean over m >= .3 of smoothL1(best IoU of the
    refined one, 1); L_iou the mean of smoothL1(q, m) over these and about as many others, each drawn with one probability.
    """
    best = _best(given, reliable)
    high = best >= RELIABLE_IOU
    share = min(1.0, float(high.sum()) / max(float((~high).sum()), 1.0))
    used = high | (torch.rand(len(best), generator=generator).to(best.device) < share)
    regression = functional.smooth_l1_loss(
        _best(refined[high], reliable), best.new_ones(int(high.sum())), reduction="none"
    )
    return mean(regression) + mean(functional.smooth_l1_loss(quality[used], best[used], reduction="none"))


def _best(intervals: Tensor, reliable: Tensor) -> Tensor:
    if not len(reliable):
        return intervals.sum(1) * 0
    return overlap(intervals, reliable).amax(1)


def reliable_candidates(
    found: list[Candidates], point_frames: NDArray[np.int64], point_classes: NDArray[np.int64]
) -> Intervals:
    """Return the reliable candidates [R, 2], at most one for each point, inclusive frames.

    Of the candidates of the point's class that contain it the best scored one that lies strictly between the neighbouring
    points, of whatever class; if there is none, the best scored of all that contain it.
    """
    points = np.unique(point_frames)
    chosen = []
    for frame, kind in zip(point_frames.tolist(), point_classes.tolist(), strict=True):
        intervals, scores = found[kind]
        before = points[points < frame].max(initial=-1)
        after = points[points > frame].min(initial=np.iinfo(np.int64).max)
        holds = (intervals[:, 0] <= frame) & (frame <= intervals[:, 1])
        alone = holds & (intervals[:, 0] > before) & (intervals[:, 1] < after)
        among = np.flatnonzero(alone if alone.any() else holds)
        if len(among):
            chosen.append(intervals[among[np.argmax(scores[among])]])
    return np.array(chosen, np.int64).reshape(-1, 2)


def drawn_intervals(material: Material, generator: torch.Generator) -> Floats:
    """Return the intervals of one step, at most MOST of the candidates and of half as many drawn in background seeds.

    A drawn one lies in a random run of background seeds, its start uniform in the run, its end uniform after the start.
    """
    count = len(material.candidates) // 2 if len(material.background) else 0
    run = torch.randint(max(len(material.background), 1), (count,), generator=generator).numpy()
    share = torch.rand(count, 2, generator=generator, dtype=torch.float64).numpy()
    first, last = material.background[run].T if count else (np.empty(0), np.empty(0))
    start = first + share[:, 0] * (last - first)
    drawn = np.stack([start, start + share[:, 1] * (last - start)], 1)
    every = np.concatenate([material.candidates, drawn])
    return every[torch.randperm(len(every), generator=generator)[:MOST].numpy()]
