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


rule evaluate:
    input:
        [path for paths in PROPOSALS.values() for path in paths],
        videos=RUN / "dataset/videos.parquet",
        expressions=RUN / "dataset/expressions.parquet",
    output:
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
        mem_mb=1000,
    params:
        proposals=PROPOSALS,
        run=RUN.name,
        evaluate=config["evaluate"],
        code=code("pfes.evaluation"),
    script:
        "../workflow/scripts/evaluate.py"
