"""Checks before anything starts. They need no Ray, and torch only for GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable

from raydt.config.machine import gpu_places, num_gpus
from raydt.config.sweep import Sweep
from raydt.corpora.preparing.prepare import check_prepared
from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.locate import Corpus, locate
from raydt.corpora.spec import parse_corpus
from raydt.errors import InputError, Problem
from raydt.grid.added import sweep_cells
from raydt.grid.ledger import check_name_is_free
from raydt.orchestration.cluster.runtime import check_cluster, on_cluster
from raydt.orchestration.grid.outside import check_outside
from raydt.storage.opening import is_remote
from raydt.tracking.schema import Stage
from raydt.tracking.store import check_store_uri, check_writable
from raydt.tracking.system_metrics import sampling_seconds


def check_declaration(sweep: Sweep) -> tuple[Corpus | None, list[Problem]]:
    """The corpus (None if it is not valid), and the problems of the sweep itself: its corpus,
    languages, checkpoints and name."""
    corpus, problems = check_languages(sweep)
    problems += check_outside(sweep)
    try:
        check_name_is_free(sweep)
    except InputError as error:
        problems += error.problems
    return corpus, problems


def check_languages(sweep: Sweep) -> tuple[Corpus | None, list[Problem]]:
    """The corpus, and the problems of it and of its languages.

    The corpus is looked up only here, and passed on to what follows.
    """
    try:
        corpus = locate(parse_corpus(sweep.corpus))
    except InputError as error:
        return None, list(error.problems)
    protocol = sweep.protocol
    asked = (corpus, sweep.train_bytes(), protocol.asked_val_bytes, protocol.asked_test_bytes)
    return corpus, check_corpus(*asked) or check_prepared(*asked, sweep.local_storage / "corpora")


def check_environment(sweep: Sweep) -> list[Problem]:
    """Problems of the sweep's environment: the cluster or the machine, the storage and the MLflow
    store."""
    here = _problems_of(check_cluster) + _check_machine(sweep)
    return here + _check_stores(sweep) + _problems_of(sampling_seconds)


def check_refining(sweep: Sweep) -> list[Problem]:
    """With a single seed the noise is unknown, and so are all intervals."""
    if sweep.checkpoints:
        requirement = "sources that are pretrained, as a checkpoint has no second seed"
        return [Problem("--until", requirement, str(next(iter(sweep.checkpoints.values()))))]
    seeds = {cell.seed for cell in sweep_cells(sweep) if cell.stage is Stage.SCRATCH}
    if len(seeds) > 1:
        return []
    needed = "at least two --seeds to start with, as one does not show the noise"
    return [Problem("--until", needed, f"{len(seeds)} in the sweep {sweep.name}")]


def _problems_of(check: Callable[[], object]) -> list[Problem]:
    try:
        check()
    except InputError as error:
        return list(error.problems)
    return []


def _check_machine(sweep: Sweep) -> list[Problem]:
    """Problems of cells that do not fit on this machine and would wait forever. On a cluster this
    is not checked here: it may grow, and its head may differ from its workers."""
    if on_cluster():
        return []
    if sweep.gpus_per_cell:
        from raydt.orchestration.run.device import why_no_cuda

        reason = why_no_cuda()
        if reason is not None:
            wanted, _, found = reason.removeprefix("expected ").partition(", got ")
            return [Problem("gpus_per_cell", wanted, found)]
        places = gpu_places(num_gpus(), sweep.gpus_per_cell)
        if sweep.workers > places:
            wanted = f"at most {places}, one for each GPU of this machine"
            return [Problem("workers", wanted, str(sweep.workers))]
    places = sweep.num_slots
    if sweep.workers > places:
        cores = "a core" if sweep.cpus_per_cell == 1 else f"{sweep.cpus_per_cell} cores"
        wanted = f"at most {places}, the slots of this machine ({cores} for each; --slots)"
        return [Problem("workers", wanted, str(sweep.workers))]
    return []


def _check_stores(sweep: Sweep) -> list[Problem]:
    problems = check_writable("storage", sweep.local_storage)
    if not problems and is_remote(sweep.storage):
        problems = _check_object_store(sweep)
    return problems or check_store_uri(sweep.store_uri)


def _check_object_store(sweep: Sweep) -> list[Problem]:
    name = f".raydt-probe-{os.getpid()}"
    try:
        is_fit = sweep.storage_folder.supports_swap(name)
    except OSError as error:
        return [Problem("storage", "an object store that can be written to", str(error))]
    if is_fit:
        return []
    return [
        Problem(
            "storage",
            "an object store with conditional writes (If-None-Match and If-Match), without which "
            "two launches could train and write results at the same time",
            "one that ignores these conditions",
        )
    ]
