"""Compare the experiments of a run: table, F1 figure, and intensity where expressions follow each other closely."""

from pfes.comparison import write_comparison
from pfes.comparison_figures import write_comparison_figure
from pfes.experiment_data import write_stretch_figure
from pfes.logs import stage

with stage(snakemake.log[0]):
    found, out, p = snakemake.input, snakemake.output, snakemake.params
    write_comparison_figure(write_comparison(found.counts, out.table), out.figure)
    write_stretch_figure(p.scores, found.expressions, found.videos, p.truth, out.consecutive)
