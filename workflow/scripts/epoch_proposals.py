"""Write what each kept epoch of a fold's training would have spotted in the held-out subject's videos."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.methods.registry import method_of, spot_parameters
from pfes.spotting.epochs import epoch_proposals
from pfes.spotting.limits import with_limits

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    snippets, faces = ({Path(path).stem: path for path in part} for part in (i.snippets, i.faces))
    params, method = with_limits(spot_parameters(p.settings["spot"]), i.limits), method_of(p.method_name)
    epoch_proposals(Path(i.model).parent / "epochs", snippets, i.videos, faces, snakemake.output[0], params, method)
