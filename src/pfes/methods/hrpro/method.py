"""HR-Pro as two methods of spotting, one for each stage; the second goes on from a model of the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pfes.base.intervals import runs
from pfes.methods.base import Batch, Curves
from pfes.methods.lac.method import fused_and_seeds
from pfes.methods.ptal.method import Localiser, usable_points

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from pfes.decoding.proposals import SpotParameters
    from pfes.methods.hrpro.stage1 import ReliableHead
    from pfes.methods.hrpro.stage2 import RefineHead
    from pfes.methods.parameters import TrainingParameters

FRAME_WEIGHT = 0.5


class HrproStage1(Localiser):
    """Scores of frames, trained on seeds and on a prototype of each class."""

    name = "hrpro_stage1"

    def head(self, width: int, dropout: float) -> ReliableHead:
        """Return the head."""
        from pfes.methods.hrpro.stage1 import ReliableHead

        return ReliableHead(width, dropout)

    def set_up(
        self, head: ReliableHead, clean: Callable[[Batch], Tensor], loaded: Sequence[Batch], params: TrainingParameters
    ) -> Sequence[Batch]:
        """Begin with prototypes of the points, by the untrained network with prototypes of 0."""
        import torch

        from pfes.methods.hrpro.stage1 import first_prototypes

        points = [usable_points(batch) for batch in loaded]
        embedded = [head.clean(clean(batch))[0][frames] for batch, (frames, _) in zip(loaded, points, strict=True)]
        head.prototypes.copy_(first_prototypes(torch.cat(embedded), torch.cat([classes for _, classes in points])))
        return loaded

    def terms(
        self,
        head: ReliableHead,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], None]:
        """Return the weighted terms of one video, and move the prototypes by it."""
        import torch

        from pfes.methods.hrpro.stage1 import moved_prototypes, prototype_contrast
        from pfes.methods.losses import summed
        from pfes.methods.ptal.losses import background_loss, frame_loss

        embedded, intensity, class_scores = head(features)
        p, seeds = fused_and_seeds(batch, intensity, class_scores)
        action, background = (torch.as_tensor(part, device=p.device) for part in (seeds.action, seeds.background))
        background = background & batch.valid
        terms = {
            "frame": FRAME_WEIGHT * frame_loss(p, *usable_points(batch)),
            "background": background_loss(p, background),
            "contrast": prototype_contrast(embedded, head.prototypes.clone(), action, background),
        }
        head.prototypes.copy_(moved_prototypes(head.prototypes, embedded, action))
        return summed(terms), None


class Hrpro(Localiser):
    """The candidates of stage 1 with a predicted quality, beside themselves with refined ends."""

    name = "hrpro"
    builds_on = (HrproStage1.name,)

    def head(self, width: int, dropout: float) -> RefineHead:
        """Return the head."""
        from pfes.methods.hrpro.stage2 import RefineHead

        return RefineHead(width, dropout)

    def take_over(self, head: RefineHead, source: ReliableHead) -> None:
        """Take the frozen stage 1."""
        head.first.load_state_dict(source.state_dict())

    def set_up(
        self, head: RefineHead, clean: Callable[[Batch], Tensor], loaded: Sequence[Batch], params: TrainingParameters
    ) -> Sequence[Batch]:
        """Return the videos with what stage 2 learns from as ``targets``."""
        import torch

        from pfes.methods.hrpro.stage2 import Material, reliable_candidates
        from pfes.methods.ptal.candidates import class_candidates
        from pfes.methods.ptal.stage import first_curves

        found = []
        for batch in loaded:
            features = clean(batch)
            curves = first_curves(head, features, batch.valid)
            candidates = class_candidates(curves)
            frames, classes = (part.cpu().numpy() for part in usable_points(batch))
            _, seeds = fused_and_seeds(
                batch, *(torch.as_tensor(curves[name]).to(features) for name in ("intensity", "class_scores"))
            )
            background = runs(seeds.background & batch.valid.cpu().numpy())
            parts = (
                np.concatenate([own.intervals for own in candidates]),
                reliable_candidates(candidates, frames, classes),
                background,
            )
            found.append(replace(batch, targets=Material(*((part + [0, 1]).astype(np.float64) for part in parts))))
        return found

    def terms(
        self,
        head: RefineHead,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], None]:
        """Return the loss of one video's candidates."""
        import torch

        from pfes.methods.hrpro.stage2 import drawn_intervals, refine_loss

        intervals = drawn_intervals(batch.targets, generator)
        quality, refined = head.judge(features, intervals)
        given, reliable = (torch.as_tensor(part).to(refined) for part in (intervals, batch.targets.reliable))
        return {"total": refine_loss(quality, refined, given, reliable, generator)}, None

    def candidates(self, head: RefineHead, features: Tensor, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return onset, offset, class and score [N, 4] of the candidates of stage 1 and of their refined copies.

        Both have the score of stage 1 plus the predicted quality of the one or the other.
        """
        import torch

        from pfes.methods.ptal.candidates import MIN_FRAMES, class_candidates
        from pfes.methods.ptal.stage import first_curves

        tables = []
        with torch.no_grad():
            for kind, own in enumerate(class_candidates(first_curves(head, features, valid))):
                given = (own.intervals + [0, 1]).astype(np.float64)
                quality, refined = head.judge(features, given)
                ends = np.rint(refined.double().cpu().numpy())
                again, _ = head.judge(features, ends)
                for intervals, q in ((given, quality), (ends, again)):
                    score = own.scores + q.double().cpu().numpy()
                    tables.append(np.column_stack([intervals - [0, 1], np.full(len(score), kind), score]))
        table = np.concatenate(tables)
        table[:, :2] = table[:, :2].clip(0, max(len(features) - 1, 0))
        return table[table[:, 1] - table[:, 0] + 1 >= MIN_FRAMES]

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return the candidates that pass soft-NMS, limits and NMS."""
        from pfes.methods.ptal.candidates import Candidates, proposals

        table = curves["candidates"]
        found = [
            Candidates(own[:, :2].astype(np.int64), own[:, 3])
            for own in (table[table[:, 2] == kind] for kind in (0, 1))
        ]
        return proposals(found, curves, params, fps)
