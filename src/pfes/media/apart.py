"""Read a recording in a process of its own first: a decoder that crashes or hangs on it takes down that process alone.

Linux only, where a process can be split in two at any time; elsewhere the recording is read here.
"""

import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pfes.base.errors import InputError

T = TypeVar("T")
_reading = False  # in the process that reads
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
SILENT_S = 120  # without ``alive`` after which the process ends


def apart(path: Path, function: Callable[[], T]) -> T:
    """Return what ``function`` returns, which reads the recording at ``path``, or raise what it raises.

    ``function`` calls ``alive`` whenever it got something.

    Raises
    ------
    InputError
        Reading it crashed, or gave no sign of life for SILENT_S.
    RuntimeError
        The process was ended from outside, by the system for want of memory, perhaps.
    """
    if sys.platform != "linux":
        return function()
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(function, sending)
    os.close(sending)
    with open(receiving, "rb") as pipe:
        answer = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        ended = signal.Signals(os.WTERMSIG(status))
        if ended == signal.SIGALRM:
            raise InputError(f"{path}: the decoder hangs on it, nothing came for {SILENT_S} s; convert it to H.264")
        if ended in CRASHES:
            raise InputError(f"{path}: the decoder crashes on it ({ended.name}); is it damaged? convert it to H.264")
        raise RuntimeError(f"{path}: the process that read it was ended by {ended.name}; out of memory, perhaps")
    well, value = pickle.loads(answer)  # noqa: S301 from our own child
    if well:
        return value
    raise value


def alive() -> None:
    """Say, inside ``apart``, that reading goes on."""
    if _reading:
        signal.alarm(SILENT_S)


def _answer(function: Callable[[], T], sending: int) -> None:
    """Send what ``function`` returns or raises, and end this process; it ends with its parent, too."""
    global _reading
    _reading = True
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside a library
    alive()
    try:
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
        try:
            found: tuple[bool, object] = (True, function())
        except Exception as error:
            found = (False, error)
        with open(sending, "wb") as pipe:
            pickle.dump(found, pipe)
    finally:
        os._exit(0)
