"""The real code in the small world: what it takes from the machine is taken from the world.

Real are the launch from its lease to its last record, the policy of the grid, commits and fences,
the worker from its lease to its outcome, checkpoints and their taking over, the recorder, the
writer, and what a person does by hand. In the place of Tune is a loop that does as Tune does, in
the place of training a sum.
"""

from __future__ import annotations

import os
import queue
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from raydt.config.sweep import Sweep
from raydt.corpora.splits import SPLITS
from raydt.grid import lease as lease_module
from raydt.grid.read_data import ReadData
from raydt.orchestration import cells as cells_module
from raydt.orchestration import launch as launch_module
from raydt.orchestration import start as start_module
from raydt.orchestration import sync as sync_module
from raydt.orchestration.run import recorder as recorder_module
from raydt.orchestration.run import worker as worker_module
from raydt.orchestration.run.policy import Loss, Nothing
from raydt.orchestration.run.task import CellTask, received_report, sent
from raydt.storage import many as many_module
from raydt.storage import objects as objects_module
from raydt.storage.folder import Folder
from raydt.terminal.progress import Progress
from raydt.tracking import store as store_module
from raydt.tracking.schema import Status
from raydt.training.checkpoints.folder import Checkpoint
from raydt.training.outcome import Outcome, Report, Resumed
from tests.histories.disk import Disk, DiskFolder
from tests.histories.memory import Memory, MemoryFolder
from tests.histories.model_mlflow import ModelStore
from tests.histories.sqlite_mlflow import SqliteStore
from tests.histories.world import Fiber, Process, World

NUM_STEPS = 2
SLOTS = 2
_SHARE_OF_LOST = 0.03  # of a trial's reports, that Tune takes its process for lost


class Current:
    """The history that is being made; patches look it up here."""

    world: World
    memory: Memory
    disk: Disk | None = None  # where the storage is one
    store: ModelStore | SqliteStore
    cache: Path
    edition: int  # of the text, which a person may change
    tasks: dict[int, tuple[CellTask, Callable[[Any], None]]]  # by a worker's pid


now = Current()


class Quiet(Progress):
    """Tells the story."""

    def say(self, text: str, style: str | None = None) -> None:
        now.world.tell(text)

    def begin(self, *said: Any) -> None: ...
    def started(self, cell_id: str) -> None: ...
    def reported(self, cell_id: str, row: object) -> None: ...
    def ended(self, cell_id: str, result: Any) -> None:
        now.world.tell(f"{cell_id}: {result.status}")

    def lost(self, *_: object) -> None: ...
    def blocked(self, cell: Any) -> None: ...
    def cancelled(self, cell_id: str) -> None: ...
    def end(self) -> None: ...


class SimThread:
    """In the place of `threading.Thread`."""

    def __init__(self, target: Callable[[], None], **_: object) -> None:
        self._target, self._fiber = target, None

    def start(self) -> None:
        self._fiber = now.world.thread(self._target)

    def join(self) -> None:
        now.world.wait(lambda: self._fiber is None or self._fiber.dead)


