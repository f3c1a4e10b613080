"""Which run folder, and which experiment of it, a command is about."""

from collections.abc import Sequence
from pathlib import Path

from pfes.base.errors import InputError


def run_file(run: Path, name: str) -> Path:
    """Return the file ``name`` of a run folder; raise InputError where ``run`` is none, or its run has not come so far."""
    if (run / name).is_file():
        return run / name
    if (run / "dataset").is_dir():
        raise InputError(
            f"{run}: no {name} yet; the run has not come so far, go on with: pfes run and its configuration"
        )
    found = "this is not the folder of a run" if run.is_dir() else "there is no such folder"
    runs = sorted(
        path.parent for folder in {Path("results"), run / "results", run} for path in folder.glob("*/dataset")
    )
    here = f"; there is {', '.join(map(str, runs))}" if runs else ""
    raise InputError(f"{run}: {found}; expected the folder of a run, such as results/demo{here}")


def of_experiment(
    run: Path, files: Sequence[Path], experiment: str | None, *, also: Sequence[str] = (), expected: str = ""
) -> list[Path]:
    """Return those of ``files``, ``.../{experiment}/{fold}/seed{n}/{name}``, that are of an experiment.

    Parameters
    ----------
    experiment : may be left out where there is one only.
    also : names that the message offers beside those of the files; expected : what it says that was expected.

    Raises
    ------
    InputError
        No file is of this experiment, or there are several experiments and none is named.
    """
    names = sorted({path.parts[-4] for path in files})
    chosen = names[0] if experiment is None and len(names) == 1 else experiment
    if chosen not in names:
        offered = ", ".join([*names, *also]) or "none"
        raise InputError(f"{run}: experiment {chosen!r}{expected}; choose one of {offered} with --experiment")
    return [path for path in files if path.parts[-4] == chosen]
