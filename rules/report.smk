IS_DEMO = config["dataset"]["name"] == "demo"
RUN_FILES = {
    "videos": RUN / "dataset/videos.parquet",
    "expressions": RUN / "dataset/expressions.parquet",
    "repairs": RUN / "dataset/repairs.parquet",
    "refusals": RUN / "dataset/refusals.parquet",
    "metrics": RUN / "evaluate/metrics.parquet",
    "matches": RUN / "evaluate/matches.parquet",
    "proposals": PROPOSALS,
    "faces": per_video("faces"),
    "snippets": per_video("snippets"),
    "scores": {
        (name, seed): per_fold("spot", "scores.h5", name, seed)
        for name in EXPERIMENTS
        for seed in SEEDS
    },
    "truth": per_video("dataset/demo") if IS_DEMO else {},
}
COST_STAGES = (
    "demo_video",
    "faces",
    "flow",
    "snippets",
    "train",
    "features",
    "scores",
    "spot",
)


rule report:
    input:
        [
            RUN_FILES[name]
            for name in (
                "videos",
                "expressions",
                "repairs",
                "refusals",
                "metrics",
                "matches",
            )
        ],
        list(RUN_FILES["faces"].values()),
        list(RUN_FILES["snippets"].values()),
        [path for paths in RUN_FILES["scores"].values() for path in paths],
    output:
        page=report(
            RUN / "report.html",
            caption="../workflow/report/results.rst",
            category="Results",
            labels={
                "figure": "Results, timelines, quality and provenance on one page"
            },
        ),
        timelines=report(
            directory(RUN / "timelines"),
            patterns=["{video}.svg"],
            caption="../workflow/report/timeline.rst",
            category="Timelines",
            labels={"video": "{video}"},
        ),
    log:
        LOGS / "report.log",
    benchmark:
        BENCHMARKS / "report.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=1500,
    params:
        files=RUN_FILES,
        benchmarks=BENCHMARKS,
        stages=COST_STAGES,
        run=RUN.name,
        is_demo=IS_DEMO,
        settings=config,
        code=code("pfes.report"),
    script:
        "../workflow/scripts/report.py"


rule complete:
    input:
        videos=RUN / "dataset/videos.parquet",
        refusals=RUN / "dataset/refusals.parquet",
        snippets=list(per_video("snippets").values()),
        report=RUN / "report.html",
    output:
        RUN / "complete.txt",
    log:
        LOGS / "complete.log",
    conda:
        "../envs/pfes.yaml"
    resources:
        mem_mb=500,
    params:
        snippets=per_video("snippets"),
        code=code("pfes.summary"),
    script:
        "../workflow/scripts/complete.py"
