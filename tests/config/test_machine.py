"""How many cells a machine has room for: over its cores and its GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raydt.config import machine
from raydt.config.machine import gpu_places, num_gpus
from raydt.config.sweep import Sweep


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine with 96 cores on which NVIDIA's driver lists four GPUs."""
    for number in range(4):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    monkeypatch.setattr(machine, "_DRIVER", tmp_path)
    monkeypatch.setattr("raydt.config.sweep.num_cpus", lambda: 96)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine._num_installed.cache_clear()
    yield
    machine._num_installed.cache_clear()


@pytest.mark.parametrize(
    ("fields", "slots"),
    [
        ({}, 96),
        ({"gpus_per_cell": 1}, 4),
        ({"gpus_per_cell": 0.25}, 16),
        ({"gpus_per_cell": 0.3}, 12),  # three on each, and not thirteen
        ({"gpus_per_cell": 0.01, "cpus_per_cell": 2}, 48),  # by then it is the cores
        ({"gpus_per_cell": 1, "slots": 2}, 2),
    ],
)
def test_slots_are_the_smaller_of_cores_and_gpus(
    fields: dict[str, object], slots: int, four_gpus: None
) -> None:
    assert Sweep.model_validate(fields).num_slots == slots


@pytest.mark.parametrize(
    ("visible", "number"), [(None, 4), ("", 0), ("2", 1), ("0,3", 2), ("0,-1,3", 1), ("-1", 0)]
)
def test_gpus_are_those_that_are_visible(
    visible: str | None, number: int, four_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert num_gpus() == number


def test_without_a_driver_nvidia_smi_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "_DRIVER", tmp_path / "absent")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-1)'\necho 'GPU 1: NVIDIA L4'\n")
    smi.chmod(0o755)
    machine._num_installed.cache_clear()
    assert num_gpus() == 2
    machine._num_installed.cache_clear()


def test_a_machine_without_gpus_has_a_slot_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # To plan on it what a cluster will train.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Sweep(gpus_per_cell=1).num_slots == 1


def test_shares_lie_on_one_gpu_each() -> None:
    assert gpu_places(3, 0.34) == 6
    assert gpu_places(3, 1 / 3) == 9
    assert gpu_places(3, 0.333) == 9
    assert gpu_places(0, 0.25) == 0
    assert gpu_places(8, 1) == 8
