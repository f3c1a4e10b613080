"""Choose the least scores of one fold's proposals."""

from pfes.base import store
from pfes.base.logs import stage
from pfes.methods.registry import spot_parameters
from pfes.spotting.limits import ChoiceFiles, write_limits

with stage(snakemake.log[0]):
    i, p = snakemake.input, snakemake.params
    snippets, faces = (store.files_of_subjects(i.videos, p.subjects, folder) for folder in (p.snippets, p.faces))
    files = ChoiceFiles(i.model, i.features, i.points, i.videos, snippets, faces)
    write_limits(files, snakemake.output[0], spot_parameters(p.settings["spot"]))
