"""Train the intensity model of one fold on the clips of the other subjects."""

from pathlib import Path

from pfes.base.config import merged
from pfes.base.logs import stage
from pfes.intensity.training import train_intensity_fold

with stage(snakemake.log[0]):
    p, i, o, w = snakemake.params, snakemake.input, snakemake.output, snakemake.wildcards
    clips = {Path(path).stem: path for path in i.clips}
    device = snakemake.config["intensity"]["training"]["device"]
    settings = merged(p.settings, {"training": {"device": device}})
    train_intensity_fold(
        clips, i.videos, i.expressions, p.held_out, o.model, o.log, settings, seed=int(w.seed), system=w.system
    )
