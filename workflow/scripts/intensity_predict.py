"""Predict the clips of the held-out subjects."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.intensity.prediction import write_curves

with stage(snakemake.log[0]):
    i = snakemake.input
    clips = {Path(path).stem: path for path in i.clips}
    write_curves(i.model, clips, i.videos, i.expressions, snakemake.output[0])
