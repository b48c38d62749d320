"""Work that goes on beside this process's own, on another core.

An analysis has three long parts that do not wait for each other: what is computed of resamples,
the curves, and the figures. Python computes one at a time, so the others have a process of their
own; that it imports matplotlib while this one imports something else is half of the gain where
there is little to compute.
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


class Here(Executor):
    """Does at once, in this process, what it is given."""

    def submit(self, work: Callable[P, T], /, *values: P.args, **named: P.kwargs) -> Future[T]:
        """A future that is done. What the work raises is raised here, and by no `result()`."""
        future: Future[T] = Future()
        future.set_result(work(*values, **named))
        return future


Beside = Callable[[tuple[str, ...]], AbstractContextManager[Executor]]


@contextmanager
def this_process(modules: tuple[str, ...]) -> Iterator[Executor]:
    """`Here`."""
    yield Here()


@contextmanager
def second_process(modules: tuple[str, ...]) -> Iterator[Executor]:
    """A process that does in turn what it is given, and begins by importing `modules`; on a single
    core `Here`.

    It is a new interpreter and no copy of this one, which may have threads, and so it imports the
    main module: for a command of raydt, and not for a script whose main module does its work while
    it is imported. What it had not done when the block ends it does not do. `RunError` if somebody
    kills it.
    """
    if num_cpus() < 2:
        yield Here()
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(modules,))
    try:
        pool.submit(os.getpid)  # it starts with the first work it is given
        yield pool
    except BrokenProcessPool as error:
        raise RunError(
            "the second process of the analysis was killed, for want of memory perhaps: expected "
            "it to end by itself; nothing is lost, run the same command again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(modules: tuple[str, ...]) -> None:
    # Ctrl-C is for the process that was started, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in modules:
        import_module(name)
