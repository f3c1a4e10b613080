"""Turn the scores of one fold into proposals, whatever their score."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.methods.registry import method_of, spot_parameters
from pfes.spotting.limits import unlimited
from pfes.spotting.proposal_tables import write_proposals

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    faces = {Path(path).stem: path for path in i.faces}
    params = unlimited(spot_parameters(p.settings["spot"]))
    write_proposals(i.scores, i.videos, faces, snakemake.output[0], params, method_of(p.method_name))
