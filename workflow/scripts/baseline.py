"""Spot every video without training: peaks of the flow magnitude."""

from pathlib import Path

from pfes.baseline import BaselineParameters, write_baseline
from pfes.config import build
from pfes.logs import stage

with stage(snakemake.log[0]):
    snippets = {Path(path).stem: path for path in snakemake.input.snippets}
    faces = {Path(path).stem: path for path in snakemake.input.faces}
    params = build(BaselineParameters, snakemake.params.baseline)
    write_baseline(snippets, faces, snakemake.input.videos, snakemake.output[0], params)
