"""Choose the least scores of one fold's proposals."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.methods.registry import spot_parameters
from pfes.spotting.limits import ChoiceFiles, write_limits

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    snippets, faces = ({Path(path).stem: path for path in part} for part in (i.snippets, i.faces))
    files = ChoiceFiles(i.model, i.features, i.points, i.videos, snippets, faces)
    write_limits(files, snakemake.output[0], spot_parameters(p.settings["spot"]))
