PROPOSALS = {
    **{
        (name, seed): per_fold("spot", "proposals.parquet", name, seed)
        for name in EXPERIMENTS
        for seed in SEEDS
    },
    ("baseline", -1): [
        RUN / "spot/baseline/proposals.parquet"
    ],  # no seed: see evaluation.NO_SEED
}
TRAININGS = {name: settings["training"] for name, settings in EXPERIMENTS.items()}
KEPT = {  # what each kept epoch would have spotted, for the protocol table alone
    (name, seed): per_fold("spot", "epoch_proposals.parquet", name, seed)
    for name, training in TRAININGS.items()
    if training["keep_every"]
    for seed in SEEDS
}
ANALYSIS = {
    kind: RUN / f"evaluate/{kind}.parquet"
    for kind in (
        "intervals",
        "differences",
        "protocol_table",
        "by_iou",
        "recall_by",
        "precision_recall",
        "apex_errors",
        "errors",
    )
}
TRUTH = per_video("dataset/demo") if config["dataset"]["name"] == "demo" else {}


rule evaluate:
    input:
        [path for paths in PROPOSALS.values() for path in paths],
        [path for paths in KEPT.values() for path in paths],
        videos=RUN / "dataset/videos.parquet",
        expressions=RUN / "dataset/expressions.parquet",
        flow=list(per_video("flow").values()),
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
        mem_mb=2000,
    params:
        proposals=PROPOSALS,
        kept=KEPT,
        chosen={
            name: "inner" if training["epoch_choice"] == "validation" else "fixed"
            for name, training in TRAININGS.items()
        },
        analysis=ANALYSIS,
        flow=per_video("flow"),
        truth=TRUTH,
        dataset=config["dataset"]["name"],
        run=RUN.name,
        evaluate=config["evaluate"],
        code=code("pfes.evaluation.analysis"),
    script:
        "../workflow/scripts/evaluate.py"
