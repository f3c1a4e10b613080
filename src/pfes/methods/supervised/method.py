"""The fully supervised SpotFormer as a method of spotting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pfes.decoding.start_end import DecodeParameters
from pfes.methods.base import Batch, Curves, LearnedMethod, TrainingVideo
from pfes.methods.supervised.parameters import SupervisedParameters

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor

    from pfes.decoding.proposals import SpotParameters
    from pfes.methods.parameters import TrainingParameters
    from pfes.methods.supervised.losses import SupervisedHead
    from pfes.methods.supervised.targets import Targets


class Supervised(LearnedMethod):
    """SpotFormer trained on onsets and offsets (arXiv 2407.20799); what point supervision is compared with."""

    name = "supervised"
    labels = "intervals"
    training_sections = (SupervisedParameters,)
    spot_sections = (DecodeParameters,)
    reads_spot = False
    decoupled_decay = True

    def head(self, width: int, dropout: float) -> SupervisedHead:
        """Return the ten outputs; they have no dropout."""
        from pfes.methods.supervised.losses import SupervisedHead

        return SupervisedHead(width)

    def targets(self, expressions: pd.DataFrame, video_id: str, n_frames: int) -> Targets:
        """Return the targets of every frame."""
        from pfes.methods.supervised.targets import video_targets

        return video_targets(expressions, video_id, n_frames)

    def batches(
        self,
        videos: Sequence[TrainingVideo],
        loaded: Sequence[Batch],
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> Iterator[Batch]:
        """Yield batches of segments, in a new order."""
        import torch

        from pfes.methods.supervised.losses import epoch_steps

        device, nothing = loaded[0].snippets.device, torch.zeros(0, dtype=torch.int64)
        for step in epoch_steps(videos, params.of(SupervisedParameters), generator):
            snippets, valid = (torch.as_tensor(array, device=device) for array in (step.snippets, step.valid))
            yield Batch(step.name, snippets, valid, nothing, nothing, step.targets)

    def terms(
        self,
        head: SupervisedHead,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], None]:
        """Return the loss terms of one batch (METHOD 11)."""
        from pfes.methods.supervised.losses import supervised_terms

        logits = head(features)[0]
        return supervised_terms(features, logits, batch.targets, params.of(SupervisedParameters), batch.valid), None

    def outputs(self, head: SupervisedHead, features: Tensor) -> Tensor:
        """Return the ten probabilities [T, 10]."""
        return head.outputs(features)

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return the apexes whose start and end agree (METHOD 11)."""
        from pfes.decoding.start_end import decode

        return decode(curves["outputs"], params.of(DecodeParameters), valid=curves["valid"])
