if config["dataset"]["name"] == "demo":

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
            mem_mb=1500,
        params:
            settings=config["dataset"]["demo"],
            code=code("pfes.datasets.demo_render"),
        script:
            "../workflow/scripts/demo_video.py"


rule dataset:
    input:
        recordings,
    output:
        expand(
            RUN / "dataset/{table}.parquet",
            table=["videos", "expressions", "repairs", "refusals"]
            + ["blinks"] * (RELEASE.blinks is not None),
        ),
    log:
        LOGS / "dataset.log",
    benchmark:
        BENCHMARKS / "dataset.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=1000,
    params:
        dataset=config["dataset"],
        sampling=config["sampling"],
        run=RUN,
        code=code("pfes.datasets"),
    script:
        "../workflow/scripts/dataset.py"
