"""Write the SpotFormer features that the model of one fold gives for every video."""

from pathlib import Path

from pfes.features import extract_features
from pfes.logs import stage

with stage(snakemake.log[0]):
    snippets = {Path(path).stem: path for path in snakemake.input.snippets}
    extract_features(snakemake.input.model, snippets, snakemake.output[0])
