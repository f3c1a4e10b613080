"""Draw how far pseudo-apex frames are from the true apex, epoch by epoch."""

from pfes.base.logs import stage
from pfes.drawing.experiment_data import write_apex_figure

with stage(snakemake.log[0]):
    p = snakemake.params
    write_apex_figure(p.apexes, p.points, snakemake.input.expressions, snakemake.output[0])
