"""Train the model of one fold on the other subjects."""

from pathlib import Path

from pfes.config import build
from pfes.logs import stage
from pfes.model import ModelParameters
from pfes.training import TrainingParameters, train_fold

with stage(snakemake.log[0]):
    p = snakemake.params
    train_fold(
        {Path(path).stem: path for path in snakemake.input.snippets},
        snakemake.input.points,
        snakemake.input.videos,
        p.held_out,
        snakemake.output.model,
        snakemake.output.log,
        build(ModelParameters, p.model),
        build(TrainingParameters, p.training),
        seed=int(snakemake.wildcards.seed),
        experiment=snakemake.wildcards.experiment,
        spotting=p.spotting,
        validation=p.validation,
    )
