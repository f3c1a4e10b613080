"""Turn the scores of one fold into proposals."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.methods.registry import method_of, spot_parameters
from pfes.spotting.limits import with_limits
from pfes.spotting.proposal_tables import write_proposals

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    faces = {Path(path).stem: path for path in i.faces}
    params = with_limits(spot_parameters(p.settings["spot"]), i.limits)
    write_proposals(i.scores, i.videos, faces, snakemake.output[0], params, method_of(p.method_name))
