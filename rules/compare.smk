from pfes.evaluation import paper_tables

FIRST_FOLD = next(iter(FOLDS))
PAPER_TABLES = [
    RUN / f"tables/{name}.md" for name in paper_tables.in_run(list(PLAN.experiments))
]
POINT_SUPERVISED = PLAN.pseudo_labelled


rule compare:
    input:
        flat(SCORES),
        tables=[
            RUN / f"evaluate/{kind}.parquet" for kind in ("intervals", "differences")
        ],
        summary=RUN / "summary.json",
        expressions=RUN / "dataset/expressions.parquet",
        videos=RUN / "dataset/videos.parquet",
        truth=list(TRUTH.values()),
    output:
        table=RUN / "evaluate/comparison.parquet",
        figure=report(
            RUN / "figures/comparison.svg",
            caption="../workflow/report/comparison.rst",
            category="Comparison",
            labels={"figure": "F1 of every experiment"},
        ),
        consecutive=report(
            RUN / "figures/consecutive.svg",
            caption="../workflow/report/consecutive.rst",
            category="Comparison",
            labels={"figure": "Expressions in quick succession"},
        ),
    log:
        LOGS / "compare.log",
    benchmark:
        BENCHMARKS / "compare.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("compare"),
    params:
        scores={name: per_fold("spot", "scores.h5", name, SEEDS[0]) for name in LEARNED},
        truth=TRUTH,
        settings=depends("compare"),
        code=code("compare"),
    script:
        "../workflow/scripts/compare.py"


if PAPER_TABLES:

    rule paper_tables:
        input:
            summary=RUN / "summary.json",
        output:
            PAPER_TABLES,
        log:
            LOGS / "paper_tables.log",
        benchmark:
            BENCHMARKS / "paper_tables.tsv"
        conda:
            "../envs/pfes.yaml"
        resources:
            **DEMANDS.asks("paper_tables"),
        params:
            dataset=PLAN.dataset,
            code=code("paper_tables"),
        script:
            "../workflow/scripts/paper_tables.py"


rule apex_distance:
    input:
        apexes=[
            path
            for name in POINT_SUPERVISED
            for seed in SEEDS
            for path in per_fold("train", "apexes.parquet", name, seed)
        ],
        points=expand(
            RUN / "points/{experiment}/seed{seed}.parquet",
            experiment=POINT_SUPERVISED,
            seed=SEEDS,
        ),
        expressions=RUN / "dataset/expressions.parquet",
    output:
        report(
            RUN / "figures/apex_distance.svg",
            caption="../workflow/report/apex_distance.rst",
            category="Comparison",
            labels={"figure": "Pseudo-apex and true apex, per epoch"},
        ),
    log:
        LOGS / "apex_distance.log",
    benchmark:
        BENCHMARKS / "apex_distance.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("apex_distance"),
    params:
        apexes={
            name: [
                path
                for seed in SEEDS
                for path in per_fold("train", "apexes.parquet", name, seed)
            ]
            for name in POINT_SUPERVISED
        },
        points={
            name: [RUN / f"points/{name}/seed{seed}.parquet" for seed in SEEDS]
            for name in POINT_SUPERVISED
        },
        code=code("apex_distance"),
    script:
        "../workflow/scripts/apex_distance.py"


rule pseudo_labels:
    input:
        model=RUN / "train/{experiment}" / FIRST_FOLD / f"seed{SEEDS[0]}/model.pt",
        points=RUN / f"points/{{experiment}}/seed{SEEDS[0]}.parquet",
        snippets=list(per_video("snippets", FOLDS[FIRST_FOLD].train).values()),
        expressions=RUN / "dataset/expressions.parquet",
        truth=list(TRUTH.values()),
    output:
        report(
            RUN / "figures/pseudo_labels/{experiment}.svg",
            caption="../workflow/report/pseudo_labels.rst",
            category="Pseudo-labels",
            labels={"experiment": "{experiment}"},
        ),
    log:
        LOGS / "pseudo_labels/{experiment}.log",
    benchmark:
        BENCHMARKS / "pseudo_labels/{experiment}.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("pseudo_labels"),
    params:
        truth=TRUTH,
        code=code("pseudo_labels"),
    script:
        "../workflow/scripts/pseudo_labels.py"
