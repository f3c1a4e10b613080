"""Draw the pseudo-labels of one experiment, first fold and seed, against truth."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.drawing.experiment_data import write_label_figure

with stage(snakemake.log[0]):
    found = snakemake.input
    snippets = {Path(path).stem: path for path in found.snippets}
    write_label_figure(
        found.model, snippets, found.points, found.expressions, snakemake.params.truth, snakemake.output[0]
    )
