"""What the losses of all methods share."""

import torch
from torch import Tensor


def summed(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``terms`` and their sum ``total``."""
    return {**terms, "total": torch.stack(list(terms.values())).sum()}
