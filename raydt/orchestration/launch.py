"""One launch of a sweep: check, prepare, train what is missing, record."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from raydt.config.sweep import Sweep
from raydt.corpora.prepared.evaluation import HeldOutSplit, at_most, evaluation_bytes
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.prepare import prepare_corpus
from raydt.corpora.sources.locate import Corpus
from raydt.errors import InputError
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.cost import cell_costs, seen_bytes, workers_of
from raydt.grid.lease import LaunchLease
from raydt.grid.ledger import Ledger, cell_folder, record_sweep
from raydt.orchestration.commit import DECIDED, commit, make_room
from raydt.orchestration.facts import headline, plan_rows
from raydt.orchestration.languages import publish_language
from raydt.orchestration.preflight import check_declaration, check_surroundings
from raydt.orchestration.recorder import Recorder
from raydt.orchestration.runtime import on_cluster, ray_started, set_environment
from raydt.orchestration.task import build_tasks
from raydt.terminal.progress import Progress
from raydt.tracking.recorded import experiment_key, is_recorded
from raydt.tracking.schema import Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer
from raydt.units import approximate_bytes


@dataclass(frozen=True)
class Launch:
    """What a launch came to: the status of every cell, cells whose numbers wait for MLflow, and the
    experiment in MLflow, None where nothing was to be written."""

    statuses: Mapping[str, Status]
    num_trained: int
    not_recorded: Mapping[str, str]
    experiment_id: str | None = None

    @property
    def whole(self) -> bool:
        """Every cell is done."""
        return all(status is Status.DONE for status in self.statuses.values())


def launch(sweep: Sweep, progress: Progress) -> Launch:
    """Train every cell of `sweep` that is missing; what is done stays as it is.

    Raises `InputError` before anything is written if the sweep is not possible, and `RunError` if
    another launch of it is running, or took it over. Cells that fail are in the returned statuses.
    """
    corpus, problems = check_declaration(sweep)
    problems += check_surroundings(sweep)
    if problems or corpus is None:
        raise InputError(problems)
    with LaunchLease(sweep.folder, on_lost=interrupt) as lease:
        try:
            return _launch(sweep, corpus, progress, lease)
        except KeyboardInterrupt:
            lease.check_held()  # says so if that was why
            raise


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _launch(sweep: Sweep, corpus: Corpus, progress: Progress, lease: LaunchLease) -> Launch:
    progress.say(f"Preparing {sweep.corpus}: {', '.join(sweep.train_bytes())}")
    languages, locations = prepare_languages(sweep, corpus)
    smaller = smaller_evaluations(sweep, languages)
    if smaller:
        progress.say(smaller)
    cells = {cell.cell_id: cell for cell in build_grid(sweep)}
    ledger = Ledger.read(sweep, cells.values())
    rates = ledger.flops_per_second()
    costs = cell_costs(cells.values(), sweep, rates, seen_bytes(cells.values(), ledger.results))
    seconds = {cell_id: cost.seconds for cell_id, cost in costs.items()}
    num_workers = {c: workers_of(cell, sweep, seconds[c]) for c, cell in cells.items()}
    tasks = build_tasks(
        list(cells.values()), sweep, languages, locations, num_workers, lease.launch_id
    )
    fingerprints = {cell_id: task["fingerprint"] for cell_id, task in tasks.items()}
    ledger.check_fingerprints(fingerprints)
    record_sweep(sweep)
    ledger = _adopt(sweep, cells, fingerprints, ledger)
    decided = {c for c, result in ledger.results.items() if result["status"] in DECIDED}
    missing = [
        cell
        for cell_id, cell in cells.items()
        if cell_id not in decided | ledger.cancelled and not _hopeless(cell, ledger)
    ]
    experiment = experiment_key(sweep.store_uri, sweep.name)
    unrecorded = {
        c
        for c in decided
        if not is_recorded(cell_folder(sweep, c), sweep.store_uri, experiment)
    }  # fmt: skip
    not_recorded: Mapping[str, str] = {}
    experiment_id = None
    if missing or unrecorded:
        for cell in missing:
            # A failed cell is tried again; its result stays beside its journal.
            result = ledger.results.get(cell.cell_id)
            make_room(cell_folder(sweep, cell.cell_id), None if result is None else dict(result))
        not_recorded, experiment_id = _train(
            sweep, cells, tasks, seconds, ledger, missing, unrecorded, progress
        )  # fmt: skip
    final = Ledger.read(sweep, cells.values())
    return Launch(
        {cell_id: final.status(cell) for cell_id, cell in cells.items()},
        len(missing),
        not_recorded,
        experiment_id,
    )


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
    storage = sweep.storage_folder
    locations = {
        name: str(language.folder)
        if storage.local_path is not None
        else publish_language(language.folder, root, storage)
        for name, language in languages.items()
    }
    return languages, locations


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


def _adopt(
    sweep: Sweep, cells: Mapping[str, Cell], fingerprints: Mapping[str, str], ledger: Ledger
) -> Ledger:
    """Cells whose training came to its end after their driver was killed are done all the same."""
    adopted = [
        commit(cell_folder(sweep, cell_id), fingerprints[cell_id])
        for cell_id in cells
        if cell_id not in ledger.results
    ]
    return Ledger.read(sweep, cells.values()) if any(adopted) else ledger


def _hopeless(cell: Cell, ledger: Ledger) -> bool:
    """Whether what the cell starts from is decided, and not done, or is not to be trained."""
    if cell.parent_id in ledger.cancelled:
        return True
    parent = ledger.results.get(cell.parent_id or "")
    return parent is not None and parent["status"] in DECIDED and parent["status"] != Status.DONE


def _train(
    sweep: Sweep,
    cells: Mapping[str, Cell],
    tasks: Mapping[str, dict[str, Any]],
    seconds: Mapping[str, float],
    ledger: Ledger,
    missing: list[Cell],
    unrecorded: set[str],
    progress: Progress,
) -> tuple[Mapping[str, str], str]:
    """Cells whose numbers wait for MLflow, and the experiment that has the others."""
    fingerprints = {cell_id: task["fingerprint"] for cell_id, task in tasks.items()}
    set_environment()

    def open_writer() -> Writer:
        writer = Writer(open_store(sweep.store_uri), sweep.store_uri, sweep.name)
        plan = plan_rows(cells.values(), fingerprints)
        writer.start_launch(plan, sweep.model_dump(mode="json"), "Running.")
        return writer

    # A new store takes as long to make as Ray to start; both at once.
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        opening = pool.submit(open_writer)
        if missing:
            stack.enter_context(
                ray_started(sweep.num_slots, sweep.cpus_per_cell, sweep.gpus_per_cell)
            )
            from raydt.orchestration.fan_out import cells_at_once, fan_out
        writer = opening.result()
        recorder = Recorder(writer, sweep, cells, fingerprints)
        recorder.start()
        for cell_id in unrecorded:
            recorder.ended(cell_id, ledger.results[cell_id])
        try:
            if missing:
                progress.begin(
                    list(cells.values()), missing, seconds, cells_at_once(sweep), on_cluster()
                )
                fan_out(sweep, missing, tasks, seconds, progress, recorder)
        finally:
            progress.end()
            final = Ledger.read(sweep, cells.values())
            num_done = sum(final.status(cell) is Status.DONE for cell in cells.values())
            recorder.finish(
                f"**{num_done} of {len(cells)} cells done.** `raydt analyze` writes the answer "
                "here, and the report into this run's artifacts.",
                whole=num_done == len(cells),
                headline=headline(cells.values(), final),
            )
    return recorder.not_recorded, writer.experiment_id
