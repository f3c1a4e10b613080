"""Measure every system and reference on the same clips."""

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.intensity.comparison import Beside, score_curves
from pfes.methods.baseline import BaselineParameters

with stage(snakemake.log[0]):
    p, o = snakemake.params, snakemake.output
    baseline = build(BaselineParameters, p.settings["spot"]["baseline"])
    beside = Beside(p.truth, p.scores, p.snippets, baseline)
    score_curves(p.curves, o.clips, o.metrics, beside, dataset=p.dataset)
