"""A second process for the parts of an analysis that can run concurrently.

An analysis has three long parts that do not depend on each other: statistics of the resamples, the
curves, and the figures. Python runs one at a time, so two of them run in a process of their own. If
there is little to compute, half of the gain is that it imports matplotlib while this process
imports other modules.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import ParamSpec, TypeVar

from raydt.cpus import num_cpus
from raydt.errors import RunError

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs each task immediately, in this process."""

    def submit(self, work: Callable[P, T], /, *values: P.args, **named: P.kwargs) -> Future[T]:
        """A completed future. Exceptions are raised here, not by `result()`."""
        future: Future[T] = Future()
        future.set_result(work(*values, **named))
        return future


ExecutorContext = Callable[[tuple[str, ...]], AbstractContextManager[Executor]]


@contextmanager
def this_process(modules: tuple[str, ...]) -> Iterator[Executor]:
    """`InlineExecutor`."""
    yield InlineExecutor()


@contextmanager
def second_process(modules: tuple[str, ...]) -> Iterator[Executor]:
    """A process that runs its tasks in order, after importing `modules`; on a single core an
    `InlineExecutor`.

    It is a new interpreter, not a fork of this process, which may have threads. A new interpreter
    imports the main module, so use this in a command of raydt, not in a script whose main module
    does its work on import. Tasks that have not started when the block ends are cancelled. Raises
    `RunError` if the process is killed.
    """
    if num_cpus() < 2:
        yield InlineExecutor()
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(modules,))
    try:
        pool.submit(os.getpid)  # the process starts with its first task
        yield pool
    except BrokenProcessPool as error:
        raise RunError(
            "the second process of the analysis was killed, perhaps because memory ran out; no "
            "data is lost, run the same command again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(modules: tuple[str, ...]) -> None:
    # Ctrl-C is handled by the parent, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in modules:
        import_module(name)
