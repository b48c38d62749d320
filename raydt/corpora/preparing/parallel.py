"""Prepare several languages in parallel, one process each."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.preparing.shuffle import OnBytes
from raydt.corpora.sources.locate import Corpus
from raydt.errors import InputError, Problem

_POLL_SECONDS = 0.2
_REPORT_BYTES = 2**24  # between two progress messages of a process

# In a worker process: the corpus, which is sent once because it may have many files, and the queue.
_corpus: Corpus
_messages: Any


def prepare_parallel(
    corpus: Corpus,
    train_bytes: Mapping[str, int],
    val_bytes: int | None,
    test_bytes: int | None,
    root: Path,
    num_processes: int,
    on_bytes: OnBytes,
    on_language: Callable[[str], None],
) -> dict[str, PreparedLanguage]:
    """As `prepare_corpus`, in `num_processes` processes.

    All languages are tried. Then raises one `InputError` with the problems of all, or the first
    error of another kind.
    """
    # A language that cannot be prepared does not stop the others.
    problems: list[Problem] = []
    context = get_context("spawn")  # a fork of a process with threads may hang
    messages = context.Queue()
    prepared: dict[str, PreparedLanguage] = {}
    failure: Exception | None = None
    with ProcessPoolExecutor(
        min(num_processes, len(train_bytes)), context, _begin, (corpus, messages)
    ) as pool:
        jobs: dict[Future[PreparedLanguage], str] = {}
        for language, num_bytes in train_bytes.items():
            whole = partial(
                prepare_language,
                language=language,
                train_bytes=num_bytes,
                val_bytes=val_bytes,
                test_bytes=test_bytes,
                root=root,
                corpus_languages=tuple(train_bytes),
            )
            jobs[pool.submit(_prepare, whole)] = language
        waiting = set(jobs)
        try:
            while waiting:
                done, waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
                _receive(messages, on_bytes)
                for job in done:
                    error = job.exception()
                    if error is None:
                        prepared[jobs[job]] = job.result()
                        on_language(jobs[job])
                    elif isinstance(error, InputError):
                        problems += [one for one in error.problems if one not in problems]
                    elif failure is None and isinstance(error, Exception):
                        failure = error
        except KeyboardInterrupt:
            # Stop at once; unfinished work is kept, as after a kill.
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
    if failure is not None:
        raise failure
    if problems:
        raise InputError(problems)
    return {language: prepared[language] for language in train_bytes}


def _begin(corpus: Corpus, messages: Any) -> None:
    global _corpus, _messages
    _corpus, _messages = corpus, messages


def _prepare(prepare: Callable[..., PreparedLanguage]) -> PreparedLanguage:
    """Prepare a language, and report its progress regularly."""
    last = (-_REPORT_BYTES, "")

    def on_progress(name: str, phase: str, done: int, total: int | None) -> None:
        nonlocal last
        if done - last[0] >= _REPORT_BYTES or phase != last[1] or done == total:
            last = (done, phase)
            _messages.put((name, phase, done, total))

    return prepare(_corpus, on_bytes=on_progress)


def _receive(messages: Any, on_bytes: OnBytes) -> None:
    while True:
        try:
            on_bytes(*messages.get_nowait())
        except queue.Empty:
            return
