"""What a cell costs: bytes and FLOPs exactly, seconds as an estimate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.tracking.schema import Stage

# One x86 core with AVX-512, as `benchmarks/training.py` measures it with the model `nano`; used
# only until a sweep has cells of its own to go by.
ASSUMED_CORE_FLOPS_PER_SECOND = 3.5e10
# GPU-hours are those of one A100 at 40 % of its 312 TFLOP/s (bf16).
ASSUMED_GPU_FLOPS_PER_SECOND = 0.4 * 312e12


@dataclass(frozen=True)
class Cost:
    """`budget_bytes` is an upper bound: early stopping may use less."""

    budget_bytes: int
    flops: int
    seconds: float  # on one slot

    @property
    def gpu_hours(self) -> float:
        """On the GPU of `ASSUMED_GPU_FLOPS_PER_SECOND`."""
        return self.flops / ASSUMED_GPU_FLOPS_PER_SECOND / 3600


def cell_cost(cell: Cell, sweep: Sweep, flops_per_second: Mapping[str, float]) -> Cost:
    """Cost of a cell, `flops_per_second` measured per model where there is a measurement."""
    model = MODELS[cell.model]
    protocol = sweep.protocol
    if cell.stage is Stage.ZEROSHOT:
        budget_bytes = 0
    else:
        recipe = protocol.recipe(cell.stage)
        size_bytes = cell.size.num_bytes
        budget_bytes = (
            recipe.num_steps(size_bytes, model.window_bytes)
            * recipe.batch_windows(size_bytes, model.window_bytes)
            * model.window_bytes
        )
    evaluated_bytes = protocol.evaluated_bytes(cell.stage, model.window_bytes)
    flops = (
        budget_bytes * model.training_flops_per_byte
        + evaluated_bytes * model.forward_flops_per_byte
    )
    rate = flops_per_second.get(cell.model, assumed_flops_per_second(sweep))
    return Cost(budget_bytes, flops, flops / rate)


def cell_costs(
    cells: Iterable[Cell], sweep: Sweep, flops_per_second: Mapping[str, float]
) -> dict[str, Cost]:
    """Of each cell, by its id. Cells of one stage, size and model cost alike, and are many."""
    alike: dict[tuple[Stage, int, str], Cost] = {}
    costs = {}
    for cell in cells:
        key = (cell.stage, cell.size.num_bytes, cell.model)
        if key not in alike:
            alike[key] = cell_cost(cell, sweep, flops_per_second)
        costs[cell.cell_id] = alike[key]
    return costs


def assumed_flops_per_second(sweep: Sweep) -> float:
    """Of a slot, before anything was measured: its GPUs, or a core."""
    if sweep.gpus_per_cell > 0:
        return sweep.gpus_per_cell * ASSUMED_GPU_FLOPS_PER_SECOND
    return ASSUMED_CORE_FLOPS_PER_SECOND


def workers_of(cell: Cell, sweep: Sweep, seconds: float) -> int:
    """How many workers train the cell together; 0: it is trained in its trial's own process,
    because a worker group would take longer to start than it saves.

    As many as there may be that share the windows of a step evenly.
    """
    if cell.stage is Stage.ZEROSHOT or seconds < sweep.large_cell_seconds or sweep.workers == 0:
        return 0
    window_bytes = MODELS[cell.model].window_bytes
    batch = sweep.protocol.recipe(cell.stage).batch_windows(cell.size.num_bytes, window_bytes)
    return max(number for number in range(1, sweep.workers + 1) if batch % number == 0)
