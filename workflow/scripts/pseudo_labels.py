"""Draw the pseudo-labels of one experiment, first fold and seed, against truth."""

from pathlib import Path

from pfes.experiment_data import write_label_figure
from pfes.logs import stage

with stage(snakemake.log[0]):
    found = snakemake.input
    snippets = {Path(path).stem: path for path in found.snippets}
    write_label_figure(
        found.model, snippets, found.points, found.expressions, snakemake.params.truth, snakemake.output[0]
    )
