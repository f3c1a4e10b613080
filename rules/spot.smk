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
        **DEMANDS.asks("scores"),
    params:
        code=code("scores"),
        method=method_code,
    script:
        "../workflow/scripts/scores.py"


rule limits:
    input:
        model=RUN / "train/{experiment}/{fold}/seed{seed}/model.pt",
        features=RUN / "features/{experiment}/{fold}/seed{seed}/features.h5",
        points=RUN / "points/{experiment}/seed{seed}.parquet",
        videos=RUN / "dataset/videos.parquet",
        subjects=marks("snippets", chosen_by),
        looked_at=marks("faces", chosen_by),
    output:
        RUN / "spot/{experiment}/{fold}/seed{seed}/limits.json",
    log:
        LOGS / "limits/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "limits/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("limits"),
    params:
        snippets=RUN / "snippets",
        faces=FACES_FOLDER,
        subjects=chosen_by,
        settings=depends("limits"),
        code=code("limits"),
        method=method_code,
    script:
        "../workflow/scripts/limits.py"


rule all_proposals:  # whatever their score, for the protocol table alone
    input:
        scores=RUN / "spot/{experiment}/{fold}/seed{seed}/scores.h5",
        videos=RUN / "dataset/videos.parquet",
        faces=held_out_files("faces"),
    output:
        RUN / "spot/{experiment}/{fold}/seed{seed}/all_proposals.parquet",
    log:
        LOGS / "all_proposals/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "all_proposals/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("all_proposals"),
    params:
        settings=depends("all_proposals"),
        method_name=lambda wildcards: PLAN.method(wildcards.experiment).name,
        code=code("all_proposals"),
        method=method_code,
    script:
        "../workflow/scripts/all_proposals.py"


rule spot:
    input:
        scores=RUN / "spot/{experiment}/{fold}/seed{seed}/scores.h5",
        videos=RUN / "dataset/videos.parquet",
        faces=held_out_files("faces"),
        limits=limits_of,
    output:
        RUN / "spot/{experiment}/{fold}/seed{seed}/proposals.parquet",
    log:
        LOGS / "spot/{experiment}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "spot/{experiment}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("spot"),
    params:
        settings=depends("spot"),
        method_name=lambda wildcards: PLAN.method(wildcards.experiment).name,
        code=code("spot"),
        method=method_code,
    script:
        "../workflow/scripts/spot.py"


rule training_free:
    input:
        measured=measured_files,
        faces=list(FACES_FILES.values()),
        videos=RUN / "dataset/videos.parquet",
    output:
        RUN / "spot/{experiment}/proposals.parquet",
    log:
        LOGS / "spot/{experiment}.log",
    benchmark:
        BENCHMARKS / "spot/{experiment}.tsv"
    wildcard_constraints:
        experiment="|".join(map(re.escape, TRAINING_FREE)),
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("training_free"),
    params:
        settings=depends("training_free"),
        method_name=lambda wildcards: PLAN.method(wildcards.experiment).name,
        code=code("training_free"),
        method=method_code,
    script:
        "../workflow/scripts/training_free.py"


rule events:
    input:
        RUN / "spot/{experiment}/proposals.parquet",
    output:
        RUN / "spot/{experiment}/events.csv",
    log:
        LOGS / "events/{experiment}.log",
    wildcard_constraints:
        experiment="|".join(map(re.escape, TRAINING_FREE)),
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=500,
    params:
        code=code("events"),
    script:
        "../workflow/scripts/events.py"


rule spotted:
    input:
        events=RUN / "spot/training_free/events.csv",
        measured=list(per_video("displacement").values()),
        videos=RUN / "dataset/videos.parquet",
        refusals=RUN / "dataset/refusals.parquet",
    output:
        RUN / "spotted.txt",
    log:
        LOGS / "spotted.log",
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=500,
    params:
        files=per_video("displacement"),
        kind="displacement",
        code=code("complete"),
    script:
        "../workflow/scripts/complete.py"


rule experiment:
    output:
        RUN / "spot/{experiment}/settings.json",
    log:
        LOGS / "experiment/{experiment}.log",
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=500,
    params:
        settings=depends("experiment"),
    script:
        "../workflow/scripts/experiment.py"
