"""LAC as a method of spotting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pfes.methods.base import Batch
from pfes.methods.lac.parameters import LacParameters
from pfes.methods.ptal.method import Localiser, seen, usable_points

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pfes.methods.lac.network import LacHead
    from pfes.methods.parameters import TrainingParameters
    from pfes.methods.ptal.seeds import Seeds


class Lac(Localiser):
    """Scores of classes and of background, trained on the most complete sequence that the points allow."""

    name = "lac"
    training_sections = (*Localiser.training_sections, LacParameters)
    first_nms = 0.7

    def head(self, width: int, dropout: float) -> LacHead:
        """Return the head."""
        from pfes.methods.lac.network import LacHead

        return LacHead(width, dropout)

    def before_epoch(
        self,
        head: LacHead,
        clean: Callable[[Batch], Tensor],
        loaded: Sequence[Batch],
        epoch: int,
        params: TrainingParameters,
        memory: dict[str, Any],
    ) -> Sequence[Batch]:
        """Return the videos with their optimal sequence as ``targets``, bool [T, 2]; without one in the first epoch."""
        import torch

        from pfes.methods.lac.search import find_sequence

        if epoch == 0:
            return loaded
        found = []
        for batch in loaded:
            p, seeds = fused_and_seeds(batch, *head.clean(clean(batch))[1:])
            sequence = find_sequence(p[:, :2].double().cpu().numpy(), seeds, params.of(LacParameters))
            found.append(replace(batch, targets=torch.as_tensor(sequence, device=p.device)))
        return found

    def terms(
        self,
        head: LacHead,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], None]:
        """Return the weighted terms of one video; those of the sequence are 0 before there is one."""
        import torch

        from pfes.methods.lac.losses import feature_contrast, score_contrast
        from pfes.methods.losses import summed
        from pfes.methods.ptal.losses import background_loss, frame_loss, video_loss

        own, (frames, classes) = params.of(LacParameters), usable_points(batch)
        hidden, intensity, class_scores = head(features)
        p, seeds = fused_and_seeds(batch, intensity, class_scores)
        background = torch.as_tensor(seeds.background, device=p.device) & batch.valid
        none = torch.zeros(len(p), 2, dtype=torch.bool, device=p.device)
        sequence = none if batch.targets is None else batch.targets
        terms = {
            "video": own.video * video_loss(class_scores * batch.valid[:, None], classes),
            "frame": own.frame * frame_loss(p, frames, classes),
            "background": own.background * background_loss(p, background),
            "score": own.score * score_contrast(p, sequence),
            "feature": own.feature * feature_contrast(hidden, sequence, generator),
        }
        return summed(terms), None


def fused_and_seeds(batch: Batch, intensity: Tensor, class_scores: Tensor) -> tuple[Tensor, Seeds]:
    """Return the fused scores [T, 3] of a video, 0 and 1 where a frame does not count, and its seeds."""
    from pfes.methods.ptal.losses import fused
    from pfes.methods.ptal.seeds import find_seeds

    p = fused(*seen(batch.valid, intensity, class_scores))
    frames, classes = (part.cpu().numpy() for part in usable_points(batch))
    return p, find_seeds(p[:, 2].detach().cpu().numpy(), frames, classes)
