rule features:
    input:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        snippets=list(per_video("snippets").values()),
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
        code=code("pfes.features"),
    script:
        "../workflow/scripts/features.py"
