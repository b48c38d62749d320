"""One launch of a sweep: check, prepare, train the missing cells, record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raydt.config.machine import gpu_here
from raydt.config.sweep import Sweep
from raydt.corpora.preparing.notes import corpus_notes
from raydt.corpora.sources.locate import Corpus
from raydt.errors import InputError, RunError
from raydt.grid.added import added_cells, sweep_cells
from raydt.grid.cell import Cell
from raydt.grid.cost import seen_bytes, with_gpu
from raydt.grid.fence import fence
from raydt.grid.grids import record_grid
from raydt.grid.growing import GrowingSchedule
from raydt.grid.lease import LaunchLease, LeaseLostError
from raydt.grid.ledger import Ledger, begun_cells, cell_folder, record_sweep
from raydt.grid.refining import Refined, Refining
from raydt.grid.schedule import Schedule
from raydt.orchestration.cluster.runtime import on_cluster
from raydt.orchestration.grid.commit import DECIDED, Committer
from raydt.orchestration.grid.facts import headline, plan_rows
from raydt.orchestration.grid.inventory import Inventory
from raydt.orchestration.grid.outside import outside_weights
from raydt.orchestration.grid.recorder import CellRecorder
from raydt.orchestration.grid.refinement import Refinement
from raydt.orchestration.preflight import check_declaration, check_environment, check_refining
from raydt.orchestration.run.recorder import Recorder
from raydt.orchestration.shutdown import checkpoint_on_signal
from raydt.orchestration.start import (
    only_launch,
    open_store_and_ray,
    prepare_languages,
    shared_gpus,
    smaller_evaluations,
    unused_gpus,
)
from raydt.orchestration.weights import free_unneeded_weights, missing_weights
from raydt.storage.many import each
from raydt.terminal.progress import Progress
from raydt.tracking.recorded import experiment_key, is_recorded
from raydt.tracking.schema import Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer


@dataclass(frozen=True)
class Launch:
    """The outcome of a launch: the status of every cell, the number of trained cells, cells that
    are not in MLflow yet (with the reason), the MLflow experiment (None if there was nothing to
    write), and the outcome of a refinement."""

    statuses: Mapping[str, Status]
    num_trained: int
    not_recorded: Mapping[str, str]
    experiment_id: str | None = None
    refined: Refined | None = None

    @property
    def whole(self) -> bool:
        """Whether every cell is done."""
        return all(status is Status.DONE for status in self.statuses.values())


def launch(sweep: Sweep, progress: Progress, refining: Refining | None = None) -> Launch:
    """Train the missing cells of `sweep`; done cells are kept. With `refining`, then train the
    seeds that it adds.

    Raises `InputError` before anything is written if the sweep cannot run, and `RunError` if
    another launch of it is running, or took it over. Failed cells are in the returned statuses.
    """
    corpus, problems = check_declaration(sweep)
    problems += check_environment(sweep)
    if refining is not None:
        problems += check_refining(sweep)
    if problems or corpus is None:
        raise InputError(problems)
    with only_launch(sweep.folder, progress.print) as lease:
        return _launch(sweep, corpus, progress, lease, refining)


def _launch(
    sweep: Sweep,
    corpus: Corpus,
    progress: Progress,
    lease: LaunchLease,
    refining: Refining | None = None,
) -> Launch:
    progress.print(f"Preparing {sweep.corpus}: {', '.join(sweep.train_bytes())}")
    languages, locations = prepare_languages(sweep, corpus)
    outside = outside_weights(sweep)
    smaller = smaller_evaluations(sweep, languages)
    if smaller:
        progress.print(smaller)
    for about_gpus in (unused_gpus(sweep), shared_gpus(sweep)):
        if about_gpus:
            progress.print(about_gpus)
    for note in corpus_notes(corpus, languages):
        progress.print(f"Note: {note}", style="yellow")
    all_cells = sweep_cells(sweep)
    if lease.was_cut_off:
        begun = begun_cells(sweep, [cell.cell_id for cell in all_cells])
        folders = [cell_folder(sweep, cell_id) for cell_id in begun]
        fence(folders, lease.launch_id, sweep.folder)
        lease.has_fenced()
    ledger = Ledger.read(sweep, all_cells)
    committer = Committer(sweep.folder, lease.launch_id)
    priced = sweep if on_cluster() else with_gpu(sweep, gpu_here())
    inventory = Inventory(
        sweep,
        languages,
        locations,
        lease.launch_id,
        priced,
        ledger.flops_per_second(priced),
        seen_bytes(all_cells, ledger.results),
        outside,
    )
    inventory.add(all_cells)
    inventory.added_for |= {cell_id: added.why for cell_id, added in added_cells(sweep).items()}
    cells = inventory.cells
    ledger.check_fingerprints(inventory.fingerprints)
    record_sweep(sweep)
    record_grid(sweep)
    ledger = _adopt(sweep, cells, inventory.fingerprints, ledger, committer)
    decided = [c for c, result in ledger.results.items() if result.status in DECIDED]
    settled = {*decided, *ledger.cancelled}
    missing = [
        cell
        for cell_id, cell in cells.items()
        if cell_id not in settled and not _is_blocked(cell, ledger)
    ]
    problems = missing_weights(sweep, missing, ledger)
    if problems:
        raise InputError(problems)
    experiment = experiment_key(sweep.store_uri, sweep.name)

    def is_there(cell_id: str) -> bool:
        attempt = ledger.results[cell_id].attempt
        return is_recorded(cell_folder(sweep, cell_id), sweep.store_uri, experiment, attempt)

    there = dict(zip(decided, each(is_there, decided, sweep.folder), strict=True))
    unrecorded = [cell_id for cell_id in decided if not there[cell_id]]
    refinement, first = None, []
    if refining is not None:
        gone = cells.keys() - {*decided} - {cell.cell_id for cell in missing}
        results = {cell_id: ledger.results[cell_id] for cell_id in decided}
        refinement = Refinement(
            refining, sweep, cells, results, gone, inventory.expected_seconds, lease.check_held
        )
        if not missing:
            # Find out whether there is anything to train at all.
            first = inventory.grow(refinement.next_cells())
    not_recorded: Mapping[str, str] = {}
    experiment_id = None
    num_before = len(cells) - len(first)
    if missing or unrecorded or first:
        for cell in missing:
            # A failed cell is tried again; its result is kept beside its journal.
            committer.make_room(cell_folder(sweep, cell.cell_id), ledger.results.get(cell.cell_id))
        not_recorded, experiment_id = _train(
            sweep, inventory, ledger, missing, unrecorded, progress, lease, refinement, first
        )
    num_added = len(cells) - num_before
    if missing or num_added:
        ledger = Ledger.read(sweep, cells.values())
    if sweep.keep_weights == "none":
        committer.check_held()
        free_unneeded_weights(sweep, cells, ledger)
    return Launch(
        {cell_id: ledger.status(cell) for cell_id, cell in cells.items()},
        len(missing) + num_added,
        not_recorded,
        experiment_id,
        refinement.refined if refinement is not None else None,
    )


def _adopt(
    sweep: Sweep,
    cells: Mapping[str, Cell],
    fingerprints: Mapping[str, str],
    ledger: Ledger,
    committer: Committer,
) -> Ledger:
    """Commit cells whose training finished after their driver was killed."""
    adopted = [
        committer.commit(cell_folder(sweep, cell_id), fingerprints[cell_id])
        for cell_id in cells
        if cell_id in ledger.begun and cell_id not in ledger.results
    ]
    return Ledger.read(sweep, cells.values()) if any(adopted) else ledger


def _is_blocked(cell: Cell, ledger: Ledger) -> bool:
    """Whether the parent cell ended without weights, or was cancelled."""
    if cell.parent_id in ledger.cancelled:
        return True
    parent = ledger.results.get(cell.parent_id or "")
    return parent is not None and parent.status in DECIDED and parent.status is not Status.DONE


def _train(
    sweep: Sweep,
    inventory: Inventory,
    ledger: Ledger,
    missing: list[Cell],
    unrecorded: list[str],
    progress: Progress,
    lease: LaunchLease,
    refinement: Refinement | None,
    first: list[Cell],
) -> tuple[Mapping[str, str], str]:
    """Train the cells; returns those that are not in MLflow yet, and the experiment's id."""
    cells, fingerprints = inventory.cells, inventory.fingerprints

    def open_writer() -> Writer:
        client = open_store(sweep.store_uri)
        writer = Writer(client, sweep.store_uri, sweep.name, lease.check_held)
        plan = plan_rows(cells.values(), fingerprints)
        writer.start_launch(plan, sweep.model_dump(mode="json"), "Running.")
        return writer

    with open_store_and_ray(sweep, open_writer, with_ray=bool(missing or first)) as writer:
        recorder = Recorder()
        recorded_cells = CellRecorder(
            recorder, writer, sweep, cells, fingerprints, inventory.added_for
        )

        def more(lost: frozenset[str]) -> list[Cell]:
            assert refinement is not None
            try:
                added = refinement.next_cells(lost)
            except LeaseLostError:
                return []  # the lease interrupts the launch
            new = inventory.grow(added)
            if new:
                progress.added(new, added[0].why)
                plan = plan_rows(list(cells.values()), dict(fingerprints))
                recorder.put("the plan", lambda: writer.change_plan(plan))
            return new

        recorder.start()
        for cell_id in sorted(ledger.cancelled):
            recorded_cells.cancelled(cell_id)  # cancelled while no launch was running
        for cell_id in [c for c in cells if c in unrecorded]:  # parents before children
            recorded_cells.ended(cell_id, ledger.results[cell_id])
        try:
            if missing or first:
                schedule = Schedule(missing, inventory.seconds)
                if refinement is not None:
                    schedule = GrowingSchedule(missing, inventory.seconds, more, first)
                with checkpoint_on_signal(sweep, cells, lease.launch_id, progress.print):
                    _run(sweep, inventory, [*missing, *first], schedule, progress, recorded_cells)
        finally:
            progress.end()
            recorder.finish("this launch", lambda: _end(sweep, cells, writer))
    return recorder.not_recorded, writer.experiment_id


