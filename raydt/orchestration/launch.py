"""One launch of a sweep: check, prepare, train what is missing, record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from raydt.config.sweep import Sweep
from raydt.corpora.prepare import prepare_corpus
from raydt.corpora.spec import parse_corpus
from raydt.errors import InputError, RunError
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.cost import cell_cost
from raydt.grid.journal import RESULT, write_atomically
from raydt.grid.ledger import Ledger, record_sweep
from raydt.orchestration.preflight import check_declaration, check_surroundings
from raydt.orchestration.recorder import Recorder
from raydt.orchestration.runtime import ray_started, set_environment
from raydt.orchestration.task import build_tasks
from raydt.terminal.progress import Progress
from raydt.tracking.schema import PLAN_FIELDS, Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer, is_recorded

# A loss that was not finite is the cell's result: training it again would end the same.
_DECIDED = (Status.DONE, Status.DIVERGED)


@dataclass(frozen=True)
class Launch:
    """What a launch came to: the status of every cell, and cells whose numbers wait for MLflow."""

    statuses: Mapping[str, Status]
    num_trained: int
    not_recorded: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """Every cell is done."""
        return all(status is Status.DONE for status in self.statuses.values())


def launch(sweep: Sweep, progress: Progress) -> Launch:
    """Train every cell of `sweep` that is missing; what is done stays as it is.

    Raises `InputError` before anything is written if the sweep is not possible, and `RunError` if
    another launch of it is running. Cells that fail are in the returned statuses.
    """
    problems = check_declaration(sweep) + check_surroundings(sweep)
    if problems:
        raise InputError(problems)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(sweep.folder / "launch.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"sweep {sweep.name!r}: one launch at a time is required; another one is at work in "
            f"{sweep.folder}"
        ) from None
    with lock:
        return _launch(sweep, progress)


def _launch(sweep: Sweep, progress: Progress) -> Launch:
    progress.say(f"Preparing {sweep.corpus}: {', '.join(sweep.train_bytes())}")
    protocol = sweep.protocol
    languages = prepare_corpus(
        parse_corpus(sweep.corpus),
        sweep.train_bytes(),
        protocol.val_bytes.num_bytes,
        protocol.test_bytes.num_bytes,
        sweep.storage.expanduser().resolve() / "corpora",
    )
    cells = {cell.cell_id: cell for cell in build_grid(sweep)}
    tasks = build_tasks(list(cells.values()), sweep, languages)
    ledger = Ledger.read(sweep, cells.values())
    ledger.check_fingerprints({cell_id: task["fingerprint"] for cell_id, task in tasks.items()})
    record_sweep(sweep)
    decided = {c for c, result in ledger.results.items() if result["status"] in _DECIDED}
    blocked = {
        cell_id
        for cell_id, cell in cells.items()
        if cell_id not in decided and cell.parent_id in decided
        and ledger.results[cell.parent_id]["status"] != Status.DONE
    }  # fmt: skip
    missing = [c for cell_id, c in cells.items() if cell_id not in decided | blocked]
    unrecorded = {c for c in decided if not is_recorded(Path(tasks[c]["folder"]), sweep.store_uri)}
    not_recorded: Mapping[str, str] = {}
    if missing or unrecorded:
        for cell in missing:
            # A failed cell is tried again; its result stays beside its journal.
            _set_aside_result(Path(tasks[cell.cell_id]["folder"]), ledger.results.get(cell.cell_id))
        not_recorded = _train(sweep, cells, tasks, ledger, missing, unrecorded, progress)
    final = Ledger.read(sweep, cells.values())
    return Launch(
        {cell_id: final.status(cell) for cell_id, cell in cells.items()},
        len(missing),
        not_recorded,
    )


def _train(
    sweep: Sweep,
    cells: Mapping[str, Cell],
    tasks: Mapping[str, dict[str, Any]],
    ledger: Ledger,
    missing: list[Cell],
    unrecorded: set[str],
    progress: Progress,
) -> Mapping[str, str]:
    num_slots = sweep.num_slots
    rates = ledger.flops_per_second()
    seconds = {c: cell_cost(cell, sweep, rates).seconds for c, cell in cells.items()}
    set_environment()

    def open_writer() -> Writer:
        writer = Writer(open_store(sweep.store_uri), sweep.store_uri, sweep.name)
        plan = _plan(cells.values(), tasks)
        writer.start_launch(plan, sweep.model_dump(mode="json"), "Running.")
        return writer

    # A new store takes as long to make as Ray to start; both at once.
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        opening = pool.submit(open_writer)
        if missing:
            stack.enter_context(ray_started(num_slots, sweep.cpus_per_cell, sweep.gpus_per_cell))
            from raydt.orchestration.fan_out import fan_out
        writer = opening.result()
        recorder = Recorder(writer, sweep, cells, tasks)
        recorder.start()
        for cell_id in unrecorded:
            recorder.ended(cell_id, ledger.results[cell_id])
        try:
            if missing:
                progress.begin(list(cells.values()), missing, seconds, num_slots)
                fan_out(sweep, missing, tasks, seconds, progress, recorder)
        finally:
            progress.end()
            statuses = Ledger.read(sweep, cells.values())
            num_done = sum(statuses.status(cell) is Status.DONE for cell in cells.values())
            recorder.finish(
                f"{num_done} of {len(cells)} cells done. `raydt analyze` writes the report into "
                "this run's artifacts.",
                whole=num_done == len(cells),
            )
    return recorder.not_recorded


def _set_aside_result(folder: Path, result: Mapping[str, Any] | None) -> None:
    if result is not None:
        write_atomically(folder / "attempts" / f"{result['attempt']}.{RESULT}", result)
        (folder / RESULT).unlink()


def _plan(cells: Iterable[Cell], tasks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    plan = []
    for cell in cells:
        values = (
            cell.cell_id, cell.stage, cell.source, cell.target, cell.size.label,
            cell.size.num_bytes, cell.seed, cell.model, cell.parent_id,
            tasks[cell.cell_id]["fingerprint"],
        )  # fmt: skip
        plan.append(dict(zip(PLAN_FIELDS, values, strict=True)))
    return plan
