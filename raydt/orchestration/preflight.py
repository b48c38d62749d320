"""What can be known to be wrong before anything starts; needs no Ray, and torch for GPUs alone."""

from __future__ import annotations

import os

from raydt.config.sweep import Sweep
from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.locate import Corpus, locate
from raydt.corpora.spec import parse_corpus
from raydt.errors import InputError, Problem
from raydt.grid.ledger import check_name_is_free
from raydt.orchestration.cluster.runtime import on_cluster
from raydt.storage.opening import is_remote
from raydt.tracking.store import check_store_uri, check_writable


def check_declaration(sweep: Sweep) -> tuple[Corpus | None, list[Problem]]:
    """The corpus as it is found, None if no such is to be had, and the problems of the sweep
    itself: its corpus and languages, and its name."""
    corpus, problems = check_languages(sweep)
    try:
        check_name_is_free(sweep)
    except InputError as error:
        problems += error.problems
    return corpus, problems


def check_languages(sweep: Sweep) -> tuple[Corpus | None, list[Problem]]:
    """The corpus as it is found, and the problems of it and of its languages.

    Here it is looked at; what follows is given what was found.
    """
    try:
        corpus = locate(parse_corpus(sweep.corpus))
    except InputError as error:
        return None, list(error.problems)
    protocol = sweep.protocol
    problems = check_corpus(
        corpus,
        sweep.train_bytes(),
        protocol.asked_val_bytes,
        protocol.asked_test_bytes,
    )
    return corpus, problems


def check_surroundings(sweep: Sweep) -> list[Problem]:
    """Problems of where the sweep would run: its GPUs, its storage and its MLflow store."""
    return _check_gpus(sweep) + _check_stores(sweep)


def _check_gpus(sweep: Sweep) -> list[Problem]:
    # The head of a cluster need not have what its workers have; they find out by themselves.
    if sweep.gpus_per_cell == 0 or on_cluster():
        return []
    from raydt.orchestration.run.device import why_no_cuda

    reason = why_no_cuda()
    if reason is None:
        return []
    wanted, _, found = reason.partition(", got ")
    return [Problem("gpus_per_cell", wanted, found)]


def _check_stores(sweep: Sweep) -> list[Problem]:
    problems = check_writable("storage", sweep.local_storage)
    if not problems and is_remote(sweep.storage):
        problems = _check_object_store(sweep)
    return problems or check_store_uri(sweep.store_uri)


def _check_object_store(sweep: Sweep) -> list[Problem]:
    name = f".raydt-probe-{os.getpid()}"
    try:
        sweep.storage_folder.write(name, b"")
        sweep.storage_folder.remove(name)
    except OSError as error:
        return [Problem("storage", "an object store that can be written to", str(error))]
    return []
