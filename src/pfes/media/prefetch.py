"""Let what feeds a computation run ahead of it in a thread, by a bounded number of items.

Decoding and cropping then overlap with a GPU's work. On one core there is nothing to gain: OpenCV and numba release
the interpreter's lock, but a job has one core.
"""

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield ``items`` in order while a thread makes up to ``depth`` of them in advance.

    An exception of ``items`` is raised here, after the items before it. When this iterator is closed, the thread ends.
    """
    queue: Queue[tuple[Any, BaseException | None]] = Queue(depth)
    closed = threading.Event()

    def put(item: Any, error: BaseException | None = None) -> None:
        while not closed.is_set():
            try:
                queue.put((item, error), timeout=0.1)
            except Full:
                continue
            return

    def produce() -> None:
        try:
            for item in items:
                put(item)
                if closed.is_set():
                    return
            put(_END)
        except BaseException as error:  # noqa: BLE001
            put(_END, error)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        closed.set()
        thread.join()
