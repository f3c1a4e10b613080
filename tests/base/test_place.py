"""Experiments are found in the project's folder first, then among those that come with pfes."""

from pathlib import Path

import pytest
import yaml

from pfes.base.config import expanded, read_experiment
from pfes.base.errors import InputError
from pfes.base.place import EXPERIMENTS, ROOT, SCHEMAS
from pfes.workflow.plan import plan_run
from pfes.workflow.settings import defaults


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working folder with an experiment of its own, and one that is called as a shipped one is."""
    folder = tmp_path / "config/experiments"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("description: own\ngroups: [kc]\nbase: journal\n")
    (folder / "journal.yaml").write_text("description: another\ntraining: {epochs: 7}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_own_experiments_come_first_and_shipped_ones_are_there(project):
    assert read_experiment(EXPERIMENTS, "journal", SCHEMAS)["description"] == "another"
    assert read_experiment(EXPERIMENTS, "kc_16", SCHEMAS)["description"]
    assert expanded({"experiments": "kc"}, EXPERIMENTS)["experiments"] == ["kc_16", "kc_24", "kc_40", "kc_48", "mine"]


def test_a_missing_one_is_looked_for_in_the_project_and_all_are_offered(project):
    with pytest.raises(InputError, match=r"config/experiments/nothing.yaml does not exist.*kc_16.*mine"):
        read_experiment(EXPERIMENTS, "nothing", SCHEMAS)


def test_a_plan_needs_only_what_differs(project):
    plan = plan_run({"dataset": {"name": "demo"}, "experiments": ["mine"]})
    assert plan.experiments["mine"]["training"]["epochs"] == 7
    assert plan.config["flow"] == defaults()["flow"]
    assert plan.descriptions["mine"] == "own"


def test_the_defaults_are_those_of_the_shipped_file_and_can_be_changed_without_harm():
    first = defaults()
    assert first == yaml.safe_load((ROOT / "config/config.yaml").read_text())
    first["model"]["width"] = 1
    assert defaults()["model"]["width"] != 1


def test_the_root_has_the_workflow():
    assert all(
        (ROOT / name).exists() for name in ("Snakefile", "rules/common.smk", "workflow/profiles/default/config.yaml")
    )
    assert isinstance(ROOT, Path)
