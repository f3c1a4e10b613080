"""The head of LAC on SpotFormer features (METHOD 10.1)."""

import torch
from torch import Tensor, nn

from pfes.network.heads import Head


class LacHead(Head):
    """Conv1d over three frames, ReLU; Dropout, one Linear to macro, micro and background, sigmoid.

    Parameters
    ----------
    width : D, also of the hidden features (2048 in the published code).
    dropout : before the last layer; .7 published.
    """

    def __init__(self, width: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.embed = nn.Conv1d(width, width, 3, padding=1)
        self.classes = nn.Linear(width, 3, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return hidden X [T, D], the intensity 1 - s_b [T] and class scores s_c [T, 2] of ``features`` [T, D]."""
        hidden = self.embed(features.T[None])[0].T.relu() if len(features) else features
        return hidden, *scores(self.classes(self.dropout(hidden)))


def scores(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the intensity 1 - s_b [T] and the class scores [T, 2] of logits [T, 3]."""
    return torch.sigmoid(-logits[:, 2]), torch.sigmoid(logits[:, :2])
