"""The ``journal`` P-FES head: expression intensity and class scores from SpotFormer features.

Deng, Hayashi, Nagahara, "Gaussian-Based Instance-Adaptive Intensity Modeling for Point-Supervised Facial Expression
Spotting", arXiv 2511.16952, doi 10.1109/TBIOM.2026.3651893.

Conventions
-----------
T frames of one video, D = width. F [T, D] are SpotFormer features, X [T, D] the hidden features of the intensity
branch: the GIM distances of pfes.pseudo_labels are taken on X, the contrastive loss on F. Class order macro, micro.

Differences
-----------
The published code also drops out between the last convolution and the sigmoid; here intensity is never dropped.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2  # of the leaky ReLU


class JournalHead(nn.Module):
    """Intensity branch and class branch.

    X = Dropout(LeakyReLU(Conv1d(F))), a = sigmoid(Conv1d(X)); s = sigmoid(Conv1d(Dropout(F))) with two outputs. All
    convolutions have kernel 1, that is, they are Linear layers over frames.

    Parameters
    ----------
    width : D.
    dropout : on X and, before the class branch, on F.
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

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return hidden X [T, D], intensity [T] in (0, 1) and class scores [T, 2] in (0, 1) of ``features`` [T, D]."""
        return self._branches(features, self.training)

    @torch.no_grad()
    def clean(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same without dropout and without gradient, also while training: what pseudo-labels are made from."""
        return self._branches(features, False)

    def _branches(self, features: Tensor, drop: bool) -> tuple[Tensor, Tensor, Tensor]:
        hidden = functional.leaky_relu(self.hidden(features), SLOPE)
        hidden = functional.dropout(hidden, self.dropout, drop)
        intensity = torch.sigmoid(self.intensity(hidden)).squeeze(-1)
        class_scores = torch.sigmoid(self.classes(functional.dropout(features, self.dropout, drop)))
        return hidden, intensity, class_scores
