"""What every launch does first: it holds the sweep's folder, prepares its languages, opens the
store and starts Ray."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from raydt.config.machine import mps_is_on, num_gpus
from raydt.config.sweep import Sweep
from raydt.corpora.prepared.evaluation import HeldOutSplit, at_most, evaluation_bytes
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.mix import Mix
from raydt.corpora.preparing.mixes import prepare_mixes
from raydt.corpora.preparing.prepare import prepare_corpus
from raydt.corpora.sources.locate import Corpus
from raydt.grid.lease import LaunchLease
from raydt.orchestration.cluster.runtime import on_cluster, ray_started, set_environment
from raydt.orchestration.run.languages import publish_language
from raydt.storage.folder import Folder
from raydt.units import approximate_bytes

WriterT = TypeVar("WriterT")


@contextmanager
def only_launch(
    folder: Folder, report: Callable[[str], None] = lambda _: None
) -> Iterator[LaunchLease]:
    """Hold a folder for the time of the block; `RunError` if another launch does, or takes it."""
    with LaunchLease(folder, on_lost=_interrupt, report=report) as lease:
        try:
            yield lease
        except KeyboardInterrupt:
            lease.check_held()  # says so if that was why
            raise


@contextmanager
def opened(
    sweep: Sweep, open_writer: Callable[[], WriterT], *, with_ray: bool
) -> Iterator[WriterT]:
    """A writer of the store and, `with_ray`, Ray for the time of the block. A new store takes as
    long to make as Ray to start: both at once."""
    set_environment()
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        opening = pool.submit(open_writer)
        if with_ray:
            stack.enter_context(
                ray_started(sweep.num_slots, sweep.cpus_per_cell, sweep.gpus_per_cell)
            )
        yield opening.result()


def prepare_languages(
    sweep: Sweep, corpus: Corpus
) -> tuple[dict[str, PreparedLanguage], dict[str, str]]:
    """The languages on this machine, and where a worker finds each."""
    root = sweep.local_storage / "corpora"
    protocol = sweep.protocol
    languages = prepare_corpus(
        corpus,
        sweep.train_bytes(),
        protocol.asked_val_bytes,
        protocol.asked_test_bytes,
        root,
    )
    languages = prepare_mixes(
        corpus,
        _mixes(sweep),
        languages,
        protocol.asked_val_bytes,
        protocol.asked_test_bytes,
        root,
    )
    storage = sweep.storage_folder
    locations = {
        name: str(language.folder)
        if storage.local_path is not None
        else publish_language(language.folder, root, storage)
        for name, language in languages.items()
    }
    return languages, locations


def _mixes(sweep: Sweep) -> Iterator[Mix]:
    """What is to be mixed of a sweep's languages."""
    for mixed in sweep.mixed():
        yield Mix(mixed.name, dict(mixed.mixture.shares), mixed.train_bytes, mixed.evaluated)


def smaller_evaluations(sweep: Sweep, languages: Mapping[str, PreparedLanguage]) -> str:
    """Which languages are evaluated on less than others, as they have no more; "" if none is."""
    protocol = sweep.protocol
    asked: dict[HeldOutSplit, int | None] = {
        "val": protocol.asked_val_bytes,
        "test": protocol.asked_test_bytes,
    }
    said = []
    for split, num_bytes in asked.items():
        most = at_most(split, num_bytes)
        sizes = {n: evaluation_bytes(each, split, num_bytes) for n, each in languages.items()}
        less = [
            f"{approximate_bytes(size)} of {name}" for name, size in sizes.items() if size < most
        ]
        if less:
            said.append(f"{', '.join(less)} instead of {approximate_bytes(most)} of {split}")
    return f"Evaluating on all that is held out: {'; '.join(said)}" if said else ""


def unused_gpus(sweep: Sweep) -> str:
    """That this machine has GPUs and none was asked for; "" if that is not so."""
    num = 0 if sweep.gpus_per_cell or on_cluster() else num_gpus()
    if not num:
        return ""
    named = "a GPU" if num == 1 else f"{num} GPUs"
    return f"Training on the CPU: this machine has {named}, and --gpus-per-cell asks for none"


def shared_gpus(sweep: Sweep) -> str:
    """Whether cells that share a GPU run at once, and how to have that; "" if none do. What is on
    the nodes of a cluster, which come and go, is not known here."""
    if not 0 < sweep.gpus_per_cell < 1:
        return ""
    if on_cluster():
        return (
            "Cells that share a GPU take turns, but on nodes where NVIDIA's MPS was started before "
            "Ray (docs/cluster.md#gpus)"
        )
    if mps_is_on():
        return "Cells that share a GPU run at once: NVIDIA's MPS is on"
    return (
        "Cells that share a GPU take turns: NVIDIA's MPS is off, and `nvidia-cuda-mps-control -d` "
        "starts it (docs/cluster.md#gpus)"
    )


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
