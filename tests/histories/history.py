"""One history: launches, workers and people, what may go wrong, and what must hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raydt.config.sweep import Sweep
from raydt.errors import InputError, RunError
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal_rows import EndRow, ReportRow, StartRow, row_of
from raydt.orchestration import launch as launch_module
from raydt.orchestration import start as start_module
from raydt.orchestration.cells import cancel_cells, remove_cells, retry_cells
from raydt.orchestration.sync import sync_store
from raydt.tracking.schema import METRIC_TEST_LOSS, METRIC_VAL_LOSS, Stage, Status
from tests.histories.disk import Disk
from tests.histories.memory import Memory
from tests.histories.model_mlflow import ModelStore
from tests.histories.sqlite_mlflow import SqliteStore
from tests.histories.wiring import NUM_STEPS, Quiet, loss_of, now
from tests.histories.world import Faults, Process, ViolationError, World

SWEEP = Sweep(
    sources=("related",),
    targets=("alba",),
    sizes=("2k",),
    seeds=(0,),
    name="x",
    storage="s3://x",
    tracking_uri="http://127.0.0.1:9",
    slots=2,
    max_retries=1,
)
CELLS = build_grid(SWEEP)
_CELLS = "x/x/cells/"
_RESULT = "/result.json"
MODEL_FILES = {"MLmodel", "model.json", "requirements.txt", "weights.safetensors"}
_SHARE_OF_DISKS = 0.15  # of the storages; the others are object stores
_MOST_LAUNCHES = 6  # until all is done, once nothing is disturbed any more


class History:
    """Made by `run`, from its seed alone."""

    def __init__(
        self,
        seed: int,
        cache: Path,
        faults: Faults | None = None,
        make_store: Callable[[World], ModelStore | SqliteStore] = ModelStore,
    ) -> None:
        self.seed = seed
        self.world = World(seed, faults)
        self.memory = Memory(self.world, self._watch)
        self.disk = Disk(cache / "disk") if self.world.random.random() < _SHARE_OF_DISKS else None
        if self.disk is not None:
            self.disk.at_sync = self.world.in_the_middle
            self.world.lose_power = self._lose_power
        self.store = make_store(self.world)
        self._at_work: list[str] = []  # launches that have read the ledger, the newest last
        self._launch_of: dict[int, str] = {}  # by pid
        self._asked: set[int] = set()  # pids of people who asked for results to go
        self._num_begun = 0  # that make a run in MLflow for what they do: drivers, and sync
        self._num_whole = 0  # of those came to their end, with all of it recorded
        self._num_launches = 0  # of drivers
        self._cache = cache
        now.world, now.memory, now.store = self.world, self.memory, self.store
        now.disk, now.cache, now.tasks, now.edition = self.disk, cache, {}, 0

    def run(self) -> None:
        """Raises `ViolationError`, with the seed and the story."""
        try:
            self._disturbed()
            self._undisturbed()
            self._check_end()
        except Exception as error:
            story = "\n".join(self.world.story[-150:])
            raise ViolationError(
                f"history {self.seed}: {type(error).__name__}: {error}\n{story}"
            ) from error
        finally:
            for process in self.world.processes:
                process.is_alive = False
            shutil.rmtree(self._cache, ignore_errors=True)

    # What happens

    def _disturbed(self) -> None:
        world = self.world
        drawn = world.random
        self._launch("L0")
        people: dict[str, Callable[[int], Process]] = {
            "launch": self._another_launch,
            "retry": self._retry,
            "cancel": self._cancel,
            "remove": self._remove,
            "sync": self._sync,
        }
        for number in range(1, drawn.choice((1, 2, 3, 5))):
            self._pass(drawn.choice((0.5, 3.0, 20.0, 120.0, 500.0)))
            people[drawn.choice(world.faults.people)](number)
        self._pass(drawn.choice((5.0, 200.0)))

    def _undisturbed(self) -> None:
        """Faults are over, drivers die, and launches follow each other until all is done. Workers
        and drivers that are paused wake afterwards, or in between."""
        world = self.world
        world.is_quiet = True
        for process in world.processes:
            if process.is_alive and process.paused_until <= world.now:
                world.kill(process)
        nobody_wakes = not any(process.is_alive for process in world.processes)
        if nobody_wakes and all(self._status(c.cell_id) in (None, "failed") for c in CELLS):
            now.edition += 1  # of what is not done yet the text may be changed
            world.tell("the text is changed", world.processes[0])
        for number in range(_MOST_LAUNCHES):
            if any(key.endswith("/cancelled.json") for key in self.memory.files):
                uncancel = self._person(
                    f"uncancel{number}", lambda: retry_cells(SWEEP, CELLS, done_too=False)
                )
                world.run(lambda uncancel=uncancel: not uncancel.is_alive)
            num_launches = self._num_launches
            process = self._launch(f"Z{number}", SWEEP)
            world.run(lambda process=process: not process.is_alive)
            if self._num_launches > num_launches and all(
                self._status(cell.cell_id) == "done" for cell in CELLS
            ):
                break
            self._pass(100.0)
        else:
            raise ViolationError("launch after launch, and not all cells are done")
        if any(process.is_alive for process in world.processes):
            world.run(lambda: False)  # whoever was paused wakes
            # What was left by those is the next launch's business.
            process = self._launch("Z-last", SWEEP)
            world.run(lambda: not process.is_alive)
        world.run(lambda: False)

    def _pass(self, seconds: float) -> None:
        end = self.world.now + seconds
        self.world.start("time", "", lambda: self.world.sleep(seconds), may_be_hurt=False)
        self.world.run(lambda: self.world.now >= end)

    def _launch(self, name: str, sweep: Sweep = SWEEP) -> Process:
        def work() -> None:
            with start_module.only_launch(sweep.folder, now.world.tell) as lease:
                self._launch_of[now.world.process.pid] = lease.launch_id
                self._num_begun += 1
                now.world.tell(f"holds the sweep as {lease.launch_id}")
                came = launch_module._launch(sweep, None, Quiet(), lease)  # type: ignore[arg-type]
                if not came.not_recorded:
                    self._num_whole += 1
                    self._num_launches += 1

        machine = self.world.random.choice(("m1", "m2"))
        return self.world.start(name, machine, work)

    def _another_launch(self, number: int) -> Process:
        return self._launch(f"L{number}")

    def _retry(self, number: int) -> Process:
        done_too = self.world.random.random() < 0.5
        return self._person(
            f"retry{number}", lambda: retry_cells(SWEEP, self._some(), done_too=done_too)
        )

    def _cancel(self, number: int) -> Process:
        return self._person(f"cancel{number}", lambda: cancel_cells(SWEEP, self._some()))

    def _remove(self, number: int) -> Process:
        process = self._person(f"rm{number}", lambda: remove_cells(SWEEP, self._some()))
        # Files are removed one by one, and no store removes on a condition: who sleeps a minute in
        # the middle of it, and wakes, removes the rest.
        process.never_sleeps = True
        return process

    def _sync(self, number: int) -> Process:
        def sync() -> object:
            self._num_begun += 1
            said = sync_store(SWEEP)
            self._num_whole += 1
            return said

        return self._person(f"sync{number}", sync)

    def _some(self) -> list[Any]:
        first = self.world.random.randrange(len(CELLS))
        return (
            [*CELLS[:first], CELLS[first]] if self.world.random.random() < 0.5 else [CELLS[first]]
        )

    def _person(self, name: str, work: Callable[[], object]) -> Process:
        def ask() -> None:
            try:
                said = work()
            except (InputError, RunError) as error:
                now.world.tell(f"is refused: {str(error)[:100]}")
            else:
                now.world.tell(f"is done: {len(said) if isinstance(said, list) else said}")

        process = self.world.start(name, "m1", ask)
        self._asked.add(process.pid)
        return process

    # What must hold at every step

    def _watch(self, key: str, before: bytes | None, after: bytes | None) -> None:
        pid = self.world.process.pid
        launch_id = self._launch_of.get(pid)
        if key == "x/x/sweep.json" and launch_id == self._holder():
            self._at_work.append(launch_id)
        elif before == after:
            return
        elif key.endswith("/lease.json"):
            self._watch_lease(key, before, after)
        elif key.startswith(_CELLS) and key.endswith(_RESULT) and "/attempts/" not in key:
            self._watch_result(
                key[len(_CELLS) : -len(_RESULT)], pid, _result(before), _result(after)
            )
        elif key.endswith("/outcome.json") and before is not None and after is not None:
            raise ViolationError(f"the outcome {key} was written twice")

    def _watch_lease(self, key: str, before: bytes | None, after: bytes | None) -> None:
        if before is None or after is None or not self._at_work:
            return
        was, taken = json.loads(before)["launch"], json.loads(after)["launch"]
        holder = self._at_work[-1]
        if was == holder != taken and taken in self._at_work:
            raise ViolationError(
                f"{self.world.process.name} took {key} from the launch that holds the sweep"
            )

    def _watch_result(self, cell_id: str, pid: int, before: Any, after: Any) -> None:
        name = self.world.process.name
        if before is None and after is None:
            return
        is_asked = pid in self._asked
        if before is not None:
            may_go = before["status"] == "failed" and after is None  # tried again
            if not is_asked and not may_go:
                raise ViolationError(f"{name} changed the result of {cell_id}: {before} -> {after}")
        if after is None:
            self.world.tell(f"the result of {cell_id} is set aside")
            return
        launch_id = self._launch_of.get(pid)
        if launch_id is None:
            raise ViolationError(f"{name}, which is no driver, wrote a result of {cell_id}")
        if launch_id in self._at_work and launch_id != self._at_work[-1]:
            raise ViolationError(f"{name} lost the sweep and wrote a result of {cell_id}")
        self.world.tell(f"the result of {cell_id} is {after['status']} by {after['attempt'][-8:]}")
        if after["status"] == "done":
            outcome = self.memory.files.get(
                f"{_CELLS}{cell_id}/attempts/{after['attempt']}/outcome.json"
            )
            if _result(outcome) != after:
                raise ViolationError(f"{cell_id}: the result is not its attempt's outcome")

    def _lose_power(self) -> None:
        """What was written to its end is there afterwards."""
        assert self.disk is not None
        before = self.memory.files
        self.disk.cut(self.world.random)
        root = self.disk.root
        self.memory.files = {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }
        in_flight, self.memory.in_flight = self.memory.in_flight, set()
        for key in {*before, *self.memory.files} - in_flight:
            is_result = key.endswith(_RESULT) and "/attempts/" not in key
            was, is_now = before.get(key), self.memory.files.get(key)
            if is_result and _result(was) != _result(is_now):
                self.world.error = ViolationError(f"a power cut made {key} of {was!r}: {is_now!r}")

    def _holder(self) -> str | None:
        record = self.memory.files.get("x/x/launch.json")
        return None if record is None else str(json.loads(record)["launch"])

    # What must hold in the end

    def _status(self, cell_id: str) -> str | None:
        result = _result(self.memory.files.get(f"{_CELLS}{cell_id}{_RESULT}"))
        return None if result is None else str(result["status"])

    def _check_end(self) -> None:
        runs: dict[str, list[Any]] = {}
        for run in self.store.active("cell"):
            runs.setdefault(run.data.tags["raydt.cell_id"], []).append(run)
        origins: dict[str, set[float]] = {}  # by parent: whose weights it and its children have
        for cell in CELLS:
            result = _result(self.memory.files.get(f"{_CELLS}{cell.cell_id}{_RESULT}"))
            if result is None or result["status"] != "done":
                raise ViolationError(f"{cell.cell_id}: in the end {result}")
            origins.setdefault(cell.parent_id or cell.cell_id, set()).add(result["unseen_share"])
            if result["test_loss"] != loss_of(result["fingerprint"]):
                raise ViolationError(f"{cell.cell_id}: another loss than it has")
            journal = self.memory.files[
                f"{_CELLS}{cell.cell_id}/attempts/{result['attempt']}/journal.jsonl"
            ]
            rows = [row_of(line) for line in journal.decode().splitlines()]
            if not isinstance(rows[0], StartRow) or not any(isinstance(r, EndRow) for r in rows):
                raise ViolationError(f"{cell.cell_id}: its journal does not begin or end: {rows}")
            reports = [row for row in rows if isinstance(row, ReportRow)]
            if [row.bytes_seen for row in reports] != [100 * (n + 1) for n in range(NUM_STEPS)]:
                raise ViolationError(f"{cell.cell_id}: its journal is {rows}")
            self._check_run(cell.cell_id, result, reports, runs.get(cell.cell_id, []))
            (run,) = runs[cell.cell_id]
            self._check_datasets(cell.cell_id, run, rows[0])
            self._check_models(cell, run, result)
        # A fence is around what is open: who sleeps in the middle of `retry` and is taken over sets
        # the next result aside when he wakes, and its children may have been trained meanwhile.
        slept = any(each.pid in self._asked and each.has_slept for each in self.world.processes)
        if not slept and any(len(found) > 1 for found in origins.values()):
            raise ViolationError(f"made from weights that their parent did not end with: {origins}")
        launches = self.store.active("launch")
        running = [run for run in launches if run.info.status == "RUNNING"]
        if len(running) > self._num_begun - self._num_whole:
            raise ViolationError(f"{len(running)} launches are running in MLflow for ever")

    def _check_run(self, cell_id: str, result: Any, reports: Any, runs: list[Any]) -> None:
        if len(runs) != 1:
            raise ViolationError(f"{cell_id}: {len(runs)} runs in MLflow")
        (run,) = runs
        if run.data.tags["raydt.attempt"] != result["attempt"]:
            raise ViolationError(f"{cell_id}: MLflow has another attempt")
        if run.info.status != "FINISHED" or run.data.tags["raydt.status"] != Status.DONE:
            raise ViolationError(f"{cell_id}: MLflow has it as {run.info.status}")
        losses = sorted((v, s) for name, v, _, s in run.data.rows if name == METRIC_VAL_LOSS)
        if losses != sorted((row.val_loss, row.bytes_seen) for row in reports):
            raise ViolationError(f"{cell_id}: MLflow's history is not the journal's: {losses}")
        final = [v for name, v, _, _ in run.data.rows if name == METRIC_TEST_LOSS]
        if final != [result["test_loss"]]:
            raise ViolationError(f"{cell_id}: MLflow's test losses are {final}")

    def _check_datasets(self, cell_id: str, run: Any, start: StartRow) -> None:
        read = {(f"{data.language}/{data.split}", data.digest) for data in start.data}
        if not read or run.datasets != read:
            raise ViolationError(f"{cell_id}: MLflow has {run.datasets}, it read {read}")

    def _check_models(self, cell: Cell, run: Any, result: Any) -> None:
        active = [m for m in self.store.models.values() if not m.is_deleted]
        models = [m for m in active if m.source_run_id == run.info.run_id]
        if cell.stage is not Stage.PRETRAIN:
            if models:
                raise ViolationError(f"{cell.cell_id}: a model that nobody asked for")
            return
        if len(models) != 1:
            raise ViolationError(f"{cell.cell_id}: {len(models)} models in MLflow")
        (model,) = models
        if [one.model_id for one in run.outputs.model_outputs] != [model.model_id]:
            raise ViolationError(f"{cell.cell_id}: its run has other models")
        if model.status != "READY" or model.files != MODEL_FILES:
            raise ViolationError(f"{cell.cell_id}: a model that is not whole: {model}")
        if (METRIC_TEST_LOSS, result["test_loss"]) not in model.numbers:
            raise ViolationError(f"{cell.cell_id}: its model's numbers are {model.numbers}")
        for other in active:
            if self.store.runs[other.source_run_id].info.lifecycle_stage == "deleted":
                raise ViolationError(f"{other.model_id} is of a run that is deleted")


def _result(data: bytes | None) -> Any:
    found = None if data is None else json.loads(data)
    return None if found is None or "open" in found else found
