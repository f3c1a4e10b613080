"""Write intensity and class scores of the held-out subject's videos."""

from pathlib import Path

from pfes.features import score_fold
from pfes.logs import stage

with stage(snakemake.log[0]):
    snippets = {Path(path).stem: path for path in snakemake.input.snippets}
    score_fold(snakemake.input.model, snakemake.input.features, snippets, snakemake.output[0])
