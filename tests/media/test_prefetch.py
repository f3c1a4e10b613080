"""A thread that runs ahead: nothing lost, nothing out of order, never too far."""

import threading
import time

import pytest

from pfes.media.prefetch import ahead


def test_everything_comes_in_order():
    assert list(ahead(iter(range(100)), depth=3)) == list(range(100))
    assert list(ahead([])) == []


def test_the_thread_is_never_further_ahead_than_asked():
    """While item 0 is looked at, at most one item waits in the hand of the thread and ``depth`` in the queue."""
    made = []

    def items():
        for index in range(20):
            made.append(index)
            yield index

    stream = ahead(items(), depth=2)
    assert next(stream) == 0
    time.sleep(0.2)
    assert len(made) == 4
    assert list(stream) == list(range(1, 20))


def test_it_really_runs_beside():
    """The second item is made while the first one is looked at: it needs no further call."""
    second = threading.Event()

    def items():
        yield 1
        second.set()
        yield 2

    stream = ahead(items())
    next(stream)
    assert second.wait(5)
    stream.close()


def test_an_exception_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("bad frame")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="bad frame"):
        next(stream)


def test_closing_ends_the_thread():
    before = threading.active_count()
    stream = ahead(iter(range(10**9)))
    next(stream)
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before
