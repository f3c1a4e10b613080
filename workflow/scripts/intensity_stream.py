"""Predict the whole recordings of the held-out subjects."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.intensity.prediction import write_stream

with stage(snakemake.log[0]):
    p = snakemake.params
    faces = {Path(path).stem: path for path in snakemake.input.faces}
    write_stream([snakemake.input.model], p.recordings, faces, snakemake.output[0], guard=p.held_out)
