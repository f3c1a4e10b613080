"""GIM as a method of spotting, in its three forms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pfes.methods.base import Batch, Curves, LearnedMethod, TrainingVideo
from pfes.methods.gim.parameters import GimParameters, LossParameters, ReleasedParameters

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor

    from pfes.decoding.proposals import SpotParameters
    from pfes.methods.gim.pseudo_labels import PseudoLabels
    from pfes.methods.gim.terms import Form
    from pfes.methods.parameters import TrainingParameters
    from pfes.network.heads import PfesHead


class Gim(LearnedMethod):
    """Intensity and classes from points: a soft label around each, as wide as the intensity says."""

    labels = "points"
    training_sections: ClassVar[tuple[type, ...]] = (GimParameters, LossParameters)
    pseudo_labels = True
    form: ClassVar[Form]

    def head(self, width: int, dropout: float) -> PfesHead:
        """Return the two branches, intensity and classes."""
        from pfes.network.heads import PfesHead

        return PfesHead(width, dropout)

    def terms(
        self,
        head: PfesHead,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], PseudoLabels]:
        """Return the loss terms of one video (METHOD 7.2, 7.4) and its pseudo-labels (METHOD 7.1)."""
        from pfes.methods.gim.terms import gim_terms

        gim, loss = params.of(GimParameters), params.of(LossParameters)
        return gim_terms(self.form, epoch, features, head, batch, gim, loss, generator=generator)

    def threshold(self, epoch: int, params: TrainingParameters) -> float:
        """Return theta of eq. 3."""
        return params.of(GimParameters).theta(epoch)

    def window(self, params: TrainingParameters) -> tuple[int, int]:
        """Return k_c."""
        return params.of(GimParameters).k_c

    def labels_of(
        self, head: PfesHead, features: Tensor, video: TrainingVideo, params: TrainingParameters, seed: int
    ) -> PseudoLabels:
        """Return the pseudo-labels of the last epoch, from a pass without dropout."""
        import torch

        from pfes.methods.gim.terms import labels_of

        generator = torch.Generator().manual_seed(seed)
        return labels_of(self.form, params.epochs - 1, head, features, video, params.of(GimParameters), generator)

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return the runs of the intensity above thresholds that pass the limits (METHOD 8)."""
        from pfes.decoding.proposals import propose

        return propose(curves["intensity"], curves["class_scores"], params, valid=curves["valid"], fps=fps)


class Conference(Gim):
    """GIM as in the ICLR 2025 paper."""

    name = form = "conference"


class Journal(Gim):
    """GIM as in its journal version (arXiv 2511.16952)."""

    name = form = "journal"


class AsReleased(Gim):
    """GIM as in the published code, constant by constant."""

    name = form = "as_released"
    training_sections = (*Gim.training_sections, ReleasedParameters)

    def batches(
        self,
        videos: Sequence[TrainingVideo],
        held: Sequence[Batch],
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> Iterator[Batch]:
        """Yield whole videos in a new order, padded to the longest if that is asked for; ``valid`` ends with the video."""
        from torch.nn.functional import pad

        longest = max(len(batch.snippets) for batch in held)
        for batch in super().batches(videos, held, params, generator):
            if params.of(ReleasedParameters).pad_to_longest:
                after = longest - len(batch.snippets)
                batch = replace(batch, snippets=pad(batch.snippets, (0, 0) * (batch.snippets.ndim - 1) + (0, after)))
            yield batch

    def threshold(self, epoch: int, params: TrainingParameters) -> float:
        """Return the release's theta."""
        from pfes.methods.gim.losses.release import theta

        return theta(epoch)
