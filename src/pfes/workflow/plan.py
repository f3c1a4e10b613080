"""The plan of a run: configuration, dataset, folds, experiments, paths. Snakemake's rules and ``pfes check`` read it.

Whatever can be refused by settings and labels alone is refused here, before any work, in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pfes import datasets
from pfes.base import config as configuration
from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.place import EXPERIMENTS, SCHEMAS
from pfes.base.records import Video, file_name
from pfes.base.schema import settings_of
from pfes.datasets.folds import Fold, FoldParameters, count_instances, make_folds
from pfes.datasets.points import PointParameters
from pfes.datasets.release import Release
from pfes.faces.landmarks import FaceParameters, check_backend
from pfes.flow.cache import faces_key, flow_key
from pfes.intensity.parameters import PARTS
from pfes.methods.base import LearnedMethod, Measured, Method, TrainingFreeMethod
from pfes.methods.registry import (
    SPOT_SECTIONS,
    TRAINING_SECTIONS,
    check_source,
    learned,
    method_of,
    spot_parameters,
    training_parameters,
)
from pfes.network.parameters import ModelParameters
from pfes.training.box import check_size
from pfes.workflow.settings import Settings, defaults

MOST_BYTES = 200  # of a name: file systems take 255, and a temporary file adds to it
ALWAYS = ("baseline",)  # experiments that every run has beside its own: they cost nothing
MACHINE = frozenset(item.path for item in settings_of(Settings()) if not item.changes_results)

# rule -> sections of the configuration that its result depends on; a dot leads to a part of a section.
DEPENDS: dict[str, tuple[str, ...]] = {
    "demo_video": ("dataset.demo",),
    "dataset": ("dataset", "sampling"),
    "faces": ("sampling", "faces"),
    "flow": ("flow",),
    "snippets": ("snippets",),
    "displacement": ("flow", "displacement"),
    "points": ("points",),
    "train": ("sampling", "faces", "flow", "snippets", "model", "training"),
    "experiment": ("spot", "intensity.stream"),
    "limits": ("spot",),
    "spot": ("spot",),
    "all_proposals": ("spot",),
    "training_free": ("spot",),
    "epoch_proposals": ("spot",),
    "evaluate": ("evaluate",),
    "compare": ("evaluate",),
    "report": ("",),
    "clips": ("intensity.clips",),
    "intensity_compare": ("spot.baseline",),
    "intensity_recordings": ("spot.baseline",),
    "intensity_figures": ("spot.baseline",),
}


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    config : the whole configuration, checked.
    experiments : name -> its whole configuration; those of ALWAYS come last.
    release : what the dataset's adapter found.
    folds : name of a folder -> fold.
    systems : name -> settings of each system of continuous intensity.
    run : folder of the results.
    descriptions : experiment -> what it is, in a sentence.
    """

    config: Mapping[str, Any]
    experiments: Mapping[str, Mapping[str, Any]]
    release: Release
    folds: Mapping[str, Fold]
    systems: Mapping[str, Mapping[str, Any]]
    run: Path
    descriptions: Mapping[str, str]

    @property
    def videos(self) -> dict[str, Video]:
        """Return video_id -> recording."""
        return {video.video_id: video for video in self.release.videos}

    @property
    def subjects(self) -> dict[str, list[str]]:
        """Return subject -> the video_ids of its recordings."""
        found: dict[str, list[str]] = {}
        for video in self.release.videos:
            found.setdefault(video.subject, []).append(video.video_id)
        return found

    @property
    def dataset(self) -> str:
        """Return the dataset that the run is on: of imported features, the one that they are of."""
        settings = self.config["dataset"]
        return str(settings["of"] or settings["name"]) if settings["name"] == "published" else str(settings["name"])

    @property
    def learned(self) -> list[str]:
        """Return the experiments that are trained, per fold and seed."""
        return [name for name in self.experiments if isinstance(self.method(name), LearnedMethod)]

    @property
    def nothing_to_learn(self) -> str:
        """Return what is wrong if experiments are trained and no expression is labelled, else ""."""
        if not self.learned or len(self.release.labelled):
            return ""
        return (
            f"no expression is labelled: there is nothing to train {', '.join(self.learned)} from; label some, name only experiments "
            "without training (experiments: [training_free]), or use a model with: pfes spot"
        )

    @property
    def vanished(self) -> str:
        """Return what is wrong if recordings are not there whose faces were found before, else "".

        Faces and flow of a recording that is not there are replaced by a refusal: a disk that is not mounted would cost all of them.
        """
        folder = self.run / "faces" / self.keys["faces"]
        gone = [name for name, video in self.videos.items() if not Path(video.path).exists()]
        used = [name for name in gone if (file := folder / f"{name}.h5").exists() and not store.refusal(file, "faces")]
        if not used:
            return ""
        first = f"{used[0]}, {self.videos[used[0]].path}"
        return (
            f"{len(used)} of {len(self.videos)} recordings are no longer there (first: {first}), though this run has used them before; "
            "is a disk not mounted? Nothing was changed. Put them back, or take their rows out of the sheet of recordings to go on "
            "without them"
        )

    @property
    def training_free(self) -> list[str]:
        """Return the experiments without training."""
        return [name for name in self.experiments if not isinstance(self.method(name), LearnedMethod)]

    @property
    def pseudo_labelled(self) -> list[str]:
        """Return the experiments whose training makes pseudo-labels."""
        return [name for name in self.learned if learned(self.experiments[name]["training"]["method"]).pseudo_labels]

    @property
    def limited(self) -> list[str]:
        """Return the experiments whose least scores are chosen for each fold."""
        return [name for name in self.learned if self.experiments[name]["spot"]["limits"] == "points"]

    def method(self, experiment: str) -> Method:
        """Return the method of an experiment."""
        return method_of(self.experiments[experiment]["training"]["method"])

    def reads(self, experiment: str) -> Measured:
        """Return the stage that an experiment reads, beside faces."""
        method = self.method(experiment)
        if not isinstance(method, TrainingFreeMethod):
            return "snippets"
        return method.reads(spot_parameters(self.experiments[experiment]["spot"]))

    def depends(self, rule: str, experiment: str | None = None) -> dict[str, Any]:
        """Return the settings that the result of a rule depends on, by section: its parameters in the workflow.

        Settings that change no result, and those of other methods than the experiment's, are left out.
        """
        config = self.config if experiment is None else self.experiments[experiment]
        method = None if experiment is None else self.method(experiment)
        kept = _without(config, "", method)
        if DEPENDS[rule] == ("",):
            return kept
        found: dict[str, Any] = {}
        for path in DEPENDS[rule]:
            section, _, part = path.partition(".")
            found[section] = {**found.get(section, {}), part: kept[section][part]} if part else kept[section]
        return found

    @property
    def keys(self) -> dict[str, str]:
        """Return stage -> key of its cached files (pfes.flow.cache)."""
        faces = faces_key(**self.depends("faces"))
        return {"faces": faces, "flow": flow_key(self.depends("flow")["flow"], faces)}


