rule subject:  # all recordings of a subject: a fold names these marks, or its inputs would be recordings times folds
    input:
        lambda wildcards: list(
            per_video(wildcards.stage, (wildcards.subject,)).values()
        ),
    output:
        touch(RUN / "subjects/{stage}{key}/{subject}"),


rule train:
    input:
        subjects=marks("snippets", trained_on),
        points=RUN / "points/{experiment}/seed{seed}.parquet",
        videos=RUN / "dataset/videos.parquet",
        neutral=RUN / "dataset/neutral.parquet",
        expressions=expressions_of,
        cached_model=cached("train", "model.pt"),
        cached_features=cached("features", "features.h5"),
    output:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        log=RUN / "train/{experiment}/{fold}/seed{seed}/log.parquet",
        apexes=RUN / "train/{experiment}/{fold}/seed{seed}/apexes.parquet",
    log:
        LOGS / "train/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "train/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("train"),
    params:
        snippets=RUN / "snippets",
        subjects=trained_on,
        held_out=lambda wildcards: FOLDS[wildcards.fold].held_out,
        validation=lambda wildcards: FOLDS[wildcards.fold].validation,
        settings=depends("train"),
        code=code("train"),
        method=method_code,
    script:
        "../workflow/scripts/train.py"
