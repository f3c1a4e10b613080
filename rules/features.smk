rule features:
    input:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        subjects=marks("snippets", featured),
        videos=RUN / "dataset/videos.parquet",
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
        **DEMANDS.asks("features"),
    params:
        snippets=RUN / "snippets",
        subjects=featured,
        code=code("features"),
        method=method_code,
    script:
        "../workflow/scripts/features.py"


rule epoch_proposals:  # on request only: what each kept epoch would have spotted, see pfes.spotting.epochs
    input:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        videos=RUN / "dataset/videos.parquet",
        snippets=held_out_files("snippets"),
        faces=held_out_files("faces"),
        limits=limits_of,
    output:
        RUN / "spot/{experiment}/{fold}/seed{seed}/epoch_proposals.parquet",
    log:
        LOGS / "epoch_proposals/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "epoch_proposals/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("epoch_proposals"),
    params:
        settings=depends("epoch_proposals"),
        method_name=lambda wildcards: PLAN.method(wildcards.experiment).name,
        code=code("epoch_proposals"),
        method=method_code,
    script:
        "../workflow/scripts/epoch_proposals.py"
