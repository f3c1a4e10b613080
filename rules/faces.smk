from pfes.base.config import build
from pfes.faces.landmarks import FaceParameters, check_backend

FACES = build(FaceParameters, config["faces"])


rule faces:
    input:
        recording,
        models=check_backend(FACES),
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
