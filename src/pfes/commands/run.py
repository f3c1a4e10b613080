"""Run the workflow of the installed package in the working folder, with the profile for one machine."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pfes.base.errors import InputError
from pfes.base.place import ROOT


def run(configs: Sequence[Path], arguments: Sequence[str] = ()) -> int:
    """Run Snakemake on ``configs``, a later one over an earlier, and return its exit status.

    Parameters
    ----------
    arguments : for Snakemake, such as ``--cores 8``; without ``--cores`` all cores of the machine are used.

    Raises
    ------
    InputError
        A configuration is not there.
    """
    for path in configs:
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected a configuration, write one with: pfes init")
    cores = [] if {"--cores", "-c", "--jobs", "-j"} & set(arguments) else ["--cores", str(os.cpu_count() or 1)]
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile",
        "--workflow-profile", ROOT / "workflow/profiles/default", "--configfile", *configs, *cores, *arguments,
    ]  # fmt: skip
    return subprocess.run([str(part) for part in command], check=False).returncode