class SimEvent:
    """In the place of `threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def wait(self, seconds: float) -> bool:
        return now.world.wait(lambda: self._is_set, seconds)


class SimQueue:
    """In the place of `queue.Queue`."""

    def __init__(self) -> None:
        self._items: list[Any] = []

    def put(self, item: Any) -> None:
        self._items.append(item)

    def get(self, timeout: float | None = None) -> Any:
        if not now.world.wait(lambda: bool(self._items), timeout):
            raise queue.Empty
        return self._items.pop(0)


class SimRecorder(recorder_module.Recorder):
    """The real one, whose thread is a fiber."""

    def __init__(self) -> None:
        super().__init__()
        self._queue = SimQueue()  # type: ignore[assignment]
        self._fiber: Fiber | None = None

    def start(self) -> None:
        self._fiber = now.world.thread(self.run)

    def join(self, timeout: float | None = None) -> None:
        now.world.wait(lambda: self._fiber is None or self._fiber.dead)


class InTurn:
    """In the place of a pool of threads."""

    def __init__(self, *_: object) -> None: ...
    def __enter__(self) -> InTurn:
        return self

    def __exit__(self, *_: object) -> None: ...
    def map(self, work: Callable[[Any], Any], items: Any) -> list[Any]:
        return [work(item) for item in items]


def loss_of(fingerprint: str) -> float:
    """What a cell comes to, whoever trains it."""
    return 1.0 + int(fingerprint[:8], 16) / 2**33


def sum_instead_of_training(
    config: Any,
    splits: Any,
    *,
    initial_weights: Path | None,
    report: Any,
    checkpoints: Any,
    resumed: Any,
    **_: Any,
) -> Outcome:
    """As `raydt.training.loop.train`: reports, checkpoints, and the same numbers each time, but
    weights that are this attempt's own, as on a GPU. Whose weights it began with stands in the
    result, as its `unseen_share`."""
    world = now.world
    task, _ = now.tasks[world.process.pid]
    loss = loss_of(task.fingerprint)
    found = checkpoints.newest(config.facts())
    reports = []
    if initial_weights is None:
        origin = world.random.random()
    else:
        origin = float(load_file(initial_weights)["origin"])
    if found is not None:
        origin = found.state["origin"]
        reports = [Report(**each) for each in found.state["reports"]]
        resumed(Resumed(100 * found.step, tuple(reports), tuple(checkpoints.damaged)))
    weights = {"origin": torch.tensor(origin, dtype=torch.float64)}
    for step in range(len(reports), NUM_STEPS):
        world.sleep(world.random.choice((1.0, 1.0, 20.0)))
        if not world.is_quiet and world.random.random() * 1000 < world.faults.cell:
            raise RuntimeError("the cell itself failed")
        reports.append(
            Report(100 * (step + 1), 2.0, loss + NUM_STEPS - step, 1.0, time=float(step + 1))
        )
        report(reports[-1])
        if world.random.random() < 0.15:
            state = {"reports": [asdict(each) for each in reports], "origin": origin}
            checkpoints.write(Checkpoint(step + 1, weights, state), config.facts())
    return Outcome(
        Status.DONE,
        stopped="budget",
        best_val_loss=loss + 1,
        test_loss=loss,
        unseen_share=origin,
        bytes_seen=100 * NUM_STEPS,
        training_seconds=1.0,
        weights=weights,
    )


def fan_out_as_tune(policy: Any, folder: Any, max_retries: int) -> None:
    """Asks the policy, runs its tasks in processes of their own, tries again what was lost."""
    world = now.world
    me = world.process
    news: list[tuple[int, str, Any]] = []
    running: dict[int, tuple[CellTask, int, Any, Process]] = {}  # trial -> task, tries, last

    def start(trial: int, task: CellTask, tries: int) -> None:
        def tell(kind: str, said: Any) -> None:
            news.append((trial, kind, said))

        worker = world.start(
            f"{me.name}.w{len(world.processes)}", me.machine, partial(_work, tell), me
        )
        now.tasks[worker.pid] = (task, lambda said: tell("report", said))
        running[trial] = (task, tries, None, worker)

    trials = 0
    while True:
        nothing = None
        while len(running) < SLOTS:
            task = policy.next([each[0] for each in running.values()])
            if isinstance(task, Nothing):
                nothing = task
                break
            start(trials, task, 0)
            policy.started(task)
            trials += 1
        if not running:
            if nothing is Nothing.EVER:
                return
            assert nothing is None, "something that waits for nothing"
        world.wait(lambda: bool(news) or any(not each[3].is_alive for each in running.values()))
        for trial, each in list(running.items()):
            if not each[3].is_alive and not any(kind != "report" for _, kind, _ in news):
                news.append((trial, "lost", "its process was killed"))
        trial, kind, said = news.pop(0)
        if trial not in running:
            continue
        task, tries, last, worker = running[trial]
        if kind == "report":
            row = received_report(said, policy.report_kind)
            policy.reported(task, row)
            running[trial] = (task, tries, row, worker)
            if not world.is_quiet and world.random.random() < _SHARE_OF_LOST:
                # A node that does not answer: its process may well go on.
                world.tell(f"takes {worker.name} for lost")
                kind = "lost"
            else:
                continue
        news[:] = [each for each in news if each[0] != trial]
        if kind != "ended" and tries < max_retries:
            policy.lost(task, Loss(str(said)[:100], None, counts=True, pause_seconds=0.0))
            start(trial, task, tries + 1)
            continue
        try:
            policy.ended(task, last, None if kind == "ended" else str(said))
        except OSError:
            if tries > max_retries + 2:
                raise
            start(trial, task, tries + 1)  # as Tune does where a callback fails
            continue
        del running[trial]


def _work(tell: Callable[[str, Any], None]) -> None:
    world = now.world
    task, _ = now.tasks[world.process.pid]
    try:
        worker_module.run_cell(sent(task))
    except Exception as error:
        world.tell(f"fails: {type(error).__name__}: {str(error)[:80]}")
        tell("failed", f"{type(error).__name__}: {error}")
        if isinstance(error, (AssertionError, TypeError, AttributeError, NameError)):
            raise
    else:
        tell("ended", None)


@contextmanager
def _opened(sweep: Sweep, open_writer: Callable[[], Any], *, with_ray: bool) -> Iterator[Any]:
    yield open_writer()


class _Language:
    """In the place of a prepared language."""

    def __init__(self, name: str) -> None:
        self.name = name

    def digest(self, *sizes: int) -> str:
        return f"{self.name} {sizes} {now.edition}"

    def train(self, num_bytes: int) -> NDArray[np.uint8]:
        return np.empty(0, dtype=np.uint8)

    val = test = train


def _read_data(language: _Language, *sizes: int) -> tuple[ReadData, ...]:
    facts = {"source_type": "code", "source": "{}", "num_documents": 1}
    return tuple(
        ReadData(
            language=language.name, split=split, digest=f"{now.edition}", num_bytes=size, **facts
        )
        for split, size in zip(SPLITS, sizes, strict=True)
        if size
    )


def wire(patch: pytest.MonkeyPatch) -> None:
    """Put the world in the place of the machine, in all modules that look at it."""
    clock = SimpleNamespace(
        time=lambda: now.world.now,
        monotonic=lambda: now.world.now,
        sleep=lambda seconds: now.world.sleep(seconds),
    )
    for module in ("grid.lease", "grid.journal", "grid.result", "orchestration.grid.recorder",
                   "orchestration.grid.policy",
                   "tracking.writer", "orchestration.run.worker"):  # fmt: skip
        patch.setattr(f"raydt.{module}.time", clock)
    identifiers = SimpleNamespace(uuid4=lambda: uuid.UUID(int=now.world.random.getrandbits(128)))
    for module in ("grid.lease", "grid.journal", "grid.result", "storage.local"):
        patch.setattr(f"raydt.{module}.uuid", identifiers)
    patch.setattr(objects_module, "open_object_folder", _open)
    patch.setattr(Sweep, "local_storage", property(lambda _: now.cache))
    patch.setattr(os, "fsync", _sync)
    patch.setattr(many_module, "ThreadPoolExecutor", InTurn)
    # The lease
    threads = SimpleNamespace(Thread=SimThread, Event=SimEvent)
    patch.setattr(lease_module, "threading", threads)
    patch.setattr(lease_module, "_this_machine", lambda: now.world.process.machine)
    patch.setattr(lease_module, "_runs", _runs)
    patch.setattr(lease_module, "os", SimpleNamespace(getpid=lambda: now.world.process.pid))
    patch.setattr(
        lease_module, "socket", SimpleNamespace(gethostname=lambda: now.world.process.machine)
    )
    patch.setattr(start_module, "_interrupt", lambda: now.world.interrupt())

    # The launch
    def languages(*_: Any) -> Any:
        names = ("related", "alba")
        return {name: _Language(name) for name in names}, {name: f"s3://x/{name}" for name in names}

    patch.setattr(launch_module, "prepare_languages", languages)
    patch.setattr(launch_module, "smaller_evaluations", lambda *_: "")
    patch.setattr(launch_module, "corpus_doubts", lambda *_: ())
    patch.setattr(launch_module, "gpu_here", lambda: None)
    patch.setattr(launch_module, "opened", _opened)
    patch.setattr(launch_module, "Recorder", SimRecorder)
    patch.setattr(launch_module, "experiment_key", _experiment_key)
    patch.setattr(launch_module, "on_cluster", lambda: False)
    patch.setattr("raydt.orchestration.grid.tasks.evaluation_bytes", lambda *_: 2000)
    patch.setattr("raydt.orchestration.grid.tasks.read_data", _read_data)
    patch.setattr("raydt.orchestration.run.fan_out.fan_out", fan_out_as_tune)
    patch.setattr("raydt.orchestration.run.room.tasks_at_once", lambda _: SLOTS)
    patch.setattr("raydt.orchestration.grid.policy.has_room", lambda *_: True)
    patch.setattr("raydt.orchestration.grid.policy.GroupWatch", _NoGroups)
    for module in (launch_module, cells_module, sync_module):
        patch.setattr(module, "open_store", lambda _: now.store.client())
    patch.setattr(sync_module, "experiment_key", _experiment_key)
    patch.setattr(store_module, "open_store", None)
    # The worker
    patch.setattr(worker_module, "process_of_task", lambda _: nullcontext(torch.device("cpu")))
    patch.setattr(worker_module, "train", sum_instead_of_training)
    patch.setattr(worker_module, "read_splits", lambda *_: None)
    patch.setattr(worker_module, "tune", SimpleNamespace(report=_report))


def _report(said: Mapping[str, Any]) -> None:
    now.tasks[now.world.process.pid][1](said)


class _NoGroups:
    def __init__(self, *_: object) -> None: ...
    def start(self) -> None: ...
    def end(self) -> None: ...
    def add(self, cell_id: str) -> None: ...
    def discard(self, cell_id: str) -> None: ...


def _open(uri: str) -> Folder:
    path = uri.removeprefix("s3://")
    if now.disk is None:
        return MemoryFolder(now.memory, path)
    return DiskFolder(now.memory, now.disk, path)


def _sync(descriptor: int) -> None:
    if now.disk is not None:
        now.disk.sync(descriptor)


def _runs(pid: int) -> bool:
    return any(each.pid == pid and each.is_alive for each in now.world.processes)


def _experiment_key(*_: object) -> str:
    experiment = now.store.experiment
    return "" if experiment is None else f"{experiment.experiment_id}@{experiment.creation_time}"
