rule faces:
    input:
        recording,
    output:
        RUN / "faces/{video}.h5",
    log:
        LOGS / "faces/{video}.log",
    benchmark:
        BENCHMARKS / "faces/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=1500,
    params:
        recording=lambda wildcards: VIDEOS[wildcards.video].path,
        fps=lambda wildcards: VIDEOS[wildcards.video].fps,
        sampling=config["sampling"],
        faces=config["faces"],
        code=code("pfes.landmarks"),
    script:
        "../workflow/scripts/faces.py"
