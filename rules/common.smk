# Configuration, dataset, folds and paths that all rules share. Everything that can be wrong before any work is said here.
import re
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from pfes.base import config as configuration
from pfes import datasets
from pfes.flow.cache import faces_key, flow_key, note
from pfes.base.errors import InputError
from pfes.datasets.folds import FoldParameters, count_instances, make_folds
from pfes.faces.landmarks import FaceParameters, check_backend
from pfes.base.provenance import code_digest
from pfes.base.records import file_name

SCHEMAS = Path(workflow.basedir) / "workflow" / "schemas"
RUN = Path("results") / file_name(str(config.get("run", "run")))
LOGS, BENCHMARKS = RUN / "logs", RUN / "benchmarks"

configuration.prepare_jobs()


try:
    config.update(configuration.expanded(config, "config/experiments"))
    configuration.check(config, SCHEMAS / "config.schema.yaml", "config")
    # Another order of keys reruns nothing; that of the systems of continuous intensity is the order of its figures.
    config.update(
        {
            name: configuration.ordered(config[name])
            for name in config
            if name != "intensity"
        }
    )
    FACE_MODELS = check_backend(configuration.build(FaceParameters, config["faces"]))
    RELEASE = datasets.load(
        config["dataset"]["name"], config["dataset"], RUN / "dataset"
    )
    EXPERIMENTS = {
        name: configuration.load_experiment("config/experiments", name, SCHEMAS, config)
        for name in config["experiments"]
    }
    instances = count_instances(
        (video.subject for video in RELEASE.videos), RELEASE.expressions["subject"]
    )
    FOLDS = {
        file_name(fold.name): fold  # wildcard -> fold
        for fold in make_folds(
            instances, configuration.build(FoldParameters, config["folds"])
        )
    }
except InputError as error:
    raise WorkflowError(str(error))


def intensity_settings():
    """Return name -> settings of each system of continuous intensity, checked like the section itself."""
    systems = {}
    for name, changes in config["intensity"]["systems"].items():
        if changes is None:
            continue
        settings = configuration.merged(config["intensity"], changes)
        configuration.check(
            {**config, "intensity": settings},
            SCHEMAS / "config.schema.yaml",
            f"intensity.systems.{name}",
        )
        systems[file_name(name)] = {
            key: settings[key]
            for key in ("clips", "model", "training", "loss", "stream")
        }
    return systems


VIDEOS = {video.video_id: video for video in RELEASE.videos}
SEEDS = config["seeds"]
# Parameters of the costly stages: another device reruns nothing.
SAMPLING, FACES, FLOW = (
    {key: value for key, value in config[section].items() if key != "device"}
    for section in ("sampling", "faces", "flow")
)
KEYS = {"faces": faces_key(SAMPLING, FACES)}
KEYS["flow"] = flow_key(FLOW, KEYS["faces"])
FACES_FOLDER, FLOW_FOLDER = RUN / "faces" / KEYS["faces"], RUN / "flow" / KEYS["flow"]
code = cache(code_digest)  # a change in the package reruns the stages that use it


wildcard_constraints:
    video="|".join(map(re.escape, VIDEOS)),
    fold="|".join(map(re.escape, FOLDS)),
    experiment="|".join(map(re.escape, EXPERIMENTS)),
    seed=r"\d+",


onstart:
    note(RUN, KEYS)


def per_video(stage, subjects=None):
    """Return {video: path} of a stage's files, for all videos or those of ``subjects``."""
    return {
        name: RUN / stage / KEYS.get(stage, "") / f"{name}.h5"
        for name, video in VIDEOS.items()
        if subjects is None or video.subject in subjects
    }


def per_fold(stage, name, experiment, seed):
    """Return the files ``name`` of one experiment and seed, one per fold."""
    return [RUN / stage / experiment / fold / f"seed{seed}" / name for fold in FOLDS]


def recording(wildcards):
    """Return the file of a recording; nothing if it is missing, which the stage then says for this video alone."""
    path = Path(VIDEOS[wildcards.video].path)
    return [path] if config["dataset"]["name"] == "demo" or path.exists() else []


def recordings(wildcards):
    """Return the files of all recordings that exist, and the label files that were read."""
    is_demo = config["dataset"]["name"] == "demo"
    paths = [Path(video.path) for video in RELEASE.videos]
    return list(RELEASE.sources) + [path for path in paths if is_demo or path.exists()]


def trained_on(wildcards):
    """Return the snippets that a fold's training can open: of its training subjects, and of those it validates on."""
    fold = FOLDS[wildcards.fold]
    checked = fold.validation if validates(training_of(wildcards)) else ()
    subjects = (*fold.train, *checked)
    return list(per_video("snippets", subjects).values())


def training_of(wildcards):
    """Return the section training of an experiment."""
    return EXPERIMENTS[wildcards.experiment]["training"]


def expressions_of(wildcards):
    """Return the table of onsets and offsets for the supervised system; nothing for any other."""
    supervised = training_of(wildcards)["system"] == "supervised"
    return [RUN / "dataset/expressions.parquet"] if supervised else []


def cached(stage, name):
    """Return an input function: a file of the experiment that an experiment is cached on; nothing if it is not."""

    def find(wildcards):
        source = training_of(wildcards)["cached"]
        place = RUN / stage / f"{source}/{wildcards.fold}/seed{wildcards.seed}" / name
        return [] if source is None else [place]

    return find


def validates(training):
    """Return whether a training looks at the validation subjects."""
    return (
        training["epoch_choice"] == "validation" or training["early_stop"] is not None
    )


for name, own in EXPERIMENTS.items():
    source = own["training"]["cached"]
    if validates(own["training"]) and not all(
        fold.validation for fold in FOLDS.values()
    ):
        raise WorkflowError(
            f"experiment {name}: training.epoch_choice validation and early_stop need validation subjects; "
            "set folds.validation_subjects, or epoch_choice: last and early_stop: null"
        )
    if source is not None and (source == name or source not in EXPERIMENTS):
        raise WorkflowError(
            f"experiment {name}: training.cached is {source!r}, expected another of the experiments of this run "
            f"({', '.join(EXPERIMENTS)}); add it to experiments"
        )


def held_out_files(stage):
    """Return an input function: the files of a stage for the videos of the held-out subjects."""
    return lambda wildcards: list(
        per_video(stage, FOLDS[wildcards.fold].held_out).values()
    )
