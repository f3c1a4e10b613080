"""Write intensity and class scores of the held-out subject's videos."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.training.features import score_fold

with stage(snakemake.log[0]):
    snippets = {Path(path).stem: path for path in snakemake.input.snippets}
    score_fold(snakemake.input.model, snakemake.input.features, snippets, snakemake.output[0])
