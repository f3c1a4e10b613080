rule points:
    input:
        RUN / "dataset/expressions.parquet",
        RUN / "dataset/clicks.parquet",
    output:
        RUN / "points/{experiment}/seed{seed}.parquet",
    log:
        LOGS / "points/{experiment}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "points/{experiment}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=500,
    params:
        settings=depends("points"),
        code=code("points"),
    script:
        "../workflow/scripts/points.py"
