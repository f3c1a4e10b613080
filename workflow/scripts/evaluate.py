"""Count hits and misses of every experiment, and write the summary."""

from pfes.evaluation import evaluate_run
from pfes.logs import stage

with stage(snakemake.log[0]):
    proposals = {}
    for (experiment, seed), paths in snakemake.params.proposals.items():
        proposals.setdefault(experiment, {})[seed] = paths
    out = snakemake.output
    evaluate_run(
        snakemake.input.videos, snakemake.input.expressions, proposals, out.metrics, out.counts, out.matches, out.summary,
        run=snakemake.params.run, **snakemake.params.evaluate,
    )  # fmt: skip
