"""Conda file and container recipe hold what constraints.txt holds: jobs compute the same wherever they run."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.conftest import ROOT

# Of the command line alone: no job imports them.
NOT_IN_JOBS = {
    "filelock", "psutil", "rocrate", "snakemake", "snakemake-executor-plugin-slurm", "snakemake-logger-plugin-rich",
}  # fmt: skip


def pins():
    """Return package -> the lines of constraints.txt on it, one for each kind of machine that has a version of its own."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    return by_package(filter(None, lines))


def by_package(requirements):
    found = {}
    for line in requirements:
        found.setdefault(Requirement(line).name, []).append(line)
    return found


def test_the_conda_file_has_every_dependency_of_a_job_in_the_pinned_version():
    conda = yaml.safe_load((ROOT / "envs/pfes.yaml").read_text())["dependencies"]
    listed = by_package(next(item["pip"] for item in conda if isinstance(item, dict)))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(listed) == set(by_package(project["dependencies"])) - NOT_IN_JOBS
    assert listed == {name: pins()[name] for name in listed}
    assert "mediapipe==0.10.21; platform_machine != 'aarch64'" in listed["mediapipe"]
    assert f"python={project['requires-python'].split(',')[0].removeprefix('>=')}" in conda


def test_the_pinned_versions_lie_within_the_bounds_of_the_package():
    """What an installation without constraints.txt may take is a range around the versions that run together."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = {item.name: item.specifier for item in map(Requirement, project["dependencies"])}
    pinned = [Requirement(line) for lines in pins().values() for line in lines]
    for item in pinned:
        if item.name in bounds and item.name != "torch":  # that is a range in both
            assert bounds[item.name].contains(str(item.specifier).removeprefix("==")), item
    assert set(bounds) <= {item.name for item in pinned}
    broken = {"mediapipe": "1.2.3", "numpy": "2.4.0", "pyarrow": "26.0.1", "av": "19.0.2", "pandas": "3.0.0"}
    assert not [name for name, version in broken.items() if bounds[name].contains(version)]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64"])
def test_every_machine_gets_one_version_of_each_package(machine):
    for lines in pins().values():
        markers = [Requirement(line).marker for line in lines]
        assert sum(marker is None or marker.evaluate({"platform_machine": machine}) for marker in markers) == 1


def test_the_container_is_set_up_like_a_clone():
    """The set-up reads constraints.txt; the system packages are those that CI installs."""
    recipe = (ROOT / "envs/Containerfile").read_text()
    assert "RUN make .venv/ready" in recipe
    assert re.search(r"^FROM docker.io/library/python:3\.11-", recipe, re.M)
    assert "--constraint constraints.txt" in (ROOT / "Makefile").read_text()
    system = re.search(r"packages\+=\((libgl1[^)]*)\)", (ROOT / ".ci/run").read_text())[1]
    assert set(system.split()) <= set(re.search(r"--no-install-recommends (.*?) &&", recipe)[1].split())


@pytest.mark.parametrize("package", sorted(pins()))
def test_a_pinned_package_takes_the_oldest_python_3_11(package):
    """Debian 12 has 3.11.2; a package that wants a later one ends the set-up in a conflict that names other packages."""
    try:
        wanted = distribution(package).metadata["Requires-Python"]
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed here")
    assert "3.11.0" in SpecifierSet(wanted or "")


def test_the_container_takes_no_environment_of_the_host():
    """A .venv that came along would be taken for set up, with the Python of another machine."""
    ignored = (ROOT / "envs/Containerfile.dockerignore").read_text().splitlines()
    assert {".venv", "results", ".git"} <= set(ignored)
