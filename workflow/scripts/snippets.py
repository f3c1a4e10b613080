"""Remove head motion from the flow of one recording."""

from pfes.base.logs import stage
from pfes.flow.snippets import SnippetParameters, write_snippets

with stage(snakemake.log[0]):
    params = SnippetParameters(**snakemake.params.settings["snippets"])
    write_snippets(snakemake.input.flow, snakemake.output[0], params)
