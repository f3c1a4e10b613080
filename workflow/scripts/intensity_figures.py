"""Draw the clips and the recordings of the continuous intensity."""

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.intensity.comparison import Beside
from pfes.intensity.drawing import draw_clips, draw_streams
from pfes.methods.baseline import BaselineParameters

with stage(snakemake.log[0]):
    p, i, o = snakemake.params, snakemake.input, snakemake.output
    baseline = build(BaselineParameters, p.settings["spot"]["baseline"])
    beside = Beside(p.truth, p.scores, p.snippets, baseline)
    draw_clips(p.curves, o.clips, p.truth)
    draw_streams(p.streams, i.videos, i.expressions, o.streams, beside)
