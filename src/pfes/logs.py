"""Where a stage talks: everything to its log file, one line to the terminal for what the user must know."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pfes.errors import InputError


@contextmanager
def stage(log_path: Path | str) -> Iterator[None]:
    """Send stdout, stderr and logging of the block to ``log_path``, native libraries included.

    Warnings of pfes also reach the terminal. An InputError ends the process with status 1 and its message alone.
    """
    terminal = os.fdopen(os.dup(2), "w")
    with Path(log_path).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", force=True)
        console = logging.StreamHandler(terminal)
        console.setLevel(logging.WARNING)
        console.setFormatter(logging.Formatter("pfes: %(message)s"))
        logging.getLogger("pfes").addHandler(console)
        try:
            yield
        except InputError as error:
            logging.getLogger("pfes").error("%s", error)
            sys.exit(1)
