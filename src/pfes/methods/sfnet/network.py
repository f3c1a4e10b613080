"""The head of SF-Net, its loss and its mining of frames (METHOD 10.4).

Conventions
-----------
T frames of one video. Logits [T, 3] of macro, micro and background (background is first in the published code); a [T] is the
logit of actionness. A label is 0 macro, 1 micro, -1 none; frames labelled as they are mined lie beside a point.
Source: arXiv 2003.06845, its code @a82bc04.

Differences
-----------
One stream, as there is one kind of feature. Unlabelled frames are drawn from each video by its own points, not from the
batch. A video with both classes has half of each as its target, one without a point background.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pfes.methods.ptal.losses import mean
from pfes.network.heads import Head

BACKGROUND = 2
UNLABELLED = 7  # frames for each labelled one
REACH, AGREEMENT = 3, 0.95  # of mining: frames on each side, share of the point's score


class SfnetHead(Head):
    """Classes from two Linear layers and a Linear, actionness from two Conv1d over three frames and a Linear.

    Parameters
    ----------
    width : D; dropout : before the last layer of the classes, .7 published.
    """

    def __init__(self, width: int, dropout: float = 0.7) -> None:
        super().__init__()
        linear = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        self.classes = nn.Sequential(*linear, nn.Dropout(dropout), nn.Linear(width, 3))
        self.convolutions = nn.ModuleList([nn.Conv1d(width, width, 3, padding=1) for _ in range(2)])
        self.action = nn.Linear(width, 1)

    def logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits [T, 3] and a [T] of ``features`` [T, D]."""
        near = features
        for convolution in self.convolutions if len(features) else ():
            near = convolution(near.T[None])[0].T.relu()
        return self.classes(features), self.action(near)[:, 0]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the summed scores logit_c + 2 a [T, 2], the intensity sigmoid(a) [T] and class probabilities [T, 2]."""
        logits, action = self.logits(features)
        return logits[:, :BACKGROUND] + 2 * action[:, None], action.sigmoid(), logits.softmax(1)[:, :BACKGROUND]

    def reset(self) -> None:
        """Start anew."""
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Conv1d):
                part.reset_parameters()


def sfnet_terms(logits: Tensor, action: Tensor, labels: Tensor, classes: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Return the five terms of one video.

    Parameters
    ----------
    labels : int64 [T], of labelled frames; -1 elsewhere. classes : int64 [I], of the video's points.
    valid : bool [T], frames that are taken for unlabelled ones and for the video score.

    Cross-entropy of the mean of the ceil(T / 8) highest logits of each class; at labelled frames; to background, divided by
    3, at the 7 n unlabelled frames of highest background logit, n the labelled frames; -log sigmoid(a) at labelled frames;
    and -log(1.001 - sigmoid(a)) at the 7 n unlabelled frames of highest a.
    """
    known = (labels >= 0) & valid
    counts = torch.bincount(classes, minlength=3).clamp_max(1).to(logits.dtype)
    target = counts / counts.sum() if len(classes) else functional.one_hot(torch.tensor(BACKGROUND), 3).to(logits)
    own = logits[valid]
    top = own.topk(math.ceil(len(own) / 8), 0).values.mean(0) if len(own) else logits.sum(0)
    free = (valid & ~known).nonzero()[:, 0]
    count = min(UNLABELLED * int(known.sum()), len(free))
    calm = free[logits[free, BACKGROUND].topk(count).indices]
    lively = free[action[free].topk(count).indices]
    return {
        "video": -(target * top.log_softmax(0)).sum(),
        "frame": mean(functional.cross_entropy(logits[known], labels[known], reduction="none")),
        "background": mean(-logits[calm].log_softmax(1)[:, BACKGROUND]) / 3,
        "action": mean(-functional.logsigmoid(action[known])),
        "rest": mean(-(1.001 - action[lively].sigmoid()).log()),
    }


def mined_labels(logits: Tensor, frames: list[int], classes: list[int]) -> list[tuple[int, int]]:
    """Return (frame, class) of the points and of the frames that they are spread to, from logits [T, 3].

    To each side a frame up to three away takes the class of the point, as long as the frame beside the point, the frame and
    the next one have the point's class as their highest, and the frame's logit is at least .95 of the point's.
    """
    best = logits.argmax(1).tolist()
    found = list(zip(frames, classes, strict=True))
    for frame, kind in zip(frames, classes, strict=True):
        least = AGREEMENT * float(logits[frame, kind])
        for side in (-1, 1):
            for away in range(1, REACH + 1):
                there = [frame + side, frame + side * away, frame + side * (away + 1)]
                inside = all(0 <= t < len(best) for t in there)
                if not inside or any(best[t] != kind for t in there) or float(logits[there[1], kind]) < least:
                    break
                found.append((there[1], kind))
    return found
