"""Spot every video with a method that needs no training."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.methods.registry import spot_parameters, training_free
from pfes.spotting.training_free import write_training_free

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    measured, faces = ({Path(path).stem: path for path in part} for part in (i.measured, i.faces))
    params = spot_parameters(p.settings["spot"])
    write_training_free(training_free(p.method_name), measured, faces, i.videos, snakemake.output[0], params)
