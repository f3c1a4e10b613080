if IS_DEMO:

    rule demo_video:
        output:
            video=RUN / "dataset/demo/{video}.mp4",
            truth=RUN / "dataset/demo/{video}.h5",
        log:
            LOGS / "demo_video/{video}.log",
        benchmark:
            BENCHMARKS / "demo_video/{video}.tsv"
        conda:
            "../envs/pfes.yaml"
        resources:
            **DEMANDS.asks("demo_video"),
        params:
            settings=depends("demo_video"),
            code=code("demo_video"),
        script:
            "../workflow/scripts/demo_video.py"


rule dataset:
    input:
        recordings,
    output:
        expand(
            RUN / "dataset/{table}.parquet",
            table=["videos", "expressions", "clicks", "neutral", "repairs", "refusals"]
            + ["blinks"] * (PLAN.release.blinks is not None),
        ),
    log:
        LOGS / "dataset.log",
    benchmark:
        BENCHMARKS / "dataset.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("dataset"),
    params:
        settings=depends("dataset"),
        run=RUN,
        code=code("dataset"),
    script:
        "../workflow/scripts/dataset.py"
