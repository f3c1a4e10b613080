"""Turn the scores of one fold into proposals."""

from pathlib import Path

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.decoding.proposals import SpotParameters
from pfes.spotting.proposal_tables import write_proposals

with stage(snakemake.log[0]):
    faces = {Path(path).stem: path for path in snakemake.input.faces}
    params = build(SpotParameters, snakemake.params.spot)
    write_proposals(snakemake.input.scores, snakemake.input.videos, faces, snakemake.output[0], params)