def _without(section: Mapping[str, Any], place: str, method: Method | None) -> dict[str, Any]:
    kept = {}
    for key, value in section.items():
        path = f"{place}.{key}".lstrip(".")
        if path in MACHINE or (method is not None and path in _unread(method)):
            continue
        kept[key] = _without(value, path, method) if isinstance(value, Mapping) and path != "dataset" else value
    return kept


@cache
def _unread(method: Method) -> frozenset[str]:
    """Return the settings of ``training`` and ``spot`` that a method does not read."""
    sections = {
        *(f"training.{kind.section}" for kind in TRAINING_SECTIONS if kind not in method.training_sections),
        *(f"spot.{kind.section}" for kind in SPOT_SECTIONS if kind not in method.spot_sections),
    }
    if method.reads_spot:
        return frozenset(sections)
    own = {kind.section for kind in method.spot_sections}
    shared = {item.path.split(".")[1] for item in settings_of(Settings()) if item.path.startswith("spot.")}
    return frozenset(sections | {f"spot.{name}" for name in shared - own})


def plan_run(config: Mapping[str, Any], folders: configuration.Folders = EXPERIMENTS, schemas: Path = SCHEMAS) -> Plan:
    """Return the plan of a run from its configuration; a key that it does not have is at its default.

    Parameters
    ----------
    folders : of the experiments, the first that has one counts.

    Raises
    ------
    InputError
        Anything in the configuration, an experiment or the dataset's sheets that would stop the run.
    """
    config = configuration.expanded(configuration.merged(defaults(), config), folders)
    configuration.check(config, schemas / "config.schema.yaml", "config")
    # Another order of keys reruns nothing; that of the systems of continuous intensity is the order of its figures.
    config |= {name: configuration.ordered(config[name]) for name in config if name != "intensity"}
    names = [*(name for name in config["experiments"] if name not in ALWAYS), *ALWAYS]
    experiments = {name: configuration.load_experiment(folders, name, schemas, config) for name in names}
    said = {name: configuration.read_experiment(folders, name, schemas).get("description", "") for name in names}
    run = Path("results") / file_name(config["run"])
    release = datasets.load(config["dataset"]["name"], config["dataset"], run / "dataset")
    instances = count_instances((video.subject for video in release.videos), release.labelled)
    folds = make_folds(instances, configuration.build(FoldParameters, config["folds"]))
    named = {file_name(fold.name): fold for fold in folds}
    plan = Plan(config, experiments, release, named, _systems(config, schemas), run, said)
    for name in (*plan.videos, *plan.folds):
        if len(name.encode()) > MOST_BYTES:
            raise InputError(
                f"the name {name[:40]!r}... of a recording or fold has {len(name.encode())} bytes as the name of a file, "
                f"expected {MOST_BYTES} at most; shorten subject and video in the sheet"
            )
    check_backend(configuration.build(FaceParameters, config["faces"]))
    if config["intensity"]["enabled"] and len(plan.release.clicks):
        _refuse_clicks(plan, "intensity.enabled: continuous intensity")
    for name in experiments:
        _check_experiment(plan, name)
    return plan