def _end(sweep: Sweep, cells: Mapping[str, Cell], writer: Writer) -> None:
    """End the launch's run in the store, with its outcome."""
    try:
        final = Ledger.read(sweep, cells.values())
    except (OSError, RunError) as error:
        # If the storage is unreachable, the launch must not stay "running" in the store forever.
        writer.end_launch(f"The storage could not be read: {error}", False, {})
        return
    num_done = sum(final.status(cell) is Status.DONE for cell in cells.values())
    note = (
        f"**{num_done} of {len(cells)} cells done.** `raydt analyze` writes the answer "
        "here, and the report into this run's artifacts."
    )
    writer.end_launch(note, num_done == len(cells), headline(cells.values(), final))


def _run(
    sweep: Sweep,
    inventory: Inventory,
    to_do: list[Cell],
    schedule: Schedule,
    progress: Progress,
    recorder: CellRecorder,
) -> None:
    # Imported here because Ray's environment must be set first.
    from raydt.orchestration.grid.policy import GridPolicy
    from raydt.orchestration.run.fan_out import fan_out
    from raydt.orchestration.run.room import tasks_at_once

    cells = list(inventory.cells.values())
    progress.begin(cells, to_do, inventory.seconds, tasks_at_once(sweep), on_cluster())
    with GridPolicy(sweep, schedule, inventory.tasks, progress, recorder) as policy:
        fan_out(policy, sweep.folder, sweep.max_retries)
