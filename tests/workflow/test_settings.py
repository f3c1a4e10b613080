"""Settings are said once: the files made from the declarations are those committed, and each key reruns what it changes."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfes.base.config import merged
from pfes.base.errors import InputError
from pfes.base.schema import Setting, settings_of
from pfes.workflow.plan import DEPENDS, Plan, plan_run
from pfes.workflow.settings import Settings, written
from tests.conftest import ROOT

DEFAULTS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
DEMO = merged(DEFAULTS, {"dataset": {"name": "demo"}})
SETTINGS = list(settings_of(Settings()))

# Section -> rules that a change of any of its keys reruns by itself; what these feed runs after them. Longest path counts.
RERUNS = {
    "dataset": {"dataset"},
    "dataset.name": {"dataset", "evaluate"},
    "dataset.demo": {"dataset", "demo_video"},
    "sampling": {"dataset", "faces", "train"},
    "faces": {"faces", "train"},
    "flow": {"flow", "train", "displacement"},
    "displacement": {"displacement"},
    "flow.device": set(),
    "snippets": {"snippets", "train"},
    "points": {"points"},
    "model": {"train"},
    "training": {"train"},
    "training.supervised": set(),  # the experiment is journal
    **{f"training.{name}": set() for name in ("as_released", "ptal", "lac", "tsp")},
    **{f"training.{key}": set() for key in ("device", "compile", "chunk_frames", "chunk_memory_mb")},
    **{f"training.{key}": set() for key in ("deterministic", "tensorboard")},
    "spot": {"spot", "epoch_proposals", "experiment", "limits", "all_proposals"},
    "spot.supervised": set(),
    "spot.tsp": set(),
    "spot.training_free": set(),
    "spot.baseline": {"training_free", "intensity_compare", "intensity_recordings", "intensity_figures"},
    "evaluate": {"evaluate", "compare"},
    "report": set(),
    "intensity": set(),
    "intensity.clips": {"clips"},
    "intensity.stream": {"experiment"},
}
OTHER = {  # where a step from the default is refused
    "model.width": 128,
    "model.heads": 2,
    "training.gim.half_widths": [[8, 18], [4, 8]],
    "evaluate.bootstrap.level": 0.9,
}
# These need more than a key.
NOT_ALONE = {
    "faces.backend",
    "training.cached",
    "training.start",
    "training.start_layers",
    "training.epoch_choice",
    "training.early_stop",
    "spot.one_based",
}
# These change which jobs there are, or what they are given, and not the parameters of a rule; or they are shown alone.
OTHERWISE = {"run", "all_features", "seeds", "experiments", "folds", "constants", "intensity", "training.method"}


def another(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value that the schema allows and that is not ``value``."""
    if "enum" in schema:
        return next(item for item in schema["enum"] if item != value)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if isinstance(value, bool) or kinds[0] == "boolean":
        return not value
    if "integer" in kinds or "number" in kinds:
        step = 2 if "integer" in kinds else 0.125  # an odd width stays odd
        low, high = schema.get("minimum", schema.get("exclusiveMinimum", 0)), schema.get("maximum", float("inf"))
        return next(item for item in ((value or low) + step, (value or low) - step) if low <= item <= high)
    if "array" in kinds:
        return [another(value[0], schema["items"]), *value[1:]] if value else [another(None, schema["items"])]
    if kinds[0] == "object":
        return {**(value or {}), "more": {}}
    return f"{value or ''}x"


def changed(item: Setting) -> dict[str, Any]:
    path, value = item.path, OTHER.get(item.path, another(item.default, item.schema))
    config = deepcopy(DEMO)
    section = config
    *parents, key = path.split(".")
    for name in parents:
        section = section[name]
    section[key] = value
    return config


