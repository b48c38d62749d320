"""A task trains on the device that Ray assigned, whatever else is visible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.lease import LaunchLease
from raydt.orchestration import preflight
from raydt.orchestration.run import device, setup, worker
from raydt.orchestration.run.device import assigned_device, index_of, remedy
from raydt.orchestration.run.task import Processes, sent
from raydt.orchestration.search import trial
from raydt.orchestration.search.task import SearchTask
from raydt.storage.opening import open_folder
from tests.orchestration.tasks import cell_task


def test_a_task_without_gpus_trains_on_the_cpu_of_a_gpu_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert assigned_device(0) == torch.device("cpu")


@pytest.mark.parametrize(
    ("assigned", "visible", "index"),
    [
        (["2"], "2", 0),  # a trial of its own sees its GPU alone
        (["3"], "1,2,3", 2),  # the workers of a group on a node see each other's
        (["GPU-5c89"], "GPU-1a2b, GPU-5c89", 1),
        (["1"], None, 1),  # Ray was asked to leave the variable alone
    ],
)
def test_the_index_is_that_among_what_is_visible(
    assigned: list[str], visible: str | None, index: int
) -> None:
    assert index_of(assigned, visible) == index


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(RunError, match="expected one from Ray, got none"):
        index_of([], "0")
    with pytest.raises(RunError, match=r"expected 2, as Ray assigned it, .* got '0,1'"):
        index_of(["2"], "0,1")


def test_without_cuda_a_task_that_asked_for_a_gpu_fails_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match=r"GPU on .*: expected one that torch .* can use, got none"):
        assigned_device(0.25)
    assert "needs NVIDIA's driver 580 or newer" in remedy("13.0")
    assert "update the driver, or install the wheel" in remedy("12.6")
    assert "built without CUDA" in remedy(None)


def test_a_launch_on_one_machine_says_so_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (problem,) = preflight.check_environment(Sweep(gpus_per_cell=1, storage=str(tmp_path)))
    assert problem.what == "gpus_per_cell"
    assert "torch" in problem.expected
    assert "wheel for your driver" in problem.got
    assert preflight.check_environment(Sweep(storage=str(tmp_path))) == []
    monkeypatch.setattr(preflight, "check_cluster", lambda: None)  # there is none here
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")  # its workers may have what this head lacks
    assert preflight.check_environment(Sweep(gpus_per_cell=1, storage=str(tmp_path))) == []


def test_workers_that_would_wait_for_ever_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(preflight, "num_gpus", lambda: 4)

    def problems(**fields: Any) -> list[str]:
        sweep = Sweep(storage=str(tmp_path), large_cell_seconds=0, **fields)
        return [str(problem) for problem in preflight.check_environment(sweep)]

    assert problems(workers=4, slots=4, gpus_per_cell=1) == []
    assert problems(workers=8, slots=8, gpus_per_cell=1) == [
        "workers: expected at most 4, one for each GPU of this machine, got 8"
    ]
    assert problems(workers=2, slots=2) == []
    assert problems(workers=3, slots=2, cpus_per_cell=2) == [
        "workers: expected at most 2, the slots of this machine (2 cores for each; --slots), got 3"
    ]
    monkeypatch.setattr(preflight, "check_cluster", lambda: None)  # there is none here
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")  # it may grow
    assert problems(workers=8, gpus_per_cell=1) == []


class ReachedError(Exception):
    """Training would begin."""


@pytest.mark.parametrize("gpus", [0.0, 1.0])
def test_cells_and_trials_train_on_the_device_of_their_task(
    gpus: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: list[torch.device] = []

    def train(*_: object, device: torch.device, **__: object) -> None:
        found.append(device)
        raise ReachedError

    def set_up(num_threads: int, device: torch.device, gpu_share: float) -> None:
        found.append(device)
        assert gpu_share == gpus

    for module in (worker, trial):
        monkeypatch.setattr(module, "train", train)
        monkeypatch.setattr(module, "read_splits", lambda *_, **__: None)
    monkeypatch.setattr(setup, "set_up_process", set_up)
    released: list[torch.device] = []
    monkeypatch.setattr(setup, "release_memory", released.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "index_of", lambda *_: 3)
    monkeypatch.setattr("ray.get_runtime_context", FakeContext)
    cell = cell_task(
        "scratch/alba/2k/nano/s0",
        processes=Processes(gpus=gpus),
        sweep=str(tmp_path),
        folder=str(tmp_path / "cells/scratch/alba/2k/nano/s0"),
        cache=str(tmp_path / "cache"),
    )
    shared: dict[str, Any] = {
        name: getattr(cell, name) for name in SearchTask.model_fields if hasattr(cell, name)
    }
    search = SearchTask(**{**shared, "trial_id": "t", "keep_weights": None})
    with LaunchLease(open_folder(str(tmp_path)), on_lost=lambda: None) as lease:
        cell = cell.model_copy(update={"launch": lease.launch_id})
        for run, task in ((worker.run_cell, cell), (trial.run_search_trial, search)):
            with pytest.raises(ReachedError):
                run(sent(task))
    assert found == [torch.device("cuda", 3) if gpus else torch.device("cpu")] * 4
    assert released == found[:2], "also after a cell that failed"


class FakeContext:
    """A process with a GPU of Ray."""

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        return {"GPU": ["7"]}
