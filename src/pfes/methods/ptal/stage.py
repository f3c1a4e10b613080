"""A second stage: a head that judges the candidates of an earlier, frozen one, on the same features."""

from typing import Any, Self

import torch
from torch import Tensor

from pfes.network.heads import Head


class SecondStage(Head):
    """A head that holds the one it goes on from as ``first``: its curves are those of ``first``, which never changes."""

    def __init__(self, first: Head) -> None:
        super().__init__()
        self.first = first.requires_grad_(False)

    @torch.no_grad()
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the first stage says of ``features`` [T, D]."""
        found: tuple[Tensor, Tensor, Tensor] = self.first(features)
        return found

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the second stage; the first one stays without dropout."""
        super().train(mode)
        self.first.eval()
        return self


def first_curves(head: Any, features: Tensor, valid: Any) -> dict[str, Any]:
    """Return the curves of the first stage as numpy arrays, see ``pfes.methods.base``."""
    _, intensity, class_scores = head.clean(features)
    return {
        "intensity": intensity.cpu().numpy(),
        "class_scores": class_scores.cpu().numpy(),
        "valid": torch.as_tensor(valid).cpu().numpy(),
    }
