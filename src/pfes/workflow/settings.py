"""The configuration of a run: every section and setting, declared once, and the files that are written from it.

Each setting is a field of the dataclass that the code of its stage reads; here they come together. The JSON schema that a
configuration is checked against, config/config.yaml and the reference in docs are written from them by
``pfes config --write``, and a test compares.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pfes.base.config import setting
from pfes.base.schema import schema_of, settings_of, yaml_of
from pfes.datasets.folds import FoldParameters
from pfes.datasets.parameters import DatasetParameters
from pfes.datasets.points import PointParameters
from pfes.decoding.proposals import SpotParameters
from pfes.evaluation.parameters import EvaluateParameters
from pfes.faces.landmarks import FaceParameters
from pfes.flow.displacement import DisplacementParameters
from pfes.flow.snippets import SnippetParameters
from pfes.flow.sw_mro import FlowParameters
from pfes.intensity.parameters import IntensityParameters
from pfes.media.decode import SamplingParameters
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import METHODS, SPOT_SECTIONS, TRAINING_SECTIONS
from pfes.network.parameters import ModelParameters
from pfes.report.parameters import ReportParameters

SCHEMA, CONFIG, REFERENCE = (
    Path("workflow/schemas/config.schema.yaml"),
    Path("config/config.yaml"),
    Path("docs/settings.md"),
)
HEAD = """\
# Configuration of a run. These are the defaults, with the paper's sizes; give your own file with only what differs:
#   snakemake --configfile my_config.yaml
# A key that is not known stops the run before any work. Written by: pfes config --write
"""


@dataclass(frozen=True)
class Settings:
    """Configuration of a run."""

    run: str = setting(
        "my_run", "name of the run; everything goes to results/<run>", pattern=r"^[\w.-]+$", maxLength=100
    )
    seeds: tuple[int, ...] = setting(
        (0,), "one training per fold and seed", items={"minimum": 0}, minItems=1, uniqueItems=True
    )
    experiments: tuple[str, ...] = setting(
        ("journal",),
        "files in config/experiments, by name, or groups of them: see docs/experiments.md",
        items={"pattern": r"^[\w-]{1,64}$"},
        minItems=1,
        uniqueItems=True,
    )
    all_features: bool = setting(
        False,
        "keep each fold's SpotFormer features of all subjects, not only of those that it tests",
        changes_results=False,
    )
    dataset: DatasetParameters = setting(DatasetParameters(), "where recordings and labels come from")
    sampling: SamplingParameters = setting(SamplingParameters(), "down-sampling in time")
    faces: FaceParameters = setting(FaceParameters(), "face detection")
    flow: FlowParameters = setting(FlowParameters(), "SW-MRO optical flow")
    snippets: SnippetParameters = setting(SnippetParameters(), "from flow to snippets")
    displacement: DisplacementParameters = setting(
        DisplacementParameters(), "displacement against a rest, for the method training_free"
    )
    points: PointParameters = setting(PointParameters(), "point labels")
    model: ModelParameters = setting(ModelParameters(), "size of the network")
    folds: FoldParameters = setting(FoldParameters(), "which subjects are tested by a model that never saw them")
    training: TrainingParameters = setting(
        TrainingParameters(sections=tuple(kind() for kind in TRAINING_SECTIONS)), "training of a fold"
    )
    spot: SpotParameters = setting(
        SpotParameters(sections=tuple(kind() for kind in SPOT_SECTIONS)), "from curves to proposals"
    )
    constants: Mapping[str, Any] = setting(
        {}, "method -> sections points, model, training and spot that this dataset sets for it, whatever the experiment"
    )
    evaluate: EvaluateParameters = setting(EvaluateParameters(), "counting of proposals")
    report: ReportParameters = setting(ReportParameters(), "the page of a run")
    intensity: IntensityParameters = setting(
        IntensityParameters(),
        "continuous intensity from onset, apex and offset (arXiv 2512.01145); a system of its own",
    )


class _Plain(yaml.SafeDumper):
    """Writes what stands in several places in each of them."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: no anchors."""
        return True


def schema() -> dict[str, Any]:
    """Return the JSON schema of a whole configuration."""
    made = schema_of(Settings())
    sections = ("report", "constants")
    made["required"] = [name for name in made["properties"] if name not in sections]
    made["properties"]["training"]["properties"]["method"]["enum"] = list(METHODS)
    parts = {name: {"type": "object"} for name in ("points", "model", "training", "spot")}
    each = {"type": "object", "additionalProperties": False, "properties": parts}
    made["properties"]["constants"] |= {"additionalProperties": False, "properties": dict.fromkeys(METHODS, each)}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of a pfes run"}
    return head | made


def config_yaml() -> str:
    """Return config/config.yaml: every setting with its default, and what it is."""
    return f"{HEAD}\n{yaml_of(Settings())}\n"


def defaults() -> dict[str, Any]:
    """Return the configuration that says nothing: every setting with its default."""
    return deepcopy(_defaults())


@cache
def _defaults() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(config_yaml())
    return config


def reference() -> str:
    """Return docs/settings.md: a table of all settings."""
    lines = [
        "# Settings",
        "",
        "Every key of a configuration, from `config/config.yaml`. Where the last column says no, a change of the key makes no",
        "stage run again. Written by `pfes config --write`.",
        "",
        "| key | default | what it is | changes results |",
        "|---|---|---|---|",
    ]
    for item in settings_of(Settings()):
        about = item.about.replace("|", "\\|").replace("<", "&lt;")
        default = yaml.safe_dump(item.default, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
        lines.append(f"| `{item.path}` | `{default}` | {about} | {'yes' if item.changes_results else 'no'} |")
    return "\n".join(lines) + "\n"


def written() -> dict[Path, str]:
    """Return path in the checkout -> content of the files that are made from the declarations."""
    text = yaml.dump(schema(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return {SCHEMA: text, CONFIG: config_yaml(), REFERENCE: reference()}
