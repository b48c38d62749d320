"""The cost of a cell: its caps on bytes and FLOPs exactly, the rest as estimates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from raydt.config.compiling import COMPILE_SECONDS, what_compiles
from raydt.config.sweep import Sweep
from raydt.gpus import ASSUMED_GPU, Gpu, known_gpu
from raydt.grid.cell import Cell, is_tested_on_source
from raydt.grid.result import Result
from raydt.tracking.schema import Stage, Status

# Both are used only until a sweep has finished cells to estimate from.
# One x86 core with AVX-512, measured by `benchmarks/training.py` with the model `nano`.
ASSUMED_CORE_FLOPS_PER_SECOND = 3.5e10
# Epochs until a cell has converged, about what `nano` took (benchmarks/converged.py).
ASSUMED_EPOCHS = 25.0


@dataclass(frozen=True)
class Cost:
    """Bytes seen and FLOPs, expected and at most: a cell usually converges before it reaches its
    budget."""

    expected_bytes: int
    budget_bytes: int
    expected_flops: int
    flops: int  # at most
    source_test_flops: int  # included in both, for the test on the source's test split
    seconds: float  # expected, on one slot
    gpu_hours: float  # expected, on the sweep's GPUs; for a sweep on CPUs, on `planned_gpu`


# Stage, true bytes and model: the many cells of one kind have the same cost.
Kind = tuple[Stage, int, str]


def kind_of(cell: Cell) -> Kind:
    """The kind of a cell, on which its cost depends."""
    return cell.stage, cell.size.num_bytes, cell.model


def cell_cost(
    cell: Cell,
    sweep: Sweep,
    flops_per_second: Mapping[str, float],
    seen_bytes: Mapping[Kind, float],
) -> Cost:
    """The cost of a cell. `flops_per_second` has the measured rates by model, and `seen_bytes` the
    bytes seen by kind of cell; both only where cells have finished."""
    model = sweep.model(cell.model)
    protocol = sweep.protocol
    size_bytes = cell.train_bytes
    budget_bytes = expected_bytes = 0
    if cell.stage is not Stage.ZEROSHOT:
        recipe = protocol.recipe(cell.stage)
        budget_bytes = (
            recipe.num_steps(size_bytes, model.window_bytes)
            * recipe.batch_windows(size_bytes, model.window_bytes)
            * model.window_bytes
        )
        expected = float(budget_bytes)
        if recipe.schedule == "constant" and protocol.tolerance:
            expected = ASSUMED_EPOCHS * size_bytes
        expected = seen_bytes.get(kind_of(cell), expected)
        expected_bytes = min(budget_bytes, round(expected))

    source_test_flops = 0
    if is_tested_on_source(cell, sweep):
        source_test_flops = protocol.tested_bytes(model.window_bytes) * model.forward_flops_per_byte

    def flops(trained_bytes: int) -> int:
        evaluated = protocol.evaluated_bytes(
            cell.stage, size_bytes, model.window_bytes, trained_bytes
        )
        return (
            trained_bytes * model.training_flops_per_byte
            + evaluated * model.forward_flops_per_byte
            + source_test_flops
        )

    rate = flops_per_second.get(cell.model, assumed_flops_per_second(sweep))
    expected_flops = flops(expected_bytes)
    seconds = expected_flops / rate
    gpu_hours = seconds * sweep.gpus_per_cell / 3600
    if sweep.gpus_per_cell == 0:
        gpu_hours = expected_flops / planned_gpu(sweep).assumed_flops_per_second / 3600
    return Cost(
        expected_bytes,
        budget_bytes,
        expected_flops,
        flops(budget_bytes),
        source_test_flops,
        seconds,
        gpu_hours,
    )


def cell_costs(
    cells: Iterable[Cell],
    sweep: Sweep,
    flops_per_second: Mapping[str, float],
    seen_bytes: Mapping[Kind, float],
) -> dict[str, Cost]:
    """The costs of cells by cell id; arguments as in `cell_cost`."""
    by_kind: dict[tuple[Kind, bool], Cost] = {}
    costs = {}
    for cell in cells:
        kind = kind_of(cell), is_tested_on_source(cell, sweep)
        if kind not in by_kind:
            by_kind[kind] = cell_cost(cell, sweep, flops_per_second, seen_bytes)
        costs[cell.cell_id] = by_kind[kind]
    return costs


def seen_bytes(cells: Iterable[Cell], results: Mapping[str, Result]) -> dict[Kind, float]:
    """The median of the bytes that finished cells have seen, by kind."""
    seen: dict[Kind, list[int]] = {}
    for cell in cells:
        result = results.get(cell.cell_id)
        if result is not None and result.status is Status.DONE:
            seen.setdefault(kind_of(cell), []).append(result.bytes_seen)
    return {kind: median(each) for kind, each in seen.items()}


def with_gpu(sweep: Sweep, gpu: Gpu | None) -> Sweep:
    """The sweep with `gpu` as its GPU, unless it names one."""
    if sweep.gpu is not None or gpu is None:
        return sweep
    return sweep.model_copy(update={"gpu": gpu.name})


def planned_gpu(sweep: Sweep) -> Gpu:
    """The GPU for which time and cost are estimated."""
    return (sweep.gpu and known_gpu(sweep.gpu)) or ASSUMED_GPU


def assumed_flops_per_second(sweep: Sweep) -> float:
    """The assumed rate of a slot (its GPUs, a share of one, or a core) before any measurement."""
    if sweep.gpus_per_cell > 0:
        return sweep.gpus_per_cell * planned_gpu(sweep).assumed_flops_per_second
    return ASSUMED_CORE_FLOPS_PER_SECOND


def dollars_per_gpu_hour(sweep: Sweep) -> float | None:
    """The sweep's price, or that of the table in `raydt/gpus.py`; None if neither has one."""
    if sweep.dollars_per_gpu_hour is not None:
        return sweep.dollars_per_gpu_hour
    return planned_gpu(sweep).dollars_per_hour


def compile_seconds(cells: Iterable[Cell], sweep: Sweep) -> float:
    """Seconds that each slot spends on compiling for `cells`: once for each model and each thing
    that is compiled."""
    on_gpu = sweep.gpus_per_cell > 0
    needed = {
        (
            cell.model,
            what_compiles(
                sweep.protocol.recipe(cell.stage),
                cell.train_bytes,
                sweep.model(cell.model),
                on_gpu,
            ),
        )
        for cell in cells
        if cell.stage is not Stage.ZEROSHOT
    }
    return sum(COMPILE_SECONDS[what] for _, what in needed)


def workers_of(cell: Cell, sweep: Sweep, seconds: float) -> int:
    """The number of workers that train the cell together: the largest allowed one that divides the
    windows of a step evenly. 0: the cell is trained in its trial's own process, because a worker
    group would take longer to start than it saves.
    """
    if cell.stage is Stage.ZEROSHOT or seconds < sweep.large_cell_seconds or sweep.workers == 0:
        return 0
    window_bytes = sweep.model(cell.model).window_bytes
    batch = sweep.protocol.recipe(cell.stage).batch_windows(cell.train_bytes, window_bytes)
    return max(number for number in range(1, sweep.workers + 1) if batch % number == 0)
