"""What the methods of point-supervised action localisation have in common as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pfes.methods.base import Batch, Curves, LearnedMethod
from pfes.methods.ptal.parameters import PtalParameters

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from pfes.decoding.proposals import SpotParameters
    from pfes.methods.parameters import TrainingParameters


class Localiser(LearnedMethod):
    """A head with scores of classes and of background per frame; the intensity is 1 - s_b.

    SpotFormer has the rates of the section ``training``, the head those of ``training.ptal``.
    """

    labels = "points"
    training_sections: ClassVar[tuple[Any, ...]] = (PtalParameters,)
    first_nms: ClassVar[float | None] = None  # IoU of the NMS before that of METHOD 8

    def head_rates(self, params: TrainingParameters) -> tuple[float, float]:
        """Return rate and decay of the section."""
        own = params.of(PtalParameters)
        return own.learning_rate, own.weight_decay

    def videos_per_step(self, params: TrainingParameters) -> int:
        """Return the batch of the section."""
        return params.of(PtalParameters).batch_videos

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return runs above thresholds of the fused scores and of the background, by their contrast."""
        from pfes.methods.ptal.candidates import class_candidates, proposals

        return proposals(class_candidates(curves, params.smooth_frames), curves, params, fps, self.first_nms)


def usable_points(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return frames and classes of the points on frames that count: one on a frame without a face teaches nothing."""
    keep = batch.valid[batch.point_frames]
    return batch.point_frames[keep], batch.point_classes[keep]


def seen(valid: Tensor, intensity: Tensor, class_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return intensity [T] and class scores [T, 2], 0 on frames that do not count: these are background for sure."""
    return intensity * valid, class_scores * valid[:, None]
