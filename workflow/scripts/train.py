"""Train the model of one fold on the other subjects."""

from pathlib import Path

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.training.fold import CachedSource, TrainingParameters, train_fold
from pfes.training.model import ModelParameters

with stage(snakemake.log[0]):
    p, inputs = snakemake.params, snakemake.input
    train_fold(
        {Path(path).stem: path for path in inputs.snippets},
        inputs.points,
        inputs.videos,
        p.held_out,
        snakemake.output.model,
        snakemake.output.log,
        build(ModelParameters, p.model),
        build(TrainingParameters, p.training),
        seed=int(snakemake.wildcards.seed),
        experiment=snakemake.wildcards.experiment,
        spotting=p.spotting,
        validation=p.validation,
        out_apexes=snakemake.output.apexes,
        expressions_path=next(iter(inputs.expressions), None),
        cached=CachedSource(inputs.cached_model[0], inputs.cached_features[0]) if inputs.cached_model else None,
    )
