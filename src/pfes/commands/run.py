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


def demo(*, full: bool = False, intensity: bool = False, cores: int | None = None) -> Path:
    """Run the workflow on the rendered demo dataset and return the folder of its results.

    Parameters
    ----------
    full : twice as many videos; intensity : also continuous intensity, on these.

    Raises
    ------
    InputError
        The workflow ended with an error.
    """
    names = ["demo", *(["demo_full"] if full or intensity else []), *(["demo_intensity"] if intensity else [])]
    status = run([ROOT / f"config/{name}.yaml" for name in names], ["--cores", str(cores)] if cores else [])
    if status:
        raise InputError("the demo ended with an error, see above; run pfes demo again, it goes on where it was")
    return Path("results") / ("demo_full" if len(names) > 1 else "demo")
