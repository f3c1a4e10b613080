SYSTEMS = PLAN.systems  # name -> settings of one system
SCORED = next(
    iter(LEARNED), None
)  # the spotting experiment whose intensity stands beside
INTENSITY = RUN / "intensity"
INTENSITY_SEEDS = config["intensity"]["seeds"] or SEEDS


wildcard_constraints:
    system="|".join(map(re.escape, SYSTEMS)),


rule clips:
    input:
        recording,
        faces=FACES_FOLDER / "{video}.h5",
        expressions=RUN / "dataset/expressions.parquet",
    output:
        RUN / "clips/{video}.h5",
    log:
        LOGS / "clips/{video}.log",
    benchmark:
        BENCHMARKS / "clips/{video}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("clips"),
    params:
        recording=lambda wildcards: VIDEOS[wildcards.video].path,
        settings=depends("clips"),
        code=code("clips"),
    script:
        "../workflow/scripts/clips.py"


rule intensity_train:
    input:
        subjects=marks("clips", lambda wildcards: FOLDS[wildcards.fold].train),
        videos=RUN / "dataset/videos.parquet",
        expressions=RUN / "dataset/expressions.parquet",
    output:
        model=INTENSITY / "{system}/{fold}/seed{seed}/model.pt",
        log=INTENSITY / "{system}/{fold}/seed{seed}/log.parquet",
    log:
        LOGS / "intensity_train/{system}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "intensity_train/{system}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("intensity_train"),
    params:
        clips=RUN / "clips",
        subjects=lambda wildcards: FOLDS[wildcards.fold].train,
        held_out=lambda wildcards: FOLDS[wildcards.fold].held_out,
        settings=lambda wildcards: {
            part: values
            for part, values in SYSTEMS[wildcards.system].items()
            if part != "stream"
        },
        code=code("intensity_train"),
    script:
        "../workflow/scripts/intensity_train.py"


rule intensity_predict:
    input:
        clips=held_out_files("clips"),
        model=INTENSITY / "{system}/{fold}/seed{seed}/model.pt",
        videos=RUN / "dataset/videos.parquet",
        expressions=RUN / "dataset/expressions.parquet",
    output:
        INTENSITY / "{system}/{fold}/seed{seed}/curves.parquet",
    log:
        LOGS / "intensity_predict/{system}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "intensity_predict/{system}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("intensity_predict"),
    params:
        code=code("intensity_predict"),
    script:
        "../workflow/scripts/intensity_predict.py"


rule intensity_stream:
    input:
        faces=held_out_files("faces"),
        model=INTENSITY / "{system}/{fold}/seed{seed}/model.pt",
    output:
        INTENSITY / "{system}/{fold}/seed{seed}/stream.h5",
    log:
        LOGS / "intensity_stream/{system}/{fold}/seed{seed}.log",
    benchmark:
        BENCHMARKS / "intensity_stream/{system}/{fold}/seed{seed}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("intensity_stream"),
    params:
        recordings=lambda wildcards: {
            name: VIDEOS[name].path
            for name in per_video("faces", FOLDS[wildcards.fold].held_out)
        },
        held_out=lambda wildcards: FOLDS[wildcards.fold].held_out,
        settings=lambda wildcards: SYSTEMS[wildcards.system]["stream"],
        code=code("intensity_stream"),
    script:
        "../workflow/scripts/intensity_stream.py"


CURVES = {
    (system, seed): [
        INTENSITY / system / fold / f"seed{seed}" / "curves.parquet" for fold in FOLDS
    ]
    for system in SYSTEMS
    for seed in INTENSITY_SEEDS
}
# What stands beside continuous intensity: the spotting experiment's intensity and the flow; without it, neither is made.
BESIDE = config["intensity"]["beside"]
GIM_SCORES = {
    seed: per_fold("spot", "scores.h5", SCORED, seed) if BESIDE and SCORED else []
    for seed in SEEDS
}
FLOW_BESIDE = per_video("snippets") if BESIDE else {}


