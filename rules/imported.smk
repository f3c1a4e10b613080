rule imported:  # imported features instead of faces, flow and snippets: they are all of a recording that there is
    input:
        recording,
    output:
        snippets=RUN / "snippets/{video}.h5",
        faces=FACES_FOLDER / "{video}.h5",
    log:
        LOGS / "imported/{video}.log",
    benchmark:
        BENCHMARKS / "imported/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("imported"),
    params:
        code=code("imported"),
    script:
        "../workflow/scripts/imported.py"
