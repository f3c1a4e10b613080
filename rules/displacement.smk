rule displacement:
    input:
        recording,
        faces=FACES_FOLDER / "{video}.h5",
    output:
        RUN / "displacement/{video}.h5",
    log:
        LOGS / "displacement/{video}.log",
    benchmark:
        BENCHMARKS / "displacement/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    threads: max(1, (workflow.cores or 1) // len(VIDEOS))
    resources:
        **DEMANDS.asks("displacement"),
    params:
        recording=lambda wildcards: VIDEOS[wildcards.video].path,
        settings=depends("displacement"),
        code=code("displacement"),
    script:
        "../workflow/scripts/displacement.py"
