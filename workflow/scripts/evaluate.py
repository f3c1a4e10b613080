"""Count hits and misses of every experiment, write the summary and the tables that explain it."""

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.evaluation.analysis import analyse_run
from pfes.evaluation.metrics import EvaluateParameters, evaluate_run

with stage(snakemake.log[0]):
    proposals = {}
    for (experiment, seed), paths in snakemake.params.proposals.items():
        proposals.setdefault(experiment, {})[seed] = paths
    kept = {}
    for (experiment, seed), paths in snakemake.params.kept.items():
        kept.setdefault(experiment, {})[seed] = paths
    out, tables, p = snakemake.output, (snakemake.input.videos, snakemake.input.expressions), snakemake.params
    params = build(EvaluateParameters, p.evaluate)
    evaluate_run(*tables, proposals, out.metrics, out.counts, out.matches, out.summary, run=p.run, **vars(params))
    analyse_run(
        *tables,
        proposals,
        p.analysis,
        params,
        dataset=p.dataset,
        chosen=p.chosen,
        kept=kept,
        flow=p.flow,
        truth=p.truth,
    )
