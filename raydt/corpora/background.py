"""Work in background threads, in order and with little held in memory.

Useful for work that releases the GIL: Arrow, NumPy, decompression, hashing, files, sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from raydt.cpus import num_cpus

T = TypeVar("T")
R = TypeVar("R")

_MAX_THREADS = 4  # results held in memory grow with them


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The same items; a thread fetches the next one meanwhile, and at most one is held."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def map_in_threads(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """Apply `work` to every item with a thread per core, and yield the results in order.

    At most one result per thread is held. Items are drawn by the iterating thread.
    """
    num_threads = min(_MAX_THREADS, num_cpus())
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                if len(waiting) == num_threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class SerialWorker:
    """A thread that runs work one by one; the caller waits if it falls behind."""

    def __init__(self, num_waiting: int = 2) -> None:
        self._num_waiting = num_waiting
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Queue work; raises what earlier work raised."""
        while len(self._waiting) >= self._num_waiting:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

    def finish(self) -> None:
        """Wait until all work is done; raises what it raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """Stop: queued work is dropped, and nothing is raised."""
        for future in self._waiting:
            future.cancel()
        self._pool.shutdown()
