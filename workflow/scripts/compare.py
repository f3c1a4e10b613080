"""Compare the experiments of a run: table, F1 figure, and intensity where expressions follow each other closely."""

from pfes.base.logs import stage
from pfes.drawing.comparison_figures import write_comparison_figure
from pfes.drawing.experiment_data import write_stretch_figure
from pfes.evaluation.comparison import write_comparison

with stage(snakemake.log[0]):
    found, out, p = snakemake.input, snakemake.output, snakemake.params
    write_comparison_figure(write_comparison(found.counts, out.table), out.figure)
    write_stretch_figure(p.scores, found.expressions, found.videos, p.truth, out.consecutive)
