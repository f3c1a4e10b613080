"""Spot every video without training: peaks of the flow magnitude."""

from pathlib import Path

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.spotting.baseline import BaselineParameters, write_baseline

with stage(snakemake.log[0]):
    snippets = {Path(path).stem: path for path in snakemake.input.snippets}
    faces = {Path(path).stem: path for path in snakemake.input.faces}
    params = build(BaselineParameters, snakemake.params.baseline)
    write_baseline(snippets, faces, snakemake.input.videos, snakemake.output[0], params)
