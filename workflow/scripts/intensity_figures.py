"""Draw the clips and the recordings of the continuous intensity."""

from pfes.base.logs import stage
from pfes.intensity.drawing import draw_clips, draw_streams

with stage(snakemake.log[0]):
    p, i, o = snakemake.params, snakemake.input, snakemake.output
    draw_clips(p.curves, o.clips, p.truth)
    draw_streams(
        p.streams, i.videos, i.expressions, o.streams,
        score_paths=p.scores, snippet_paths=p.snippets, truth_paths=p.truth,
    )  # fmt: skip
