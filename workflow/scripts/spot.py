"""Turn the scores of one fold into proposals."""

from pathlib import Path

from pfes.config import build
from pfes.logs import stage
from pfes.proposal_tables import write_proposals
from pfes.proposals import SpotParameters

with stage(snakemake.log[0]):
    faces = {Path(path).stem: path for path in snakemake.input.faces}
    params = build(SpotParameters, snakemake.params.spot)
    write_proposals(snakemake.input.scores, snakemake.input.videos, faces, snakemake.output[0], params)
