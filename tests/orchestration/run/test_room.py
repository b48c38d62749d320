from __future__ import annotations

import pytest

from raydt.config.sweep import Sweep
from raydt.orchestration.run import fan_out


def task(num_workers: int) -> dict:
    return {"num_workers": num_workers, "cpus": 1, "gpus": 0.0}


def test_slots_bound_a_sweep_on_a_cluster_that_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    sweep = Sweep(slots=3)
    assert fan_out._has_room(sweep, task(0), [task(0), task(0)])
    assert not fan_out._has_room(sweep, task(0), [task(0), task(2)])
    assert not fan_out._has_room(sweep, task(2), [task(0), task(0)])


def test_a_few_worker_groups_wait_so_that_an_autoscaler_sees_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(fan_out.ray, "cluster_resources", lambda: {"CPU": 4.0})
    sweep = Sweep(workers=2)
    for_two = fan_out._GROUPS_IN_WAITING + 2  # two groups run on four cores
    assert fan_out._has_room(sweep, task(2), [task(2)] * (for_two - 1))
    assert not fan_out._has_room(sweep, task(2), [task(2)] * for_two)
    assert fan_out._has_room(sweep, task(0), [task(2)] * for_two), "Ray makes it wait"


def test_on_one_machine_no_cell_is_handed_out_before_there_is_a_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Which is the longest is known better when a slot is free: its parent may be done by then.
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    sweep = Sweep(slots=2)
    assert fan_out._has_room(sweep, task(0), [task(0)])
    assert not fan_out._has_room(sweep, task(0), [task(0)] * 2)


def test_on_a_cluster_it_is_the_clusters_resources_that_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setattr(fan_out.ray, "cluster_resources", lambda: {"CPU": 64.0, "GPU": 3.0})
    assert fan_out.cells_at_once(Sweep()) == 64
    assert fan_out.cells_at_once(Sweep(slots=5)) == 5
    assert fan_out.cells_at_once(Sweep(gpus_per_cell=0.25)) == 12
    monkeypatch.setattr(fan_out.ray, "cluster_resources", lambda: {"CPU": 4.0})
    assert fan_out.cells_at_once(Sweep(gpus_per_cell=1)) == 1, "none yet: it grows"
