"""Cut the face clips of one recording."""

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.intensity.clips import write_clips
from pfes.intensity.parameters import ClipParameters

with stage(snakemake.log[0]):
    p, i = snakemake.params, snakemake.input
    write_clips(
        p.recording,
        i.faces,
        i.expressions,
        snakemake.wildcards.video,
        snakemake.output[0],
        build(ClipParameters, p.settings["intensity"]["clips"]),
    )
