"""The losses of P-FES: each a function that returns one scalar, and their weighted sum in three forms.

``conference`` ICLR 2025 (pfes.methods.gim.losses.conference), ``journal`` arXiv 2511.16952 (pfes.methods.gim.losses.journal), and ``as_released``,
the published code to the letter (pfes.methods.gim.losses.release).
"""

from pfes.methods.gim.losses.conference import conference_loss
from pfes.methods.gim.losses.journal import journal_loss
from pfes.methods.gim.losses.release import release_loss
from pfes.methods.gim.losses.terms import LossParameters

__all__ = ["LossParameters", "conference_loss", "journal_loss", "release_loss"]
