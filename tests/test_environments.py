"""Conda file and container recipe hold what constraints.txt holds: jobs compute the same wherever they run."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.conftest import ROOT

# Of the command line alone: no job imports them.
NOT_IN_JOBS = {
    "filelock", "psutil", "rocrate", "snakemake", "snakemake-executor-plugin-slurm", "snakemake-logger-plugin-rich",
}  # fmt: skip


def pins():
    """Return package -> what constraints.txt says of its version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = (re.fullmatch(r"([\w.-]+)([<>=!].*)", line.split("#")[0].strip()) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_the_conda_file_has_every_dependency_of_a_job_in_the_pinned_version():
    conda = yaml.safe_load((ROOT / "envs/pfes.yaml").read_text())["dependencies"]
    packages = next(item["pip"] for item in conda if isinstance(item, dict))
    listed = {re.split(r"[<>=!]", item)[0]: item for item in packages}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=!]", item)[0] for item in project["dependencies"]}
    assert set(listed) == needed - NOT_IN_JOBS
    assert listed == {name: name + pins()[name] for name in listed}
    assert f"python={project['requires-python'].split(',')[0].removeprefix('>=')}" in conda


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
