"""End the run: say that nothing was left out, or fail with the list of what was."""

from pfes.logs import stage
from pfes.summary import write_complete

with stage(snakemake.log[0]):
    write_complete(snakemake.input.videos, snakemake.input.refusals, snakemake.params.snippets, snakemake.output[0])
