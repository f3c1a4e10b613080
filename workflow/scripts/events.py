"""Write the proposals of a run as a table that any program reads."""

from pfes.base.logs import stage
from pfes.spotting.proposal_tables import write_events

with stage(snakemake.log[0]):
    write_events(snakemake.input[0], snakemake.output[0])
