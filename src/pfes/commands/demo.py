"""The demo in one command: render its dataset, run the whole workflow on it."""

from pathlib import Path

from pfes.base.errors import InputError
from pfes.base.place import ROOT
from pfes.commands.run import run


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
