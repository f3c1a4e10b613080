"""Predict the whole recordings of the held-out subjects."""

from pathlib import Path

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.intensity.parameters import StreamParameters
from pfes.intensity.prediction import write_stream

with stage(snakemake.log[0]):
    p, i = snakemake.params, snakemake.input
    faces = {Path(path).stem: path for path in i.faces}
    stream = build(StreamParameters, p.settings)
    write_stream([i.model], p.recordings, faces, snakemake.output[0], stream, guard=p.held_out)
