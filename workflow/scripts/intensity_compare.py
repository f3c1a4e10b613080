"""Measure every system and reference on the same clips."""

from pfes.base.logs import stage
from pfes.intensity.comparison import score_curves

with stage(snakemake.log[0]):
    p, o = snakemake.params, snakemake.output
    score_curves(
        p.curves,
        o.clips,
        o.metrics,
        truth_paths=p.truth,
        score_paths=p.scores,
        snippet_paths=p.snippets,
        dataset=p.dataset,
    )
