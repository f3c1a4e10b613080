"""Measure every system and reference on whole recordings."""

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.intensity.comparison import Beside
from pfes.intensity.recordings import compare_recordings
from pfes.methods.baseline import BaselineParameters

with stage(snakemake.log[0]):
    p, i, o = snakemake.params, snakemake.input, snakemake.output
    baseline = build(BaselineParameters, p.settings["spot"]["baseline"])
    beside = Beside(p.truth, p.scores, p.snippets, baseline)
    compare_recordings(p.streams, i.videos, i.expressions, o.rows, o.metrics, beside)
