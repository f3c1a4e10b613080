rule snippets:
    input:
        flow=FLOW_FOLDER / "{video}.h5",
    output:
        RUN / "snippets/{video}.h5",
    log:
        LOGS / "snippets/{video}.log",
    benchmark:
        BENCHMARKS / "snippets/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("snippets"),
    params:
        settings=depends("snippets"),
        code=code("snippets"),
    script:
        "../workflow/scripts/snippets.py"
