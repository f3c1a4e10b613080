rule flow:
    input:
        recording,
        faces=FACES_FOLDER / "{video}.h5",
    output:
        FLOW_FOLDER / "{video}.h5",
    log:
        LOGS / "flow/{video}.log",
    benchmark:
        BENCHMARKS / "flow/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    threads: max(1, (workflow.cores or 1) // len(VIDEOS))
    resources:
        **DEMANDS.asks("flow"),
    params:
        recording=lambda wildcards: VIDEOS[wildcards.video].path,
        settings=depends("flow"),
    script:
        "../workflow/scripts/flow.py"
