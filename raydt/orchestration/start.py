"""The first steps of every launch: take the lease, prepare the languages, open the store and start
Ray."""

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
    """Hold the lease of a folder inside the `with` block; `RunError` if another launch holds it, or
    takes it over."""
    with LaunchLease(folder, on_lost=_interrupt, report=report) as lease:
        try:
            yield lease
        except KeyboardInterrupt:
            lease.check_held()  # raises if the lost lease was the reason
            raise


@contextmanager
def open_store_and_ray(
    sweep: Sweep, open_writer: Callable[[], WriterT], *, with_ray: bool
) -> Iterator[WriterT]:
    """Open a writer of the store and, `with_ray`, run Ray inside the `with` block. Both are started
    in parallel, because creating a store takes as long as starting Ray."""
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
    """The prepared languages, and the URI of each for workers."""
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
    """The mixtures to prepare for a sweep."""
    for mixed in sweep.mixed():
        yield Mix(mixed.name, dict(mixed.mixture.shares), mixed.train_bytes, mixed.evaluated)


def smaller_evaluations(sweep: Sweep, languages: Mapping[str, PreparedLanguage]) -> str:
    """A note on languages that are evaluated on fewer bytes because they have no more, or ""."""
    protocol = sweep.protocol
    asked: dict[HeldOutSplit, int | None] = {
        "val": protocol.asked_val_bytes,
        "test": protocol.asked_test_bytes,
    }
    notes = []
    for split, num_bytes in asked.items():
        most = at_most(split, num_bytes)
        sizes = {n: evaluation_bytes(each, split, num_bytes) for n, each in languages.items()}
        less = [
            f"{approximate_bytes(size)} of {name}" for name, size in sizes.items() if size < most
        ]
        if less:
            notes.append(f"{', '.join(less)} instead of {approximate_bytes(most)} of {split}")
    return f"Smaller evaluation splits: {'; '.join(notes)}" if notes else ""


def unused_gpus(sweep: Sweep) -> str:
    """A note if this machine has GPUs and the sweep does not use them, or ""."""
    num = 0 if sweep.gpus_per_cell or on_cluster() else num_gpus()
    if not num:
        return ""
    named = "a GPU" if num == 1 else f"{num} GPUs"
    return f"Training on the CPU: this machine has {named}, but --gpus-per-cell is 0"


def shared_gpus(sweep: Sweep) -> str:
    """A note on whether cells that share a GPU run in parallel, or "" if none share one. The nodes
    of a cluster come and go, so their state is not known here."""
    if not 0 < sweep.gpus_per_cell < 1:
        return ""
    if on_cluster():
        return (
            "Cells that share a GPU take turns, except on nodes where NVIDIA's MPS was started "
            "before Ray (docs/cluster.md#gpus)"
        )
    if mps_is_on():
        return "Cells that share a GPU run in parallel: NVIDIA's MPS is on"
    return (
        "Cells that share a GPU take turns: NVIDIA's MPS is off (`nvidia-cuda-mps-control -d` "
        "starts it, docs/cluster.md#gpus)"
    )


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
