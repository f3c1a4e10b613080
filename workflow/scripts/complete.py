"""End the run: say that nothing was left out, or fail with the list of what was."""

from pfes.base.logs import stage
from pfes.report.summary import write_complete

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    write_complete(i.videos, i.refusals, p.files, p.kind, snakemake.output[0])
