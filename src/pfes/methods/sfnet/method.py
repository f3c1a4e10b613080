"""SF-Net as a method of spotting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pfes.methods.base import Batch, Curves
from pfes.methods.ptal.method import Localiser, usable_points

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor

    from pfes.decoding.proposals import SpotParameters
    from pfes.methods.parameters import TrainingParameters
    from pfes.methods.sfnet.network import SfnetHead

MINED = 4  # the labels are spread after one in so many of the epochs


class Sfnet(Localiser):
    """Classes and actionness, from points that are spread to their neighbours once."""

    name = "sfnet"

    def head(self, width: int, dropout: float) -> SfnetHead:
        """Return the head."""
        from pfes.methods.sfnet.network import SfnetHead

        return SfnetHead(width, dropout)

    def before_epoch(
        self,
        head: SfnetHead,
        clean: Callable[[Batch], Tensor],
        loaded: Sequence[Batch],
        epoch: int,
        params: TrainingParameters,
        memory: dict[str, Any],
    ) -> Sequence[Batch]:
        """Return the videos with (frame, class) of the labelled frames as ``targets``, mined once, after which the head starts anew."""
        from pfes.methods.sfnet.network import mined_labels

        points = {batch.name: [part.tolist() for part in usable_points(batch)] for batch in loaded}
        if epoch and epoch == params.epochs // MINED:
            head.eval()
            for batch in loaded:
                memory[batch.name] = mined_labels(head.logits(clean(batch))[0].detach(), *points[batch.name])
            head.train()
            head.reset()
        return [
            replace(batch, targets=memory.get(batch.name) or list(zip(*points[batch.name], strict=True)))
            for batch in loaded
        ]

    def terms(
        self,
        head: SfnetHead,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], None]:
        """Return the terms of one video; of two labels at a frame the later point's counts."""
        import torch

        from pfes.methods.losses import summed
        from pfes.methods.sfnet.network import sfnet_terms

        labels = torch.full((len(features),), -1, device=features.device)
        for frame, kind in batch.targets:
            labels[frame] = kind
        terms = sfnet_terms(*head.logits(features), labels, usable_points(batch)[1], batch.valid)
        return summed(terms), None

    def outputs(self, head: SfnetHead, features: Tensor) -> Tensor:
        """Return the summed scores [T, 2]."""
        return head.clean(features)[0]

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return the runs of the summed score above its mean over the video, by their contrast."""
        import numpy as np

        from pfes.base.intervals import lengths, runs
        from pfes.decoding.proposals import moving_average
        from pfes.methods.ptal.candidates import MIN_FRAMES, Candidates, contrast, proposals

        valid, found = np.asarray(curves["valid"], bool), []
        for curve in np.asarray(curves["outputs"], np.float64).T:
            smooth = moving_average(curve, params.smooth_frames, valid)
            level = smooth[valid].mean() if valid.any() else 0.0
            smooth = np.where(valid, smooth, level)
            intervals = runs(smooth > level)
            intervals = intervals[lengths(intervals) >= MIN_FRAMES]
            found.append(Candidates(intervals, contrast(smooth, intervals)))
        return proposals(found, curves, params, fps)
