"""A storm over spot machines: nodes are killed and replaced again and again while a launch runs.

A machine that goes away is nobody's fault: everything is done at the end, nothing has failed, and
the numbers are those of a launch that nothing happened to.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.cluster.local import WORKER_NODE, LocalCluster, cluster, until
from tests.integration.test_hparams import TINY as TINY_SEARCH
from tests.integration.tiny import ROOT, TINY, grid, results

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1800)]

# Twenty cells that outlast the start of a node, and keep checkpoints all the time.
TWENTY = (
    "--seeds 0 1 --protocol.pretrain.epochs 24 --protocol.scratch.epochs 80 "
    "--protocol.finetune.epochs 80 --protocol.tolerance 0 --protocol.patience 80 "
    "--checkpoint-seconds 0.05"
).split()
NUM_CELLS = 20


class Machine:
    """A place for a node, which is taken back and replaced."""

    def __init__(self, here: LocalCluster, folder: Path, num_cpus: int) -> None:
        self._here = here
        self._folder = folder
        self._num_cpus = num_cpus
        self._process: subprocess.Popen[bytes] | None = None
        self.num_kills = 0
        self._num_starts = 0

    def start(self) -> None:
        """A new node, which joins when it can."""
        self._num_starts += 1
        # The path of a unix socket has at most 107 bytes.
        own = Path(self._here.environment["HOME"]) / f"{self._folder.name}{self._num_starts}"
        address, cpus = self._here.gcs_address, str(self._num_cpus)
        with (self._folder.parent / f"{own.name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER_NODE), address, cpus, str(own)],
                env={k: v for k, v in self._here.environment.items() if k != "RAY_ADDRESS"},
                cwd=self._here.environment["HOME"],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_up(self) -> bool:
        """Whether its process lives: a busy machine may give up a node at its start."""
        return self._process is not None and self._process.poll() is None

    def trains(self) -> bool:
        """Whether a process of a trial or of a worker group is on it."""
        if not self.is_up:
            return False
        assert self._process is not None
        names = ("ray::ImplicitFunc", "ray::RayTrainWorker", "ray::_RayTrainWorker")
        try:
            children = psutil.Process(self._process.pid).children(recursive=True)
            return any(" ".join(child.cmdline()).startswith(names) for child in children)
        except psutil.NoSuchProcess:
            return False

    def kill(self) -> None:
        """All of it at once, as when the power goes."""
        assert self._process is not None
        family = psutil.Process(self._process.pid)
        for member in [family, *family.children(recursive=True)]:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait()
        self.num_kills += 1


@contextmanager
def machines(folder: Path, num_cpus: int) -> Iterator[tuple[LocalCluster, list[Machine]]]:
    """A head that trains nothing, and three machines that do."""
    # By default Ray lets its workers behind all else that a machine does.
    with cluster(0, environment={"RAY_worker_niceness": "0"}) as here:
        three = [Machine(here, folder / name, num_cpus) for name in "abc"]
        for number, machine in enumerate(three, start=2):
            machine.start()

            def joined(machine: Machine = machine, number: int = number) -> bool:
                if not machine.is_up:
                    machine.start()
                return len(here.nodes()) == number

            until(joined, f"node {number}", 300.0)
        yield here, three


def launch(here: LocalCluster, script: str, storage: Path, *words: str) -> subprocess.Popen[str]:
    """A launch as a driver of the cluster."""
    with (storage / "out").open("w") as out, (storage / "err").open("w") as err:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "sweeps" / script), "--storage", str(storage), *words],
            cwd=storage,
            env={**here.environment, "RAY_ADDRESS": here.gcs_address},
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def storm(
    process: subprocess.Popen[str],
    three: list[Machine],
    num_kills: int,
    num_done: Callable[[], int],
    is_worth_it: Callable[[], bool] = lambda: True,
) -> None:
    """Kill one machine after the other that trains something, one more with every second thing
    that is done, and replace it: up to `num_kills`, and each once at least, if there are as many.

    How often depends on how fast this machine is; that everything is done does not.
    """
    turn = 0
    while process.poll() is None:
        for machine in three:
            if not machine.is_up:
                machine.start()
        wanted = turn < num_kills and num_done() > 2 * turn
        if wanted and three[turn % 3].trains() and is_worth_it():
            three[turn % 3].kill()
            three[turn % 3].start()
            turn += 1
        time.sleep(0.1)
    assert turn >= min(num_kills, len(three)), "it was over too soon"


def num_with_checkpoints(storage: Path) -> int:
    """How many cells could resume. All that are trained: whichever machine is killed, one does."""
    manifests = (storage / "tiny" / "cells").rglob("attempts/*/checkpoints/*.json")
    return len({path.parents[3] for path in manifests})


def calm_losses(storage: Path, *words: str) -> dict[str, float]:
    """Of the same grid, which nothing happens to."""
    storage.mkdir()
    process = grid(storage, *words)
    _, err = process.communicate(timeout=1200)
    assert process.returncode == 0, err
    return losses(storage)


def losses(storage: Path) -> dict[str, float]:
    return {cell_id: result["test_loss"] for cell_id, result in results(storage).items()}


def told(storage: Path) -> str:
    return (storage / "out").read_text() + (storage / "err").read_text()


def losses_of(folder: Path) -> list[dict]:
    rows = []
    for path in folder.rglob("losses.jsonl"):
        rows += [json.loads(line) for line in path.read_text().splitlines()]
    return rows


def test_twenty_cells_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    calm, stormy = calm_losses(tmp_path / "calm", *TWENTY), tmp_path / "stormy"
    stormy.mkdir()
    with machines(tmp_path, 1) as (here, three):
        process = launch(here, "grid.py", stormy, *TINY, *TWENTY, "--max-retries", "0")
        storm(
            process,
            three,
            6,
            lambda: len(results(stormy)),
            lambda: num_with_checkpoints(stormy) >= 2,
        )
        assert process.returncode == 0, told(stormy)
    after = results(stormy)
    assert Counter(result["status"] for result in after.values()) == {"done": NUM_CELLS}
    assert losses(stormy) == calm
    rows = losses_of(stormy)
    assert len(rows) >= 3, "a journal entry each"
    assert not [row for row in rows if row["counts"]], "the machines' fault is nobody's"
    resumed = [
        path
        for path in (stormy / "tiny" / "cells").rglob("journal.jsonl")
        if any(json.loads(line)["event"] == "resume" for line in path.read_text().splitlines())
    ]
    assert resumed, "a cell that was cut off began from nothing"


def test_worker_groups_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    few = "--sources related --sizes 8k --workers 2 --large-cell-seconds 0".split()
    few += "--protocol.tolerance 0 --protocol.patience 80 --checkpoint-seconds 0.05".split()
    for stage in ("pretrain", "scratch", "finetune"):
        few += [f"--protocol.{stage}.epochs", "30"]
    calm, stormy = calm_losses(tmp_path / "calm", *few), tmp_path / "stormy"
    stormy.mkdir()
    with machines(tmp_path, 2) as (here, three):
        process = launch(here, "grid.py", stormy, *TINY, *few, "--max-retries", "0")
        storm(
            process,
            three,
            2,
            lambda: len(results(stormy)) + 1,
            lambda: num_with_checkpoints(stormy) > 0,
        )
        assert process.returncode == 0, told(stormy)
    assert Counter(result["status"] for result in results(stormy).values()) == {"done": 4}
    assert losses(stormy) == calm
    assert losses_of(stormy)
    assert not [row for row in losses_of(stormy) if row["counts"]]


def test_a_searchs_trials_are_all_made(tmp_path: Path) -> None:
    stormy = tmp_path / "stormy"
    stormy.mkdir()
    trials = stormy / "tiny" / "hparams" / "trials.jsonl"

    def num_made() -> int:
        return trials.read_bytes().count(b"\n") if trials.exists() else 0

    with machines(tmp_path, 1) as (here, three):
        process = launch(here, "hparams.py", stormy, *TINY_SEARCH, "--max-retries", "0")
        storm(process, three, 5, num_made)
        assert process.returncode == 0, told(stormy)
    rows = [json.loads(line) for line in trials.read_text().splitlines()]
    assert sum(row["trial"]["kind"] == "trial" for row in rows) == 4 * 4
    assert " failed" not in (stormy / "err").read_text()
    assert losses_of(stormy)
    assert not [row for row in losses_of(stormy) if row["counts"]]
