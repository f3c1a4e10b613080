"""Methods of spotting, by name: the registry, and the settings that methods bring with them.

A method is a module with an object of ``pfes.methods.base``; CONTRIBUTING.md adds one in ten lines.
"""

from collections.abc import Mapping
from typing import Any

from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.decoding.proposals import SpotParameters
from pfes.methods.base import LearnedMethod, Method, TrainingFreeMethod
from pfes.methods.baseline import Baseline
from pfes.methods.gim.method import AsReleased, Conference, Journal
from pfes.methods.hrpro.method import Hrpro, HrproStage1
from pfes.methods.lac.method import Lac
from pfes.methods.parameters import TrainingParameters
from pfes.methods.sfnet.method import Sfnet
from pfes.methods.supervised.method import Supervised
from pfes.methods.training_free.method import TrainingFree
from pfes.methods.tsp.method import Tsp

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Conference(), Journal(), AsReleased(), Supervised(), Baseline(), TrainingFree(), Lac(), HrproStage1(), Hrpro(), Tsp(),
        Sfnet(),
    )
}  # fmt: skip
TRAINING_SECTIONS, SPOT_SECTIONS = (
    tuple(dict.fromkeys(kind for method in METHODS.values() for kind in getattr(method, name)))
    for name in ("training_sections", "spot_sections")
)


def method_of(name: str) -> Method:
    """Return the method called ``name``; raises InputError that lists the methods there are."""
    if name not in METHODS:
        raise InputError(f"training: method {name!r} is not known; expected one of {', '.join(METHODS)}")
    return METHODS[name]


def learned(name: str) -> LearnedMethod:
    """Return the method called ``name``, which is trained; raises InputError if there is none or it is training-free."""
    found = method_of(name)
    if not isinstance(found, LearnedMethod):
        raise InputError(f"training: method {name} has nothing to train; use it as an experiment of a run")
    return found


def check_source(method: LearnedMethod, source: Method, where: str) -> None:
    """Raise InputError unless ``method`` may be trained on the features of a model of the method ``source``.

    ``where`` says whose the source is. A method that gets points alone never gets features that have seen intervals.
    """
    if source.labels == "intervals" and method.labels != "intervals":
        raise InputError(
            f"{where}: its features have seen onsets and offsets, which the method {method.name} must not; "
            "set training.cached to an experiment that learns from points"
        )
    if method.builds_on and source.name not in method.builds_on:
        raise InputError(
            f"{where}: of the method {source.name}, but {method.name} goes on from {' or '.join(method.builds_on)}; "
            "set training.cached to an experiment of that method"
        )


def training_free(name: str) -> TrainingFreeMethod:
    """Return the method called ``name``, which is not trained; raises InputError if it is."""
    found = method_of(name)
    if not isinstance(found, TrainingFreeMethod):
        raise InputError(f"method {name} needs a trained model; expected one that is training-free")
    return found


def training_parameters(values: Mapping[str, Any]) -> TrainingParameters:
    """Return the parameters in a section ``training`` of a configuration or of a model's meta."""
    if "system" in values:  # its name in files of before
        values = {**values, "method": values["system"]}
        del values["system"]
    return build(TrainingParameters, values, TRAINING_SECTIONS)


def spot_parameters(values: Mapping[str, Any]) -> SpotParameters:
    """Return the parameters in a section ``spot`` of a configuration."""
    return build(SpotParameters, values, SPOT_SECTIONS)
