"""The losses of P-FES: each a function that returns one scalar, and their weighted sum in three forms.

``conference`` ICLR 2025, ``journal`` arXiv 2511.16952, and ``as_released``, the published code to the letter (release).
"""

from pfes.methods.gim.losses.conference import conference_loss
from pfes.methods.gim.losses.journal import journal_loss
from pfes.methods.gim.losses.release import release_loss

__all__ = ["conference_loss", "journal_loss", "release_loss"]
