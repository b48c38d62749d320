"""Work done in threads while the caller does something else, in order and a little at a time.

Worth it for what lets go of the interpreter: Arrow, NumPy, decompression, hashes, files, sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from raydt.cpus import num_cpus

T = TypeVar("T")
R = TypeVar("R")

_MAX_THREADS = 4  # what is held ahead grows with them, and memory is bounded


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next of which a thread gets meanwhile; one at most is held."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def in_order(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """`work` of every item by a thread per core, handed out in the order of the items.

    At most one result a thread is held. Items are drawn by the thread that iterates.
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


class InTurn:
    """One thread that does what it is given, in turn; the caller waits when it is behind."""

    def __init__(self, num_waiting: int = 2) -> None:
        self._num_waiting = num_waiting
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Have it done; raises what earlier work raised."""
        while len(self._waiting) >= self._num_waiting:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

    def finish(self) -> None:
        """Wait until all is done; raises what work raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """No more work; what has not begun is not done, and nothing is raised."""
        for future in self._waiting:
            future.cancel()
        self._pool.shutdown()
