from pfes.base.provenance import file_digest
import pfes.report

RUN_FILES = {
    "videos": RUN / "dataset/videos.parquet",
    "expressions": RUN / "dataset/expressions.parquet",
    "clicks": RUN / "dataset/clicks.parquet",
    "repairs": RUN / "dataset/repairs.parquet",
    "refusals": RUN / "dataset/refusals.parquet",
    "metrics": RUN / "evaluate/metrics.parquet",
    "matches": RUN / "evaluate/matches.parquet",
    "proposals": PROPOSALS,
    "faces": FACES_FILES,
    "snippets": SNIPPETS,
    "scores": SCORES,
    "truth": TRUTH,
    "recordings": {name: video.path for name, video in VIDEOS.items()},
    "statistics": ANALYSIS,
    "intensity": INTENSITY_FILES if config["intensity"]["enabled"] else None,
}
COST_STAGES = (
    "demo_video",
    "faces",
    "flow",
    "snippets",
    "displacement",
    "train",
    "features",
    "scores",
    "spot",
)


SHOWS_FACES = (
    IS_DEMO if config["report"]["faces"] is None else config["report"]["faces"]
)
TEMPLATES = sorted(Path(pfes.report.__file__).parent.glob("templates/*"))


rule report:
    input:
        [
            RUN_FILES[name]
            for name in (
                "videos",
                "expressions",
                "clicks",
                "repairs",
                "refusals",
                "metrics",
                "matches",
            )
        ],
        list(RUN_FILES["statistics"].values()),
        list(RUN_FILES["faces"].values()),
        list(RUN_FILES["snippets"].values()),
        list(RUN_FILES["truth"].values()),
        flat(SCORES),
        (
            [
                INTENSITY_FILES["metrics"],
                INTENSITY_FILES["recordings"],
                SHOWN_STREAM,
                list(INTENSITY_FILES["curves"].values()),
            ]
            if RUN_FILES["intensity"]
            else []
        ),
        recordings if SHOWS_FACES else [],
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
        figures=report(
            directory(RUN / "paper/figures"),
            patterns=["{figure}.svg"],
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        tables=report(
            directory(RUN / "paper/tables"),
            patterns=["{table}.csv"],
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        LOGS / "report.log",
    benchmark:
        BENCHMARKS / "report.tsv"
    conda:
        "../envs/pfes.yaml"
    resources:
        **DEMANDS.asks("report"),
    params:
        files=RUN_FILES,
        benchmarks=BENCHMARKS,
        stages=COST_STAGES,
        run=RUN.name,
        is_demo=IS_DEMO,
        descriptions=PLAN.descriptions,
        settings=depends("report"),
        code=code("report"),
        templates=[file_digest(path) for path in TEMPLATES],
    script:
        "../workflow/scripts/report.py"


rule complete:
    input:
        videos=RUN / "dataset/videos.parquet",
        refusals=RUN / "dataset/refusals.parquet",
        snippets=list(SNIPPETS.values()),
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
        files=SNIPPETS,
        kind="snippets",
        code=code("complete"),
    script:
        "../workflow/scripts/complete.py"
