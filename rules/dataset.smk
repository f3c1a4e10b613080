if config["dataset"]["name"] == "demo":

    rule demo_video:
        output:
            video=RUN / "dataset/demo/{video}.mp4",
            truth=RUN / "dataset/demo/{video}.h5",
        log:
            LOGS / "demo_video/{video}.log",
        benchmark:
            BENCHMARKS / "demo_video/{video}.tsv"
        resources:
            mem_mb=1500,
        params:
            settings=config["dataset"]["demo"],
            code=code("pfes.datasets.demo_render"),
        script:
            "../workflow/scripts/demo_video.py"


def recording(wildcards):
    """Return the file of a recording; nothing if it is missing, which the stage then says for this video alone."""
    path = Path(VIDEOS[wildcards.video].path)
    return [path] if config["dataset"]["name"] == "demo" or path.exists() else []


def recordings(wildcards):
    """Return the files of all recordings that exist, and the sheets that list them."""
    is_demo = config["dataset"]["name"] == "demo"
    paths = [Path(video.path) for video in RELEASE.videos]
    sheets = [] if is_demo else [config["dataset"]["videos"], config["dataset"]["expressions"]]
    return sheets + [path for path in paths if is_demo or path.exists()]


rule dataset:
    input:
        recordings,
    output:
        expand(RUN / "dataset/{table}.parquet", table=["videos", "expressions", "repairs", "refusals"]),
    log:
        LOGS / "dataset.log",
    benchmark:
        BENCHMARKS / "dataset.tsv"
    resources:
        mem_mb=1000,
    params:
        dataset=config["dataset"],
        sampling=config["sampling"],
        run=RUN,
        code=code("pfes.datasets"),
    script:
        "../workflow/scripts/dataset.py"
