rule flow:
    input:
        recording,
        faces=RUN / "faces/{video}.h5",
    output:
        RUN / "flow/{video}.h5",
    log:
        LOGS / "flow/{video}.log",
    benchmark:
        BENCHMARKS / "flow/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=1500,
    params:
        recording=lambda wildcards: VIDEOS[wildcards.video].path,
        flow=config["flow"],
        code=code("pfes.flow"),
    script:
        "../workflow/scripts/flow.py"
