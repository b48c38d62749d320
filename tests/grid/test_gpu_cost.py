"""What a sweep costs on the GPU that it is planned for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raydt.config.compiling import COMPILE_SECONDS
from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.gpus import known_gpu
from raydt.grid.build import build_grid
from raydt.grid.cost import (
    Cost,
    cell_cost,
    compile_seconds,
    dollars_per_gpu_hour,
)
from raydt.grid.disk import checkpoint_bytes, disk
from raydt.grid.ledger import Ledger
from raydt.grid.schedule import simulate
from raydt.tracking.schema import Stage
from tests.grid.results import result_of

RATE = 3.0 * MODELS["nano"].forward_flops_per_byte


def cost_on(**fields: Any) -> Cost:
    sweep = Sweep(seeds=(0,), **fields)
    return cell_cost(build_grid(sweep)[0], sweep, {}, {})


def test_time_is_that_of_the_gpu_which_is_planned_for() -> None:
    l4, a100 = cost_on(gpu="l4", gpus_per_cell=1), cost_on(gpus_per_cell=1)
    assert l4.expected_flops == a100.expected_flops
    assert l4.seconds == pytest.approx(l4.expected_flops / (0.24 * 121e12))
    assert a100.seconds == pytest.approx(a100.expected_flops / (0.40 * 312e12))
    assert l4.gpu_hours == pytest.approx(l4.seconds / 3600)
    quarter = cost_on(gpu="L4", gpus_per_cell=0.25)
    assert quarter.seconds == pytest.approx(4 * l4.seconds)
    assert quarter.gpu_hours == pytest.approx(l4.gpu_hours)
    # A sweep for CPUs is told what it would be on a GPU.
    assert cost_on(gpu="L4").gpu_hours == pytest.approx(l4.gpu_hours)
    assert cost_on(gpu="L4").seconds > l4.seconds


def test_the_price_is_the_users_or_the_lists() -> None:
    l4 = known_gpu("L4")
    assert l4 is not None
    assert dollars_per_gpu_hour(Sweep(gpu="L4")) == l4.dollars_per_hour
    assert dollars_per_gpu_hour(Sweep(gpu="L4", dollars_per_gpu_hour=0.25)) == 0.25
    assert dollars_per_gpu_hour(Sweep(gpu="RTX 4090")) is None


@pytest.mark.parametrize(
    ("said", "fields", "rate"),
    [
        ({}, {}, 2000.0),
        ({"num_ranks": 8}, {}, 250.0),  # a group of eight is eight slots
        # What ran on something else says nothing of what is planned.
        ({}, {"gpus_per_cell": 1}, None),
        ({"gpu": "NVIDIA L4"}, {}, None),
        ({"gpu": "NVIDIA L4"}, {"gpus_per_cell": 1}, 2000.0),
        ({"gpu": "NVIDIA L4"}, {"gpus_per_cell": 1, "gpu": "L4"}, 2000.0),
        ({"gpu": "NVIDIA L4"}, {"gpus_per_cell": 1, "gpu": "H100"}, None),
        ({"gpu": "NVIDIA L4", "gpus_per_rank": 0.25}, {"gpus_per_cell": 1}, None),
        ({"gpu": "NVIDIA L4", "gpus_per_rank": 0.25}, {"gpus_per_cell": 0.25}, 2000.0),
    ],
)
def test_rates_are_of_a_slot_like_those_that_are_planned(
    said: dict[str, Any], fields: dict[str, Any], rate: float | None
) -> None:
    ledger = Ledger({"a": result_of(**said)}, frozenset(), frozenset(), begun=frozenset())
    found = ledger.flops_per_second(Sweep(**fields))
    assert found == ({} if rate is None else {"nano": pytest.approx(rate * RATE)})


@pytest.mark.parametrize(
    ("compile", "gpus_per_cell", "seconds"),
    [
        # Cells of the demo's sizes are too short for it.
        ("auto", 1, 0.0),
        ("blocks", 1, 2 * COMPILE_SECONDS["blocks"]),
        ("blocks", 0, 2 * COMPILE_SECONDS["blocks"]),
        ("off", 1, 0.0),
    ],
)
def test_what_is_compiled_is_once_per_model_in_each_slot(
    compile: str, gpus_per_cell: float, seconds: float
) -> None:
    stages = ("pretrain", "scratch", "finetune")
    fields: dict[str, Any] = {
        "models": ["nano", "micro"],
        "gpus_per_cell": gpus_per_cell,
        "protocol": {stage: {"compile": compile} for stage in stages},
    }
    sweep = Sweep.model_validate(fields)
    assert compile_seconds(build_grid(sweep), sweep) == seconds


def test_a_group_takes_as_many_slots_as_workers_and_is_so_much_faster() -> None:
    cells = [cell for cell in build_grid(Sweep(seeds=(0,))) if cell.stage is Stage.SCRATCH]
    large, *small = cells
    seconds = {cell.cell_id: 10.0 for cell in small} | {large.cell_id: 80.0}
    alone = simulate(cells, seconds, 4)
    assert alone.makespan_seconds == 80
    together = simulate(cells, seconds, 4, {large.cell_id: 4})
    assert together.makespan_seconds == 20 + 10 * -(-len(small) // 4)
    assert set(together.order) == set(cells)
    # More workers than slots: as many as there are.
    assert simulate([large], seconds, 4, {large.cell_id: 8}).makespan_seconds == 20


def test_disk_is_that_of_weights_languages_and_checkpoints(tmp_path: Path) -> None:
    sweep = Sweep(storage=tmp_path)
    cells = build_grid(sweep)
    trained = [cell for cell in cells if cell.stage is not Stage.ZEROSHOT]
    parameters = MODELS["nano"].num_parameters
    # Weights, two moments, the best and the average.
    assert {checkpoint_bytes(cell, sweep) for cell in trained} == {5 * 4 * parameters}
    everything = sweep.model_copy(update={"keep_weights": "all"})
    pretrains = [cell for cell in cells if cell.stage is Stage.PRETRAIN]
    # MLflow has the pretrains once more, beside its store.
    num_weights = len(trained) + len(pretrains)
    assert disk(cells, everything, 2).weights_bytes == 4 * parameters * num_weights
    logged = everything.model_copy(update={"log_models": "all"})
    assert disk(cells, logged, 2).weights_bytes == 4 * parameters * 2 * len(trained)
    needed = disk(cells, sweep, num_at_once=2)
    assert needed.weights_bytes == 4 * parameters * 2 * len(pretrains)
    elsewhere = sweep.model_copy(update={"tracking_uri": "http://127.0.0.1:5000"})
    assert disk(cells, elsewhere, 2).weights_bytes == 4 * parameters * len(pretrains)
    assert needed.checkpoints_bytes == 3 * 2 * 5 * 4 * parameters
    assert needed.languages_bytes > sum(sweep.train_bytes().values())
    assert needed.max_bytes > needed.weights_bytes + needed.checkpoints_bytes
