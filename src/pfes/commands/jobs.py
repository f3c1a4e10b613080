"""The same work on many recordings, some at a time: one bad recording never stops the others."""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pfes.base.config import prepare_jobs
from pfes.base.errors import InputError
from pfes.base.logs import to_file
from pfes.base.records import file_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one recording: ``problem`` says why there is no result, None where all is well."""

    recording: str
    name: str
    problem: str | None = None


def by_name(recordings: Sequence[str]) -> dict[str, str]:
    """Return name -> recording, named by their files; raises InputError where two would have one name."""
    return distinct((file_name(Path(recording).stem), recording) for recording in recordings)


def distinct(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return name -> recording of ``pairs`` of these; raises InputError where two recordings have one name."""
    named: dict[str, str] = {}
    for name, recording in pairs:
        if named.setdefault(name, recording) != recording:
            raise InputError(
                f"{named[name]} and {recording} would both be called {name}; give them one at a time, to two folders"
            )
    return named


def each(
    function: Callable[..., None],
    tasks: Mapping[str, tuple[Any, ...]],
    logs: Mapping[str, Path],
    jobs: int,
    level: int = logging.CRITICAL,
) -> Iterator[Outcome]:
    """Call ``function(*task)`` for every task, ``jobs`` at a time, and yield each outcome as it ends.

    ``tasks`` and ``logs`` (the file that everything is logged to) go by name; the first item of a task is its recording.
    Messages from ``level`` on reach the terminal too; a problem is told by the caller.
    """
    if jobs == 1:
        yield from (_one(function, name, task, logs[name], level) for name, task in tasks.items())
        return
    prepare_jobs()
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(_one, function, name, task, logs[name], level): name for name, task in tasks.items()}
        for done in as_completed(running):
            yield _result(done, str(tasks[running[done]][0]), running[done])


def _one(function: Callable[..., None], name: str, task: tuple[Any, ...], log_path: Path, level: int) -> Outcome:
    recording = str(task[0])
    logging.getLogger("pfes.base.store").setLevel(
        max(level, logging.ERROR)
    )  # a refusal is an outcome, and told as that
    with to_file(log_path, level):
        try:
            function(*task)
        except InputError as error:
            return Outcome(recording, name, str(error))
        except Exception as error:
            log.exception(recording)
            return Outcome(recording, name, f"{recording}: {type(error).__name__}: {error}; see its log")
    return Outcome(recording, name)


def _result(done: Future[Outcome], recording: str, name: str) -> Outcome:
    try:
        return done.result()
    except BrokenProcessPool:
        return Outcome(recording, name, f"{recording}: a process was killed (out of memory?); try fewer jobs")
