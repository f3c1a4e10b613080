"""How far a stage is, for whoever shows it: code that goes through frames says so, and knows nothing of a terminal."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener(stage, done, total)`` for every item that ``watched`` passes on in this process, inside the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def watched(stage: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Yield ``items``, of which there are ``total``, and tell whoever listens how many are done.

    >>> with listening(lambda stage, done, total: print(stage, done, total)):
    ...     list(watched("faces", "ab", 2))
    faces 0 2
    faces 1 2
    faces 2 2
    ['a', 'b']
    """
    done = 0
    for item in items:
        _tell(stage, done, total)
        yield item
        done += 1
    _tell(stage, done, total)


def _tell(stage: str, done: int, total: int) -> None:
    for listener in _listeners:
        listener(stage, done, total)
