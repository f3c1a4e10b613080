"""Where a stage talks: everything to its log file, one line to the terminal for what the user must know."""

import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pfes.base.errors import InputError

NO_PLACE = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EROFS: "cannot be written: the disk is read-only",
    errno.EACCES: "cannot be written or read: it is not yours",
}


@contextmanager
def to_file(log_path: Path | str, level: int = logging.WARNING) -> Iterator[None]:
    """Send stdout, stderr and logging of the block to ``log_path``, native libraries included.

    Messages of pfes from ``level`` on also reach the terminal.
    """
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    saved = [os.dup(1), os.dup(2)]
    logger = logging.getLogger("pfes")
    with Path(log_path).open("w") as file, os.fdopen(os.dup(2), "w") as terminal:
        everything, console = logging.StreamHandler(file), logging.StreamHandler(terminal)
        everything.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
        console.setFormatter(logging.Formatter("pfes: %(message)s"))
        console.setLevel(level)
        logger.setLevel(logging.INFO)
        for stream, target in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            os.dup2(file.fileno(), target)
        logger.addHandler(everything)
        logger.addHandler(console)
        try:
            yield
        finally:
            for stream, target, origin in ((sys.stdout, 1, saved[0]), (sys.stderr, 2, saved[1])):
                stream.flush()
                os.dup2(origin, target)
                os.close(origin)
            logger.removeHandler(everything)
            logger.removeHandler(console)


@contextmanager
def stage(log_path: Path | str) -> Iterator[None]:
    """Run a stage with its log file; an InputError, or a disk that takes nothing, ends the process with status 1 and its message alone.

    SIGTERM (a time limit, scancel, a shutdown) ends it with status 143 after what is unfinished is removed: no temporary
    file stays, and a training keeps its state of the last whole epoch.
    """
    signal.signal(signal.SIGTERM, _end)
    with to_file(log_path):
        try:
            yield
        except InputError as error:
            logging.getLogger("pfes").error("%s", error)
            sys.exit(1)
        except OSError as error:
            if error.errno not in NO_PLACE:
                traceback.print_exc()
                raise
            place = error.filename or str(error).splitlines()[0]
            logging.getLogger("pfes").error(
                "%s (%s); make room or choose another folder, and start again", NO_PLACE[error.errno], place
            )
            sys.exit(1)
        except Exception:
            traceback.print_exc()  # into the log; it rises to the terminal too
            raise


def _end(*_: object) -> None:
    logging.getLogger("pfes").warning("ended from outside (SIGTERM)")
    sys.exit(128 + signal.SIGTERM)
