"""The methods section and the crate of a finished run say what its files say."""

import json
import re

import pytest
from rocrate.rocrate import ROCrate

from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.citations import WORKS, bibtex
from pfes.commands.crate import write_crate
from pfes.commands.methods import METHOD_WORKS, paragraph, plain, read_facts, write_methods
from pfes.datasets import RELEASED
from pfes.methods.registry import METHODS
from pfes.training.model import load_model


def test_the_paragraph_has_the_settings_that_the_models_were_trained_with(run, tmp_path):
    files = {path.name: path.read_text(encoding="utf-8") for path in write_methods(run, tmp_path)}
    _, meta = load_model(next(run.glob("train/journal/*/seed0/model.pt")))
    text = files["methods.txt"]
    for said in (
        f"SpotFormer (Deng et al., 2026b) of {meta['model']['width']} channels",
        f"{meta['training']['epochs']} epochs",
        f"learning rate {meta['training']['learning_rate']:g}",
        "leave-one-subject-out, 3 folds",
        f"MediaPipe {meta['provenance']['libraries']['mediapipe']}",
        "score at the apex is above 0, after soft-NMS",  # class_threshold of the smoke run
    ):
        assert said in text, said
    videos = store.read_table(run / "dataset/videos.parquet", "videos")
    assert f"{len(videos)} recordings" in text
    assert "[@" not in text


def test_the_settings_are_those_that_a_method_reads(run, tmp_path):
    rows = write_methods(run, tmp_path)[1].read_text(encoding="utf-8")
    assert "| `training.gim.d` | `1.2` |" in rows
    assert "| `spot.macro.min_score` | `-1.0` |" in rows
    assert "training.lac" not in rows
    assert "chosen on the demo itself" in rows


def test_every_citation_is_in_the_bibliography_and_no_other(run, tmp_path):
    _, text, bibliography = (path.read_text(encoding="utf-8") for path in write_methods(run, tmp_path))
    cited = {key for found in re.findall(r"\[@([^\]]+)\]", text) for key in re.split(r"; ?@", found)}
    assert set(re.findall(r"@\w+\{(\w+),", bibliography)) == cited
    assert {"gim2026", "spotformer", "moilanen", "tvl1"} <= cited


def test_every_method_and_release_has_its_work():
    assert {*METHOD_WORKS, "training_free"} == set(METHODS)
    assert {*METHOD_WORKS.values(), *RELEASED} <= set(WORKS)
    assert plain("x [@lac; @hrpro]") == "x (Lee and Byun, 2021; Zhang et al., 2024)"
    assert bibtex(["sfnet"]).count("{") == bibtex(["sfnet"]).count("}")


def test_the_facts_are_of_the_run_not_of_a_configuration(run):
    facts = read_facts(run)
    assert list(facts.trained) == ["journal"]
    assert list(facts.free) == ["baseline"]
    assert len(facts.trained["journal"].folds) == 3
    assert "drawn from a normal distribution around the apex" in paragraph(facts)


def test_the_crate_names_results_and_tools_and_no_recording(run):
    path = write_crate(run, "CC0-1.0", "Anna")
    crate = ROCrate(run)
    assert crate.license == "CC0-1.0"
    names = {entity.id for entity in crate.data_entities}
    assert {"report.html", "summary.json", "paper/tables/results.csv"} <= names
    assert not [name for name in names if name.endswith((".mp4", ".h5")) or "/." in name]
    action = crate.get("#run")
    assert action["instrument"].id == "#pfes"
    assert action["agent"]["name"] == "Anna"
    assert json.loads(path.read_text())["@graph"]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="not the folder of a run"):
        write_methods(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
