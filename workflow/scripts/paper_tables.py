"""Write the tables of the paper that the experiments of a run fill."""

from pfes.base.logs import stage
from pfes.evaluation.paper_tables import write_paper_tables

with stage(snakemake.log[0]):
    write_paper_tables(snakemake.input.summary, snakemake.output, snakemake.params.dataset)