def parameters(plan: Plan) -> dict[str, Any]:
    """Return rule -> the settings it gets, for the experiment that it runs for."""
    experiments = {
        "train": "journal",
        "points": "journal",
        "spot": "journal",
        "limits": "journal",
        "all_proposals": "journal",
        "epoch_proposals": "journal",
        "experiment": "journal",
        "training_free": "baseline",
    }
    return {rule: plan.depends(rule, experiments.get(rule)) for rule in DEPENDS if rule != "report"}


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    return parameters(plan_run(DEMO))


ALONE = [
    item
    for item in SETTINGS
    if not {item.path, item.path.split(".")[0]} & (OTHERWISE | NOT_ALONE) and item.path != "dataset.name"
]


@pytest.mark.parametrize("item", ALONE, ids=lambda item: item.path)
def test_a_key_reruns_the_rules_whose_result_depends_on_it_and_no_others(item, before: dict[str, Any]) -> None:
    expected = RERUNS[max((place for place in RERUNS if f"{item.path}.".startswith(f"{place}.")), key=len)]
    after = parameters(plan_run(changed(item)))
    assert {rule for rule in before if before[rule] != after[rule]} == expected


def test_hardly_any_key_is_passed_over_above() -> None:
    assert len(ALONE) > 0.7 * len(SETTINGS)


@pytest.mark.parametrize("path", written(), ids=str)
def test_files_made_from_the_declarations_are_those_committed(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == written()[path], "run: pfes config --write"


def test_every_setting_is_described_in_a_line() -> None:
    for item in SETTINGS:
        assert item.about.strip() == item.about != "", item.path
        assert "\n" not in item.about


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"width": 33, "heads": 2}}, "model: width 33 is not a multiple of 2 heads"),
        ({"training": {"cached": "kc_16", "mirror": 0.5}}, "cached features are of videos as they are"),
        ({"training": {"cached": "kc_16"}}, "training.cached is 'kc_16', expected another of the experiments"),
        ({"spot": {"smooth_frames": 4}}, "smooth_frames is 4, expected an odd number"),
        ({"spot": {"macro": {"min_frames": 300}}}, "min_frames 300 is above max_frames 240"),
        ({"training": {"epoch_choice": "validation"}}, "need validation subjects"),
        ({"training": {"compile": True, "chunk_frames": 9}}, "compile and chunk_frames exclude each other"),
        ({"training": {"method": "gim"}}, "'gim' is not one of"),
        ({"experiments": ["tsp"]}, "experiment tsp: training.cached is 'lac', expected another of the experiments"),
        (
            {
                "experiments": ["lac", "supervised"],
                "constants": {"lac": {"training": {"cached": "supervised", "mirror": 0}}},
            },
            "experiment lac: training.cached is supervised: its features have seen onsets and offsets",
        ),
        (
            {"experiments": ["journal", "lac", "tsp"], "constants": {"tsp": {"training": {"cached": "journal"}}}},
            "of the method journal, but tsp goes on from lac",
        ),
        (
            {
                "experiments": ["lac", "tsp"],
                "folds": {"validation_subjects": 1},
                "constants": {"tsp": {"training": {"early_stop": 3}}},
            },
            "experiment tsp: its intensity is that of lac",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused_while_the_run_is_planned(changes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_run(merged(DEMO, changes))


def test_the_tables_of_methods_are_planned_and_say_which_least_scores_are_chosen() -> None:
    methods = ["lac", "hrpro_stage1", "hrpro", "tsp"]
    for group, names in (("table1", methods), ("table1_cached", [f"{name}_cached" for name in methods])):
        plan = plan_run(merged(DEMO, {"experiments": group}))
        assert set(plan.limited) == set(names)
        assert set(names) < set(plan.learned)
        assert plan.depends("train", names[0])["training"]["ptal"]["learning_rate"] == 1e-4
        assert "ptal" not in plan.depends("train", "conference")["training"]


def test_an_experiment_may_not_set_what_changes_no_result(tmp_path: Path) -> None:
    for name, text in (("journal", "training: {device: cpu}\n"), ("baseline", "training: {method: baseline}\n")):
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(InputError, match="experiment journal: training.device changes no result"):
        plan_run(DEMO, tmp_path)
