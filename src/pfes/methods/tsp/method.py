"""TSP-Net as a method of spotting, on the candidates of a model of LAC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pfes.methods.base import Batch, Curves
from pfes.methods.ptal.method import Localiser, usable_points
from pfes.methods.tsp.parameters import TspParameters, TspSpotParameters

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from pfes.decoding.proposals import SpotParameters
    from pfes.methods.lac.network import LacHead
    from pfes.methods.parameters import TrainingParameters
    from pfes.methods.tsp.network import SaliencyHead


class Tsp(Localiser):
    """The candidates of LAC with classes and scores of their own, from points that move to their centres."""

    name = "tsp"
    builds_on = ("lac",)
    training_sections = (*Localiser.training_sections, TspParameters)
    spot_sections = (TspSpotParameters,)

    def head(self, width: int, dropout: float) -> SaliencyHead:
        """Return the head."""
        from pfes.methods.tsp.network import SaliencyHead

        return SaliencyHead(width, dropout)

    def take_over(self, head: SaliencyHead, source: LacHead) -> None:
        """Take the frozen head of LAC."""
        head.first.load_state_dict(source.state_dict())

    def set_up(
        self, head: SaliencyHead, clean: Callable[[Batch], Tensor], loaded: Sequence[Batch], params: TrainingParameters
    ) -> Sequence[Batch]:
        """Return the videos with their candidates [N, 2] as ``targets``."""
        return [replace(batch, targets=_intervals(head, clean(batch), batch.valid)) for batch in loaded]

    def before_epoch(
        self,
        head: SaliencyHead,
        clean: Callable[[Batch], Tensor],
        loaded: Sequence[Batch],
        epoch: int,
        params: TrainingParameters,
        memory: dict[str, Any],
    ) -> Sequence[Batch]:
        """Return the videos with candidates, points and their classes as ``targets``, moved in every so many epochs."""
        from pfes.methods.tsp.network import central_scores, moved_points

        own, found = params.of(TspParameters), []
        for batch in loaded:
            frames, classes = (part.cpu().numpy() for part in usable_points(batch))
            original = frames.astype(np.float64)
            points = np.array(memory.get(batch.name, original), np.float64)
            if epoch and epoch % own.move_every == 0:
                central = central_scores(head, clean(batch), batch.targets)
                points = moved_points(points, original, batch.targets, central, own.as_released)
                memory[batch.name] = points.tolist()
            found.append(replace(batch, targets=(batch.targets, points, classes)))
        return found

    def terms(
        self,
        head: SaliencyHead,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], None]:
        """Return the loss of one video's candidates."""
        import torch

        from pfes.methods.tsp.network import MOST, labels, saliency_loss

        intervals, points, classes = batch.targets
        chosen = intervals[torch.randperm(len(intervals), generator=generator)[:MOST].numpy()]
        y, centre = (torch.as_tensor(part).to(features) for part in labels(chosen, points, classes))
        return {"total": saliency_loss(head.judge(features, chosen), y, centre)}, None

    def candidates(self, head: SaliencyHead, features: Tensor, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return onset, offset, probability of macro and of micro, attention and centre score [N, 6]."""
        import torch

        intervals = _intervals(head, features, valid)
        with torch.no_grad():
            logits, attention, central = head.judge(features, intervals)
        said = torch.cat([logits.softmax(1)[:, :2], attention[:, None], central[:, None]], 1)
        return np.concatenate([intervals, said.double().cpu().numpy()], 1)

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return the candidates of each class in the video, their ends adapted, that pass soft-NMS, limits and NMS."""
        from pfes.methods.ptal.candidates import Candidates, proposals
        from pfes.methods.tsp.adaptation import adapted, classes_present

        own, table = params.of(TspSpotParameters), curves["candidates"]
        intervals, probabilities, attention = table[:, :2].astype(np.int64), table[:, 2:4], table[:, 4]
        present = classes_present(probabilities, attention, own.class_share)
        found = []
        for kind in range(2):
            scores = probabilities[:, kind] * attention * table[:, 5]
            used = slice(None) if present[kind] else slice(0)
            found.append(Candidates(adapted(intervals[used], scores[used], own.neighbour_iou), scores[used]))
        return proposals(found, curves, params, fps)


def _intervals(head: SaliencyHead, features: Tensor, valid: Any) -> NDArray[np.float64]:
    """Return the candidates [N, 2] of LAC, of both classes, each once."""
    from pfes.methods.ptal.candidates import class_candidates
    from pfes.methods.ptal.stage import first_curves

    found = class_candidates(first_curves(head, features, valid))
    return np.unique(np.concatenate([own.intervals for own in found]), axis=0).astype(np.float64)
