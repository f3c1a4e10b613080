rule features:
    input:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        snippets=list(per_video("snippets").values()),
        cached=cached("features", "features.h5"),
    output:
        RUN / "features/{experiment}/{fold}/seed{seed}/features.h5",
    log:
        LOGS / "features/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "features/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=3000,
    params:
        code=code("pfes.training.features"),
    script:
        "../workflow/scripts/features.py"


rule epoch_proposals:  # on request only: what each kept epoch would have spotted, see pfes.spotting.epochs
    input:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        videos=RUN / "dataset/videos.parquet",
        snippets=held_out_files("snippets"),
        faces=held_out_files("faces"),
    output:
        RUN / "spot/{experiment}/{fold}/seed{seed}/epoch_proposals.parquet",
    log:
        LOGS / "epoch_proposals/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "epoch_proposals/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=3000,
    params:
        spot=lambda wildcards: EXPERIMENTS[wildcards.experiment]["spot"],
        code=code("pfes.spotting.epochs"),
    script:
        "../workflow/scripts/epoch_proposals.py"
