# Configuration, dataset, folds and paths that all rules share. Everything that can be wrong before any work is said here.
import re
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from pfes import config as configuration
from pfes import datasets
from pfes.errors import InputError
from pfes.provenance import code_digest
from pfes.records import file_name, leave_one_subject_out

SCHEMAS = Path(workflow.basedir) / "workflow" / "schemas"
RUN = Path("results") / file_name(str(config.get("run", "run")))
LOGS, BENCHMARKS = RUN / "logs", RUN / "benchmarks"

configuration.prepare_jobs()


try:
    configuration.check(config, SCHEMAS / "config.schema.yaml", "config")
    RELEASE = datasets.load(
        config["dataset"]["name"], config["dataset"], RUN / "dataset"
    )
    EXPERIMENTS = {
        name: configuration.load_experiment("config/experiments", name, SCHEMAS, config)
        for name in config["experiments"]
    }
    if len({video.subject for video in RELEASE.videos}) < 2:
        raise InputError(
            "the videos have one subject only; leave-one-subject-out needs at least two"
        )
    FOLDS = leave_one_subject_out(video.subject for video in RELEASE.videos)
except InputError as error:
    raise WorkflowError(str(error))

VIDEOS = {video.video_id: video for video in RELEASE.videos}
HELD_OUT = {
    file_name(fold.held_out): fold.held_out for fold in FOLDS
}  # wildcard -> subject
SEEDS = config["seeds"]
code = cache(code_digest)  # a change in the package reruns the stages that use it


wildcard_constraints:
    video="|".join(map(re.escape, VIDEOS)),
    fold="|".join(map(re.escape, HELD_OUT)),
    experiment="|".join(map(re.escape, EXPERIMENTS)),
    seed=r"\d+",


def per_video(stage, subjects=None):
    """Return {video: path} of a stage's files, for all videos or those of ``subjects``."""
    return {
        name: RUN / stage / f"{name}.h5"
        for name, video in VIDEOS.items()
        if subjects is None or video.subject in subjects
    }


def per_fold(stage, name, experiment, seed):
    """Return the files ``name`` of one experiment and seed, one per fold."""
    return [RUN / stage / experiment / fold / f"seed{seed}" / name for fold in HELD_OUT]


def recording(wildcards):
    """Return the file of a recording; nothing if it is missing, which the stage then says for this video alone."""
    path = Path(VIDEOS[wildcards.video].path)
    return [path] if config["dataset"]["name"] == "demo" or path.exists() else []


def recordings(wildcards):
    """Return the files of all recordings that exist, and the sheets that list them."""
    is_demo = config["dataset"]["name"] == "demo"
    paths = [Path(video.path) for video in RELEASE.videos]
    sheets = (
        []
        if is_demo
        else [config["dataset"]["videos"], config["dataset"]["expressions"]]
    )
    return sheets + [path for path in paths if is_demo or path.exists()]


def others(wildcards):
    """Return the snippets of all subjects but the held-out one: a fold's training cannot open anything else."""
    train = next(
        fold.train for fold in FOLDS if fold.held_out == HELD_OUT[wildcards.fold]
    )
    return list(per_video("snippets", train).values())


def held_out_files(stage):
    """Return an input function: the files of a stage for the videos of the held-out subject."""
    return lambda wildcards: list(per_video(stage, [HELD_OUT[wildcards.fold]]).values())
