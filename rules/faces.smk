rule faces:
    input:
        recording,
        beside=read_beside,
    output:
        FACES_FOLDER / "{video}.h5",
    log:
        LOGS / "faces/{video}.log",
    benchmark:
        BENCHMARKS / "faces/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("faces"),
    params:
        recording=lambda wildcards: VIDEOS[wildcards.video].path,
        fps=lambda wildcards: VIDEOS[wildcards.video].fps,
        ranked=lambda wildcards: VIDEOS[wildcards.video].ranked,
        settings=depends("faces"),
    script:
        "../workflow/scripts/faces.py"