def _systems(config: Mapping[str, Any], schemas: Path) -> dict[str, dict[str, Any]]:
    """Return name -> settings of each system of continuous intensity, checked like the section itself."""
    systems = {}
    for name, changes in config["intensity"]["systems"].items():
        if changes is None:
            continue
        settings = configuration.merged(config["intensity"], changes)
        where = f"intensity.systems.{name}"
        configuration.check({**config, "intensity": settings}, schemas / "config.schema.yaml", where)
        systems[file_name(name)] = _without({key: settings[key] for key in PARTS}, "intensity", None)
    return systems


def _refuse_clicks(plan: Plan, what: str) -> None:
    """Raise InputError: ``what`` learns from onsets and offsets, which some expressions do not have."""
    rows = plan.release.clicks["row"].tolist()
    raise InputError(
        f"{what} learns from onsets and offsets, but {len(rows)} of {len(plan.release.labelled)} expressions have none "
        f"(the first is row {rows[0]} of the sheet); leave it out, or mark their onset and offset"
    )


def _check_experiment(plan: Plan, name: str) -> None:
    """Raise InputError for settings of an experiment that do not go together."""
    own = plan.experiments[name]
    try:
        configuration.build(ModelParameters, own["model"])
        configuration.build(PointParameters, own["points"])
        spot_parameters(own["spot"])
        training = training_parameters(own["training"])
    except InputError as error:
        raise InputError(f"experiment {name}: {error}") from error
    for key, value in own["training"].items():
        if f"training.{key}" in MACHINE and value != plan.config["training"][key]:
            raise InputError(
                f"experiment {name}: training.{key} changes no result and is one for the whole run; "
                f"set it in the configuration of the run instead of the experiment"
            )
    if plan.reads(name) == "displacement" and plan.config["dataset"]["name"] == "published":
        raise InputError(
            f"experiment {name}: it measures displacement in recordings, and imported features have none; set"
            " spot.training_free.motion: snippets, or leave it out"
        )
    if not isinstance(plan.method(name), LearnedMethod):
        return
    if plan.method(name).labels == "intervals" and len(plan.release.clicks):
        _refuse_clicks(plan, f"experiment {name}: the method {training.method}")
    if training.validates and not all(fold.validation for fold in plan.folds.values()):
        raise InputError(
            f"experiment {name}: training.epoch_choice validation and early_stop need validation subjects; "
            "set folds.validation_subjects, or epoch_choice: last and early_stop: null"
        )
    if training.start == "box":
        check_size(configuration.build(ModelParameters, plan.experiments[name]["model"]), f"experiment {name}")
    source = training.cached
    if source is not None and (source == name or source not in plan.learned):
        raise InputError(
            f"experiment {name}: training.cached is {source!r}, expected another of the experiments of this run "
            f"({', '.join(plan.learned)}); add it to experiments"
        )
    method = learned(training.method)
    if method.builds_on and training.validates:
        raise InputError(
            f"experiment {name}: its intensity is that of {source} in every epoch, no validation score chooses among them; "
            "set training.epoch_choice: last and early_stop: null"
        )
    if source is not None:
        check_source(method, plan.method(source), f"experiment {name}: training.cached is {source}")
    elif method.builds_on:
        raise InputError(
            f"experiment {name}: the method {method.name} goes on from {' or '.join(method.builds_on)}; "
            "set training.cached to an experiment of that method"
        )


def read_config(path: Path | str) -> dict[str, Any]:
    """Return the configuration of a run: the defaults with the file at ``path`` laid over them, checked.

    The defaults are config/config.yaml of the working folder, which Snakemake reads, or else those of the declarations.
    """
    own = Path("config/config.yaml")
    laid = configuration.merged(defaults(), _yaml(own) if own.is_file() else {})
    config = configuration.expanded(configuration.merged(laid, _yaml(Path(path))), EXPERIMENTS)
    configuration.check(config, SCHEMAS / "config.schema.yaml", str(path))
    return config


def plan_file(path: Path | str) -> Plan:
    """Return the plan of the run that the configuration at ``path`` describes, as in the working folder."""
    return plan_run(read_config(path))


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({error}); write one with: pfes init") from error
    if not isinstance(content or {}, dict):
        raise InputError(
            f"{path}: holds {type(content).__name__}, expected keys with values; write one with: pfes init"
        )
    return content or {}
