# The plan of the run, and what all rules share of it. Everything that can be wrong before any work is said here.
import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from pfes.base.config import build, prepare_jobs
from pfes.base.errors import InputError
from pfes.base.place import ROOT, SHELL_WORD
from pfes.base.provenance import code_digest
from pfes.evaluation.metrics import NO_SEED
from pfes.faces.extracted import points_path
from pfes.faces.landmarks import FaceParameters, check_backend
from pfes.flow.cache import note
from pfes.methods.registry import learned, training_parameters
from pfes.workflow.plan import plan_run
from pfes.workflow.resources import Demands

prepare_jobs()


try:
    PLAN = plan_run(config)
except InputError as error:
    raise WorkflowError(str(error))
if PLAN.nothing_to_learn:
    raise WorkflowError(PLAN.nothing_to_learn)

config.update(PLAN.config)
DEMANDS = Demands(PLAN)  # what jobs ask of a scheduler
IS_DEMO = config["dataset"]["name"] == "demo"
IMPORTED = (
    config["dataset"]["name"] == "published"
)  # features: no recording, no face, no flow
RUN, FOLDS, VIDEOS, SEEDS = PLAN.run, PLAN.folds, PLAN.videos, config["seeds"]
LOGS, BENCHMARKS = RUN / "logs", RUN / "benchmarks"
SUBJECTS, KEYS = PLAN.subjects, PLAN.keys
FACES_FOLDER, FLOW_FOLDER = RUN / "faces" / KEYS["faces"], RUN / "flow" / KEYS["flow"]
FACES = build(FaceParameters, config["faces"])
LEARNED, TRAINING_FREE, LIMITED = PLAN.learned, PLAN.training_free, PLAN.limited
TRAININGS = {
    name: training_parameters(PLAN.experiments[name]["training"]) for name in LEARNED
}


wildcard_constraints:
    video="|".join(map(re.escape, VIDEOS)),
    fold="|".join(map(re.escape, FOLDS)),
    experiment="|".join(map(re.escape, LEARNED)),
    seed=r"\d+",
    subject="|".join(map(re.escape, SUBJECTS)),
    stage="snippets|faces|clips",
    key="[^/]*",


onstart:
    if not SHELL_WORD.fullmatch(sys.executable):
        raise WorkflowError(
            f"{sys.executable}: Snakemake cannot start jobs with a Python whose path holds a space or another character that "
            "is special in a shell; start the workflow with: pfes run CONFIG"
        )
    vanished = "" if IS_DEMO else PLAN.vanished
    if vanished:
        raise WorkflowError(vanished)
    note(RUN, KEYS)


digest = cache(code_digest)  # asked for once per job
settings_of_rule = cache(PLAN.depends)


def code(script):
    """Return the digest of all that a script runs, so that a change in the package reruns what it touches."""
    return digest(f"workflow/scripts/{script}.py", root=ROOT)


def method_code(wildcards):
    """Return the digest of the method of an experiment: a change in another method reruns nothing of it."""
    return digest(type(PLAN.method(wildcards.experiment)).__module__)


def depends(name):
    """Return a function to the settings that the result of rule ``name`` depends on, of the experiment if it has one."""
    return lambda w: settings_of_rule(name, getattr(w, "experiment", None))


def per_video(stage, subjects=SUBJECTS):
    """Return {video: path} of a stage's files, for all videos or those of ``subjects``."""
    folder = RUN / stage / KEYS.get(stage, "")
    return {
        name: folder / f"{name}.h5"
        for subject in subjects
        for name in SUBJECTS.get(subject, ())
    }


def per_fold(stage, name, experiment, seed):
    """Return the files ``name`` of one experiment and seed, one per fold."""
    return [RUN / stage / experiment / fold / f"seed{seed}" / name for fold in FOLDS]


def per_run(stage, name, experiments=LEARNED):
    """Return {(experiment, seed): files ``name`` of its folds} of experiments that are trained."""
    return {
        (experiment, seed): per_fold(stage, name, experiment, seed)
        for experiment in experiments
        for seed in SEEDS
    }


def flat(files):
    """Return the paths of a mapping to lists of paths."""
    return [path for paths in files.values() for path in paths]


def recording(wildcards):
    """Return the file of a recording; nothing if it is missing, which the stage then says for this video alone."""
    path = Path(VIDEOS[wildcards.video].path)
    return [path] if IS_DEMO or path.exists() else []


def read_beside(wildcards):
    """Return what finding faces reads beside a recording: a model, or points that were extracted before."""
    if FACES.backend != "file":
        return check_backend(FACES)
    path = points_path(VIDEOS[wildcards.video].path)
    return [path] if path.exists() else []


def recordings(wildcards):
    """Return the files of all recordings that exist, and the label files that were read."""
    paths = [Path(video.path) for video in VIDEOS.values()]
    return list(PLAN.release.sources) + [
        path for path in paths if IS_DEMO or path.exists()
    ]


def marks(stage, subjects):
    """Return an input function: the marks of rule subject, one per subject that the function ``subjects`` gives."""
    return lambda wildcards: [
        RUN / f"subjects/{stage}{KEYS.get(stage, '')}/{subject}"
        for subject in subjects(wildcards)
    ]


def trained_on(wildcards):
    """Return the subjects that a fold's training can open: those it trains on, and those it validates on."""
    fold = FOLDS[wildcards.fold]
    checked = fold.validation if TRAININGS[wildcards.experiment].validates else ()
    return [*fold.train, *checked]


def expressions_of(wildcards):
    """Return the table of onsets and offsets for a method that learns from them; nothing for any other."""
    reads = learned(TRAININGS[wildcards.experiment].method).labels == "intervals"
    return [RUN / "dataset/expressions.parquet"] if reads else []


def cached(stage, name):
    """Return an input function: a file of the experiment that an experiment is cached on; nothing if it is not."""

    def find(wildcards):
        source = TRAININGS[wildcards.experiment].cached
        place = RUN / stage / f"{source}/{wildcards.fold}/seed{wildcards.seed}" / name
        return [] if source is None else [place]

    return find


def chosen_by(wildcards):
    """Return the validation subjects of a fold; those trained on where there are none."""
    fold = FOLDS[wildcards.fold]
    return list(fold.validation or fold.train)


def limits_of(wildcards):
    """Return the least scores that were chosen for a fold of an experiment; nothing where they are fixed."""
    place = RUN / f"spot/{wildcards.experiment}/{wildcards.fold}/seed{wildcards.seed}"
    return [place / "limits.json"] if wildcards.experiment in LIMITED else []


def measured_files(wildcards):
    """Return the files of the stage that a training-free experiment reads."""
    return list(per_video(PLAN.reads(wildcards.experiment)).values())


def held_out_files(stage):
    """Return an input function: the files of a stage for the videos of the held-out subjects."""
    return lambda wildcards: list(
        per_video(stage, FOLDS[wildcards.fold].held_out).values()
    )


ON_FEATURES = {training.cached for training in TRAININGS.values()}


def featured(wildcards):
    """Return the held-out subjects; all subjects where features are kept, trained on or chosen by."""
    if config["all_features"] or wildcards.experiment in {*ON_FEATURES, *LIMITED}:
        return list(SUBJECTS)
    return list(FOLDS[wildcards.fold].held_out)


SNIPPETS, FACES_FILES = per_video("snippets"), per_video("faces")
FLOW_FILES = {} if IMPORTED else per_video("flow")
TRUTH = per_video("dataset/demo") if IS_DEMO else {}
SCORES = per_run("spot", "scores.h5")
