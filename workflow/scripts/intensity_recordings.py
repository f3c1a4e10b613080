"""Measure every system and reference on whole recordings."""

from pfes.base.logs import stage
from pfes.intensity.recordings import compare_recordings

with stage(snakemake.log[0]):
    p, i, o = snakemake.params, snakemake.input, snakemake.output
    compare_recordings(
        p.streams, i.videos, i.expressions, o.rows, o.metrics,
        truth_paths=p.truth, score_paths=p.scores, snippet_paths=p.snippets,
    )  # fmt: skip
