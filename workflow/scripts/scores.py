"""Write intensity and class scores of the held-out subject's videos."""

from pathlib import Path

from pfes.logs import stage
from pfes.training import score_fold

with stage(snakemake.log[0]):
    snippets = {Path(path).stem: path for path in snakemake.input.snippets}
    score_fold(snakemake.input.model, snakemake.input.features, snippets, snakemake.output[0])
