"""The method ``training_free``: spotting from displacement against a rest, without a model.

Curves: ``intensity`` is d / (d + c), of the distance from rest d and the threshold c, so that .5 is an excursion just high
enough from a perfect rest; both class scores are the intensity, since length alone tells the class. ``outputs`` is d.
OpenCV and numba are imported where curves are made: every job and every start of the workflow imports this module.
"""

import numpy as np
import pandas as pd

from pfes.base.intervals import shots
from pfes.base.records import FRAME_COLUMNS
from pfes.decoding.proposals import SpotParameters
from pfes.methods.base import Curves, Measured, Signals, TrainingFreeMethod
from pfes.methods.training_free.parameters import TrainingFreeParameters


class TrainingFree(TrainingFreeMethod):
    """Excursions of the face from its rest."""

    name = "training_free"
    spot_sections = (TrainingFreeParameters,)
    reads_spot = False

    def reads(self, params: SpotParameters) -> Measured:
        """Return displacement, or snippets where motion is to be summed up from them."""
        return "displacement" if params.of(TrainingFreeParameters).motion == "long" else "snippets"

    def curves(self, signals: Signals, params: SpotParameters) -> Curves:
        """Return the intensity and, as output, the distance from rest."""
        from pfes.methods.training_free.channels import Channels, channels
        from pfes.methods.training_free.excursions import distance

        own = params.of(TrainingFreeParameters)
        watched = channels(signals, own)
        found = np.zeros(len(signals.valid))
        for first, last in shots(signals.cut).tolist():
            shot = slice(first, last + 1)
            part = Channels(watched.positions[shot], watched.floors)
            found[shot] = distance(part, signals.pose[shot], signals.valid[shot], signals.fps, own)
        intensity = found / (found + max(own.threshold, 1e-6))
        return {"intensity": intensity, "class_scores": np.stack([intensity, intensity], 1), "outputs": found[:, None]}

    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Return the excursions; the score is their height in thresholds, 1 and more."""
        from pfes.methods.training_free.excursions import find_excursions

        own = params.of(TrainingFreeParameters)
        found = find_excursions(curves["outputs"][:, 0], fps, own, own.threshold)
        onset, offset = found.intervals.T
        micro = (offset - onset + 1) / fps < own.micro_s
        intensity = curves["intensity"]
        means = [intensity[first : last + 1].mean() for first, last in found.intervals]
        columns = (
            np.where(micro, "micro", "macro").astype(object), onset, found.apexes, offset,
            found.heights / max(own.threshold, 1e-6), np.array(means, np.float64), intensity[found.apexes],
        )  # fmt: skip
        return pd.DataFrame(dict(zip(FRAME_COLUMNS, columns, strict=True)))
