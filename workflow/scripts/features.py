"""Write the SpotFormer features that the model of one fold gives for every video."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.training.features import extract_features

with stage(snakemake.log[0]):
    snippets = {Path(path).stem: path for path in snakemake.input.snippets}
    cached = snakemake.input.cached[0] if snakemake.input.cached else None
    extract_features(snakemake.input.model, snippets, snakemake.output[0], cached_path=cached)
