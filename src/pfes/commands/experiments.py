"""Which experiment of a run folder a command is about."""

from collections.abc import Sequence
from pathlib import Path

from pfes.base.errors import InputError


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
