"""Train the intensity model of one fold on the clips of the other subjects."""

from pathlib import Path

from pfes.base import store
from pfes.base.config import merged
from pfes.base.logs import stage
from pfes.intensity.training import train_intensity_fold

with stage(snakemake.log[0]):
    p, i, o, w = snakemake.params, snakemake.input, snakemake.output, snakemake.wildcards
    clips = store.files_of_subjects(i.videos, p.subjects, p.clips)
    device = snakemake.config["intensity"]["training"]["device"]
    settings = merged(p.settings, {"training": {"device": device}})
    folder = Path(o.model).parent
    train_intensity_fold(clips, i.videos, i.expressions, p.held_out, folder, settings, int(w.seed), w.system)
