"""Write the SpotFormer features that the model of one fold gives for the videos of some subjects."""

from pfes.base import store
from pfes.base.logs import stage
from pfes.training.features import extract_features

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    snippets = store.files_of_subjects(i.videos, p.subjects, p.snippets)
    cached = i.cached[0] if i.cached else None
    extract_features(i.model, snippets, snakemake.output[0], cached_path=cached)
