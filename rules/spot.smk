rule scores:
    input:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        features=RUN / "features/{experiment}/{fold}/seed{seed}/features.h5",
        snippets=held_out_files("snippets"),
    output:
        RUN / "spot/{experiment}/{fold}/seed{seed}/scores.h5",
    log:
        LOGS / "scores/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "scores/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=2000,
    params:
        code=code("pfes.training.features"),
    script:
        "../workflow/scripts/scores.py"


rule spot:
    input:
        scores=RUN / "spot/{experiment}/{fold}/seed{seed}/scores.h5",
        videos=RUN / "dataset/videos.parquet",
        faces=held_out_files("faces"),
    output:
        RUN / "spot/{experiment}/{fold}/seed{seed}/proposals.parquet",
    log:
        LOGS / "spot/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "spot/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=1000,
    params:
        spot=lambda wildcards: EXPERIMENTS[wildcards.experiment]["spot"],
        code=code("pfes.spotting.proposal_tables"),
    script:
        "../workflow/scripts/spot.py"


rule baseline:
    input:
        snippets=list(per_video("snippets").values()),
        faces=list(per_video("faces").values()),
        videos=RUN / "dataset/videos.parquet",
    output:
        RUN / "spot/baseline/proposals.parquet",
    log:
        LOGS / "spot/baseline.log",
    benchmark:
        BENCHMARKS / "spot/baseline.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=1000,
    params:
        baseline=config["baseline"],
        code=code("pfes.spotting.baseline"),
    script:
        "../workflow/scripts/baseline.py"