rule intensity_compare:
    input:
        [path for paths in CURVES.values() for path in paths],
        [path for paths in GIM_SCORES.values() for path in paths],
        list(FLOW_BESIDE.values()),
    output:
        clips=INTENSITY / "clips.parquet",
        metrics=INTENSITY / "metrics.parquet",
    log:
        LOGS / "intensity_compare.log",
    benchmark:
        BENCHMARKS / "intensity_compare.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("intensity_compare"),
    params:
        curves=CURVES,
        scores=GIM_SCORES,
        snippets=FLOW_BESIDE,
        truth=TRUTH,
        dataset=config["intensity"]["of"],
        settings=depends("intensity_compare"),
        code=code("intensity_compare"),
    script:
        "../workflow/scripts/intensity_compare.py"


FIRST_SEED = INTENSITY_SEEDS[0]
STREAMS = {
    (system, FIRST_SEED): [
        INTENSITY / system / fold / f"seed{FIRST_SEED}" / "stream.h5" for fold in FOLDS
    ]
    for system in SYSTEMS
}
SHOWN_STREAM = next(iter(STREAMS.values()))  # of the first system


rule intensity_recordings:
    input:
        [path for paths in STREAMS.values() for path in paths],
        GIM_SCORES[SEEDS[0]],
        list(FLOW_BESIDE.values()),
        videos=RUN / "dataset/videos.parquet",
        expressions=RUN / "dataset/expressions.parquet",
    output:
        rows=INTENSITY / "recordings.parquet",
        metrics=INTENSITY / "recording_metrics.parquet",
    log:
        LOGS / "intensity_recordings.log",
    benchmark:
        BENCHMARKS / "intensity_recordings.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("intensity_recordings"),
    params:
        streams=STREAMS,
        scores={SEEDS[0]: GIM_SCORES[SEEDS[0]]},
        snippets=FLOW_BESIDE,
        truth=TRUTH,
        settings=depends("intensity_recordings"),
        code=code("intensity_recordings"),
    script:
        "../workflow/scripts/intensity_recordings.py"


INTENSITY_FILES = {  # what the report shows
    "metrics": INTENSITY / "metrics.parquet",
    "recordings": INTENSITY / "recording_metrics.parquet",
    "curves": {system: CURVES[system, FIRST_SEED] for system in SYSTEMS},
    "streams": SHOWN_STREAM,
}


rule intensity_figures:
    input:
        list(INTENSITY_FILES["curves"].values()),
        SHOWN_STREAM,
        GIM_SCORES[SEEDS[0]],
        list(FLOW_BESIDE.values()),
        videos=RUN / "dataset/videos.parquet",
        expressions=RUN / "dataset/expressions.parquet",
    output:
        clips=report(
            INTENSITY / "clips.svg",
            caption="../workflow/report/intensity_clips.rst",
            category="Continuous intensity",
            labels={"figure": "Clips: predicted, triangle and true"},
        ),
        streams=report(
            directory(INTENSITY / "streams"),
            patterns=["{video}.svg"],
            caption="../workflow/report/intensity_stream.rst",
            category="Continuous intensity",
            labels={"video": "{video}"},
        ),
    log:
        LOGS / "intensity_figures.log",
    benchmark:
        BENCHMARKS / "intensity_figures.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("intensity_figures"),
    params:
        curves=INTENSITY_FILES["curves"],
        streams=SHOWN_STREAM,
        scores={SEEDS[0]: GIM_SCORES[SEEDS[0]]},
        snippets=FLOW_BESIDE,
        truth=TRUTH,
        settings=depends("intensity_figures"),
        code=code("intensity_figures"),
    script:
        "../workflow/scripts/intensity_figures.py"


INTENSITY_RESULTS = [
    rules.intensity_compare.output,
    rules.intensity_recordings.output,
    rules.intensity_figures.output,
]


rule intensity_complete:
    input:
        INTENSITY_RESULTS,
        list(per_video("clips").values()),
        videos=RUN / "dataset/videos.parquet",
        refusals=RUN / "dataset/refusals.parquet",
    output:
        INTENSITY / "complete.txt",
    log:
        LOGS / "intensity_complete.log",
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=500,
    params:
        files=per_video("clips"),
        kind="clips",
        code=code("complete"),
    script:
        "../workflow/scripts/complete.py"


rule intensity:
    input:
        INTENSITY / "complete.txt",
