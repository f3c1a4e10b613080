"""Schema, default configuration and code agree; what is wrong in a configuration is named."""

from pathlib import Path

import pytest
import yaml

from pfes.base.config import build, check, load_experiment, merged, ordered
from pfes.base.errors import InputError
from pfes.datasets.folds import FoldParameters

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "workflow" / "schemas"
SCHEMA = SCHEMAS / "config.schema.yaml"
DEFAULTS = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "config").glob("*.yaml")), ROOT / "tests" / "smoke.yaml"], ids=lambda path: path.name
)
def test_shipped_configurations_pass(path):
    check(merged(DEFAULTS, yaml.safe_load(path.read_text())), SCHEMA, path.name)


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_experiments_pass(path):
    assert load_experiment(path.parent, path.stem, SCHEMAS, DEFAULTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow": {"sise": 64}}, r"my.yaml: unknown key 'flow.sise'; did you mean 'size'\?"),
        ({"sead": [1]}, r"unknown key 'sead'; did you mean 'seeds'\?"),
        ({"flow": {"zzz": 1}}, r"unknown key 'flow.zzz'; expected one of method, size, recentre, device"),
        ({"flow": {"method": "lucas"}}, r"flow.method: 'lucas' is not one of"),
        ({"training": {"epochs": -1}}, r"training.epochs: -1 is less than the minimum of 0"),
        ({"folds": {"scheme": "loso"}}, r"folds.scheme: 'loso' is not one of"),
        ({"folds": {"lists": {"a": "anna"}}}, r"folds.lists.a: 'anna' is not of type 'array'"),
        ({"model": {"width": "wide"}}, r"model.width: 'wide' is not of type 'integer'"),
        ({"intensity": {"systems": {"small": {"clips": {"size": 32}}}}}, "intensity.systems.small.clips"),
    ],
)
def test_a_mistake_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        check(merged(DEFAULTS, changes), SCHEMA, "my.yaml")


def test_lists_of_subjects_reach_the_folds():
    params = build(FoldParameters, {"scheme": "lists", "lists": {"first": ["anna", "ben"], "second": ["carl"]}})
    assert params.lists == {"first": ("anna", "ben"), "second": ("carl",)}


def test_an_unknown_experiment_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing.yaml does not exist; expected one of .*journal"):
        load_experiment(ROOT / "config" / "experiments", "nothing", SCHEMAS, DEFAULTS)


def test_an_experiment_changes_only_what_it_names(tmp_path):
    (tmp_path / "wide.yaml").write_text("description: wider\nmodel: {width: 512}\n")
    config = load_experiment(tmp_path, "wide", SCHEMAS, DEFAULTS)
    assert config["model"] == {**DEFAULTS["model"], "width": 512}
    assert config["training"] == DEFAULTS["training"]


def test_an_experiment_cannot_change_the_flow(tmp_path):
    (tmp_path / "bad.yaml").write_text("flow: {size: 64}\n")
    with pytest.raises(InputError, match=r"bad.yaml: unknown key 'flow'"):
        load_experiment(tmp_path, "bad", SCHEMAS, DEFAULTS)


def test_the_order_of_keys_means_nothing():
    one, other = {"b": {"y": 1, "x": [{"q": 1, "p": 2}]}, "a": 0}, {"a": 0, "b": {"x": [{"p": 2, "q": 1}], "y": 1}}
    assert repr(ordered(one)) == repr(ordered(other)) == "{'a': 0, 'b': {'x': [{'p': 2, 'q': 1}], 'y': 1}}"
