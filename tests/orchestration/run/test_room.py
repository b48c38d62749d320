from __future__ import annotations

import pytest

from raydt.config.sweep import Sweep
from raydt.orchestration.run import room
from raydt.orchestration.run.room import has_room, tasks_at_once, trial_resources
from raydt.orchestration.run.task import Processes

ALONE, IN_TWO = Processes(), Processes(num_workers=2)


def test_slots_bound_a_sweep_on_a_cluster_that_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    sweep = Sweep(slots=3)
    assert has_room(sweep, ALONE, [ALONE, ALONE])
    assert not has_room(sweep, ALONE, [ALONE, IN_TWO])
    assert not has_room(sweep, IN_TWO, [ALONE, ALONE])


def test_a_few_worker_groups_wait_so_that_an_autoscaler_sees_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: {"CPU": 4.0})
    sweep = Sweep(workers=2)
    for_two = room._GROUPS_IN_WAITING + 2  # two groups run on four cores
    assert has_room(sweep, IN_TWO, [IN_TWO] * (for_two - 1))
    assert not has_room(sweep, IN_TWO, [IN_TWO] * for_two)
    assert has_room(sweep, ALONE, [IN_TWO] * for_two), "Ray makes it wait"


def test_on_one_machine_no_cell_is_handed_out_before_there_is_a_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Which is the longest is known better when a slot is free: its parent may be done by then.
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    sweep = Sweep(slots=2)
    assert has_room(sweep, ALONE, [ALONE])
    assert not has_room(sweep, ALONE, [ALONE] * 2)


def test_slots_are_no_more_than_the_gpus_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: {"CPU": 96.0, "GPU": 1.0})
    sweep = Sweep(slots=96, gpus_per_cell=0.25)
    assert tasks_at_once(sweep) == 4
    on_a_quarter = Processes(gpus=0.25)
    assert has_room(sweep, on_a_quarter, [on_a_quarter] * 3)
    assert not has_room(sweep, on_a_quarter, [on_a_quarter] * 4)


def test_where_nothing_runs_there_is_always_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert has_room(Sweep(slots=1), IN_TWO, [])


def test_on_a_cluster_it_is_the_clusters_resources_that_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: {"CPU": 64.0, "GPU": 3.0})
    assert tasks_at_once(Sweep()) == 64
    assert tasks_at_once(Sweep(slots=5)) == 5
    assert tasks_at_once(Sweep(gpus_per_cell=0.25)) == 12
    assert tasks_at_once(Sweep(gpus_per_cell=0.3)) == 9, "three on each: none lies on two"
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: {"CPU": 4.0})
    assert tasks_at_once(Sweep(gpus_per_cell=1)) == 1, "none yet: it grows"


def test_the_trial_of_a_group_holds_no_core_of_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trial_resources(Processes(cpus=2, gpus=0.5)) == {"CPU": 2.0, "GPU": 0.5}
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: {"CPU": 4.0, "raydt_trial": 9.0})
    assert trial_resources(IN_TWO) == {"CPU": 0.0, "raydt_trial": 1.0}
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: {"CPU": 4.0})
    assert trial_resources(IN_TWO) == {"CPU": 0.01}
