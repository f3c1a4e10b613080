"""What a key depends on, what `pfes cache` lists and deletes, and that the workflow recomputes nothing it has."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.commands.cli import app
from pfes.flow import cache
from tests.conftest import ROOT, snakemake

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SAMPLING, FACES = CONFIG["sampling"], CONFIG["faces"]
FLOW = {name: value for name, value in CONFIG["flow"].items() if name != "device"}


def test_a_key_is_a_name_and_eight_digits():
    name, _, digest = cache.flow_key(FLOW, "mediapipe-00000000").rpartition("-")
    assert (name, len(digest)) == ("tvl1", 8)
    assert cache.faces_key(SAMPLING, FACES).startswith("mediapipe-")


def test_every_parameter_of_flow_and_of_its_faces_changes_the_key():
    keys = [cache.flow_key(FLOW, "a"), cache.flow_key(FLOW, "b")]
    keys += [cache.flow_key({**FLOW, name: "other"}, "a") for name in FLOW]
    assert len(set(keys)) == len(FLOW) + 2
    faces = [cache.faces_key(SAMPLING, FACES), cache.faces_key({**SAMPLING, "fps": 25.0}, FACES)]
    faces += [cache.faces_key(SAMPLING, {**FACES, "max_faces": 7})]
    assert len(set(faces)) == 3


def test_the_version_of_a_library_that_computes_changes_the_key(monkeypatch):
    before = cache.flow_key(FLOW, "a")
    version = cache.version
    monkeypatch.setattr(cache, "version", lambda name: "9" if name == "numba" else version(name))
    assert cache.flow_key(FLOW, "a") != before
    monkeypatch.setattr(cache, "version", lambda name: "9" if name == "torch" else version(name))
    assert cache.flow_key(FLOW, "a") == before


@pytest.mark.parametrize(
    ("module", "changes"), [("pfes.flow.tvl1", True), ("pfes.faces.align", True), ("pfes.base.store", False)]
)
def test_code_that_computes_changes_the_key_and_plumbing_does_not(monkeypatch, module, changes):
    before = cache.flow_key(FLOW, "a")
    used = provenance.modules_used("pfes.flow.sw_mro")
    assert module in used
    monkeypatch.setattr(cache, "modules_used", lambda *_: {**used, module: b"another text"})
    assert (cache.flow_key(FLOW, "a") != before) == changes


def write(path, kind, sources, parameters):
    origin = {**provenance.record(kind, parameters), "sources": dict.fromkeys(map(str, sources), "0")}
    arrays = {"flow": np.zeros((1, 17, 14, 2), np.float32)} if kind == "flow" else {}
    store.write(path, kind, arrays, origin)
    return path


@pytest.fixture
def folder(tmp_path):
    """Flow by two methods from one set of faces; the snippets are of tvl1, and the last run wanted that too."""
    faces = write(tmp_path / "faces/mediapipe-1/a.h5", "faces", [], {"faces": {"max_faces": 2}})
    write(tmp_path / "flow/dis-3/a.h5", "flow", [faces], {"method": "dis"})
    flow = write(tmp_path / "flow/tvl1-2/a.h5", "flow", [faces], {"method": "tvl1"})
    write(tmp_path / "snippets/a.h5", "snippets", [flow], {})
    cache.note(tmp_path, {"faces": "mediapipe-1", "flow": "tvl1-2"})
    return tmp_path


def test_entries_say_what_there_is_and_what_made_it(folder):
    found = {entry.key: entry for entry in cache.entries(folder)}
    assert list(found) == ["mediapipe-1", "dis-3", "tvl1-2"]
    assert found["tvl1-2"].files == 1
    assert found["tvl1-2"].bytes == (folder / "flow/tvl1-2/a.h5").stat().st_size
    assert found["dis-3"].parameters == "method dis"
    assert found["mediapipe-1"].parameters == "max_faces 2"


def test_only_what_no_snippets_and_no_last_run_use_is_pruned(folder):
    assert [entry.key for entry in cache.prunable(folder)] == ["dis-3"]
    cache.note(folder, {"faces": "mediapipe-1", "flow": "dis-3"})  # a run that was killed before its snippets
    assert cache.prunable(folder) == []


def test_a_named_key_is_pruned_and_an_unknown_one_is_named(folder):
    cache.delete(cache.prunable(folder, "flow/tvl1-2"))
    assert [path.name for path in (folder / "flow").iterdir()] == ["dis-3"]
    with pytest.raises(InputError, match="no key 'tvl1-2' in its cache; expected one of faces/mediapipe-1, flow/dis-3"):
        cache.prunable(folder, "tvl1-2")


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match="expected the folder of a run"):
        cache.entries(tmp_path)


def test_the_command_lists_asks_and_deletes(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")

    def command(*arguments, answer=""):
        return CliRunner().invoke(app, ["cache", str(folder), *arguments], input=answer)

    listed = command().stdout
    assert all(word in listed for word in ("mediapipe-1", "dis-3", "tvl1-2"))
    command("--prune", answer="n\n")
    assert (folder / "flow/dis-3").exists()
    assert "deleted flow/dis-3" in command("--prune", "--yes").stdout
    assert not (folder / "flow/dis-3").exists()
    assert (folder / "flow/tvl1-2/a.h5").exists()


def planned(folder, config, *arguments):
    """Return the names of the rules that a run with ``config`` would have jobs for."""
    (folder / "changed.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    done = snakemake(folder, "--dry-run", "--quiet", "rules", *arguments, configfile=folder / "changed.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (line.split() for line in (done.stdout + done.stderr).splitlines())
    return {words[0] for words in lines if len(words) == 2 and words[1].isdigit()} - {"total"}


@pytest.fixture
def smoke():
    return yaml.safe_load((ROOT / "tests/smoke.yaml").read_text())


def test_another_head_motion_reruns_no_faces_and_no_flow(run, smoke):
    rules = planned(run.parents[1], {**smoke, "snippets": {"head_motion": "none"}})
    assert "snippets" in rules
    assert not {"faces", "flow"} & rules


def test_another_device_reruns_no_flow_and_no_training(run, smoke):
    assert not {"faces", "flow", "snippets", "train"} & planned(run.parents[1], {**smoke, "flow": {"device": "auto"}})


@pytest.mark.slow
def test_another_method_reruns_flow_and_the_way_back_nothing(run, smoke, tmp_path):
    """The files of the other method come to lie beside the first ones, which are then still good."""
    folder = run.parents[1]
    other = {**smoke, "flow": {"recentre": 3, "method": "dis"}}  # in another order than the defaults
    assert {"flow", "snippets"} <= planned(folder, other)
    assert "faces" not in planned(folder, other)
    first = {path: path.stat().st_mtime_ns for path in run.glob("flow/tvl1-*/*.h5")}
    done = snakemake(folder, "--until", "flow", configfile=folder / "changed.yaml")
    assert done.returncode == 0, done.stderr
    made = sorted(run.glob("flow/dis-*/*.h5"))
    try:
        assert len(made) == len(first) == 3
        assert planned(folder, smoke) == set()
        assert not {"faces", "flow"} & planned(folder, other)
        assert {path: path.stat().st_mtime_ns for path in run.glob("flow/tvl1-*/*.h5")} == first
    finally:
        cache.delete([entry for entry in cache.entries(run) if entry.key.startswith("dis-")])
        Path(folder / "changed.yaml").unlink()
