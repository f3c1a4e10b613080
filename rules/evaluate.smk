from pfes.evaluation.analysis import TABLES

PROPOSALS = {
    **per_run("spot", "proposals.parquet"),
    **{
        (name, NO_SEED): [RUN / "spot" / name / "proposals.parquet"]
        for name in TRAINING_FREE
    },
}
KEPT = per_run(  # what each kept epoch would have spotted, for the protocol table alone
    "spot",
    "epoch_proposals.parquet",
    [name for name in LEARNED if TRAININGS[name].keep_every],
)
UNLIMITED = per_run("spot", "all_proposals.parquet", LIMITED)  # likewise
ANALYSIS = {kind: RUN / f"evaluate/{kind}.parquet" for kind in TABLES}


rule evaluate:
    input:
        flat(PROPOSALS),
        flat(KEPT),
        flat(UNLIMITED),
        videos=RUN / "dataset/videos.parquet",
        expressions=RUN / "dataset/expressions.parquet",
        clicks=RUN / "dataset/clicks.parquet",
        flow=list(FLOW_FILES.values()),
        truth=list(TRUTH.values()),
    output:
        list(ANALYSIS.values()),
        metrics=RUN / "evaluate/metrics.parquet",
        counts=RUN / "evaluate/counts.parquet",
        matches=RUN / "evaluate/matches.parquet",
        summary=RUN / "summary.json",
    log:
        LOGS / "evaluate.log",
    benchmark:
        BENCHMARKS / "evaluate.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("evaluate"),
    params:
        proposals=PROPOSALS,
        kept=KEPT,
        unlimited=UNLIMITED,
        chosen={
            name: "inner" if training.epoch_choice == "validation" else "fixed"
            for name, training in TRAININGS.items()
        },
        analysis=ANALYSIS,
        flow=FLOW_FILES,
        truth=TRUTH,
        settings=depends("evaluate"),
        run=RUN.name,
        dataset=PLAN.dataset,
        code=code("evaluate"),
    script:
        "../workflow/scripts/evaluate.py"
