"""Losses that the methods of point-supervised action localisation share (METHOD 10.0); pure functions of tensors.

Conventions
-----------
T frames of one video, class order macro, micro, then background: p [T, 3] are the fused scores
p_c = s_c (1 - s_b) and p_b = s_b. Intervals are inclusive [onset, offset]. What has nothing to be a mean of is 0, with a
gradient of 0.
"""

import torch
from torch import Tensor
from torch.nn import functional

EXPECTED = (16, 8)  # frames of an expression, macro and micro, that the video score counts on (ours; T // 8 published)


def fused(intensity: Tensor, class_scores: Tensor) -> Tensor:
    """Return p [T, 3] of the intensity 1 - s_b [T] and the class scores s_c [T, 2]."""
    return torch.cat([class_scores * intensity[:, None], 1 - intensity[:, None]], 1)


def oic(curve: Tensor, intervals: Tensor) -> Tensor:
    """Return the outer-inner contrast [N] of intervals [N, 2] of ``curve`` [T].

    The mean inside, less the mean over ceil(L / 4) frames before and floor(L / 4) after, those of them that the video has;
    less nothing if it has none. Sums are taken in double precision.
    """
    total = functional.pad(curve.double().cumsum(0), (1, 0))
    onset, stop = intervals[:, 0], intervals[:, 1] + 1
    length = stop - onset
    first = (onset - (length + 3) // 4).clamp_min(0)
    last = (stop + length // 4).clamp_max(len(curve))
    inside = total[stop] - total[onset]
    around = total[last] - total[first] - inside
    outside = around / (last - first - length).clamp_min(1)
    return (inside / length - outside).to(curve.dtype)


def focal(p: Tensor, y: Tensor) -> Tensor:
    """Return sum over channels of |y - p|^2 BCE(p, y) [N] of p and y [N, 3]."""
    return ((y - p).square() * functional.binary_cross_entropy(p, y, reduction="none")).sum(1)


def frame_loss(p: Tensor, point_frames: Tensor, point_classes: Tensor) -> Tensor:
    """Return the mean of ``focal`` over the frames with a point, where every class that has one there is true."""
    y = torch.zeros_like(p)
    y[point_frames, point_classes] = 1
    frames = torch.unique(point_frames)
    return mean(focal(p[frames], y[frames]))


def background_loss(p: Tensor, background: Tensor) -> Tensor:
    """Return the mean of ``focal`` over the background seeds [T], where background alone is true."""
    own = p[background]
    return mean(focal(own, own.new_tensor([0.0, 0.0, 1.0]).expand_as(own)))


def video_loss(class_scores: Tensor, point_classes: Tensor) -> Tensor:
    """Return the mean over classes of BCE(v_c, whether the video has a point of c), from s_c [T, 2].

    v_c is the mean of the k largest s_c, k the number of points of c times EXPECTED, or of all frames without a point.
    """
    counts = torch.bincount(point_classes, minlength=2).tolist()
    terms = []
    for kind, count in enumerate(counts):
        own = class_scores[:, kind]
        largest = own.topk(min(count * EXPECTED[kind], len(own))).values if count else own
        terms.append(functional.binary_cross_entropy(largest.mean(), own.new_tensor(float(count > 0))))
    return torch.stack(terms).mean()


def mean(values: Tensor) -> Tensor:
    """Return the mean of ``values``; 0 where there are none."""
    return values.sum() / max(values.numel(), 1)
