"""The P-FES heads: expression intensity and class scores from SpotFormer features.

Deng, Hayashi, Nagahara, "Gaussian-Based Instance-Adaptive Intensity Modeling for Point-Supervised Facial Expression
Spotting", ICLR 2025, and its journal version, arXiv 2511.16952, doi 10.1109/TBIOM.2026.3651893. Both forms have the
same branches; they differ in the losses (pfes.methods.gim.losses).

Conventions
-----------
T frames of one video, D = width. F [T, D] are SpotFormer features, X [T, D] the hidden features of the intensity
branch: the GIM distances of pfes.methods.gim.pseudo_labels are taken on X, the contrastive loss on F. Class order macro, micro.

Differences
-----------
The published code drops out the logits of both branches, between the last convolution and the sigmoid, and does not
drop F before the class branch: ``released=True``. By default a logit is never dropped, and the class branch drops F,
which is what the dropout of the intensity branch amounts to where there is no hidden layer (ours).
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2  # of the leaky ReLU


class Head(nn.Module):
    """What the head of every method gives: something of its own, an intensity, and scores of the classes."""

    @abstractmethod
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the method's own [T, ...], intensity [T] and class scores [T, 2] in (0, 1) of ``features`` [T, D]."""

    @torch.no_grad()
    def clean(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same without dropout and without gradient, also while training."""
        training = self.training
        self.eval()
        found: tuple[Tensor, Tensor, Tensor] = self(features)
        self.train(training)
        return found


class PfesHead(Head):
    """Intensity branch and class branch.

    X = Dropout(LeakyReLU(Conv1d(F))), a = sigmoid(Conv1d(X)); s = sigmoid(Conv1d(Dropout(F))) with two outputs. All
    convolutions have kernel 1, that is, they are Linear layers over frames.

    Parameters
    ----------
    width : D.
    dropout : on X and, before the class branch, on F; released, on X and on the logits.
    """

    def __init__(self, width: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.intensity = nn.Linear(width, 1)
        self.classes = nn.Linear(width, 2)
        self.dropout = dropout
        for layer in (self.hidden, self.intensity, self.classes):
            nn.init.kaiming_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, *, released: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return hidden X [T, D], intensity [T] in (0, 1) and class scores [T, 2] in (0, 1) of ``features`` [T, D].

        Parameters
        ----------
        released : drop where the published code does; nothing changes in eval mode.
        """
        return self._branches(features, self.training, released)

    @torch.no_grad()
    def clean(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same without dropout and without gradient, also while training: what pseudo-labels are made from."""
        return self._branches(features, False, False)

    def _branches(self, features: Tensor, drop: bool, released: bool) -> tuple[Tensor, Tensor, Tensor]:
        def dropped(x: Tensor, here: bool) -> Tensor:
            return functional.dropout(x, self.dropout, drop and here)

        hidden = dropped(functional.leaky_relu(self.hidden(features), SLOPE), True)  # [T, D]
        logits = dropped(self.intensity(hidden), released).squeeze(-1)  # [T]
        class_logits = dropped(self.classes(dropped(features, not released)), released)  # [T, 2]
        return hidden, torch.sigmoid(logits), torch.sigmoid(class_logits)
