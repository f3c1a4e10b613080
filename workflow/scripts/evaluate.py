"""Count hits and misses of every experiment, write the summary and the tables that explain it."""

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.evaluation.analysis import AnalysisFiles, analyse_run
from pfes.evaluation.metrics import Outputs, judge_run, nested, write_evaluation
from pfes.evaluation.parameters import EvaluateParameters

with stage(snakemake.log[0]):
    i, o, p = snakemake.input, snakemake.output, snakemake.params
    params = build(EvaluateParameters, p.settings["evaluate"])
    run = judge_run(i.videos, i.expressions, nested(p.proposals), params, i.clicks)
    write_evaluation(run, Outputs(o.metrics, o.counts, o.matches, o.summary), p.run)
    analyse_run(
        run, p.analysis, AnalysisFiles(p.dataset, p.chosen, nested(p.kept), p.flow, p.truth, nested(p.unlimited))
    )
