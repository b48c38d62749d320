"""What a cell costs: bytes and FLOPs exactly, seconds as an estimate."""

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

# One x86 core with AVX-512, as `benchmarks/training.py` measures it with the model `nano`; used
# only until a sweep has cells of its own to go by.
ASSUMED_CORE_FLOPS_PER_SECOND = 3.5e10
# Passes over the data until `val` says that there is no more in them, about as many as `nano` took
# (benchmarks/converged.py); used only until a sweep has cells of its own to go by.
ASSUMED_EPOCHS = 25.0


@dataclass(frozen=True)
class Cost:
    """Bytes seen and FLOPs, as expected and at most: a cell ends when its data are used up, and its
    budget is a cap."""

    expected_bytes: int
    budget_bytes: int
    expected_flops: int
    flops: int  # at most
    source_test_flops: int  # of these, for the test on what the weights were pretrained on
    seconds: float  # expected, on one slot
    gpu_hours: float  # expected, on what the sweep runs on or, of one for CPUs, on `planned_gpu`


# Stage, true bytes and model: cells of one kind cost alike, and are many.
Kind = tuple[Stage, int, str]


def kind_of(cell: Cell) -> Kind:
    """What a cell's cost depends on."""
    return cell.stage, cell.size.num_bytes, cell.model


def cell_cost(
    cell: Cell,
    sweep: Sweep,
    flops_per_second: Mapping[str, float],
    seen_bytes: Mapping[Kind, float],
) -> Cost:
    """Cost of a cell, `flops_per_second` measured per model where there is a measurement, and
    `seen_bytes` per kind of cell where some are done."""
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
    """Of each cell, by its id."""
    alike: dict[tuple[Kind, bool], Cost] = {}
    costs = {}
    for cell in cells:
        kind = kind_of(cell), is_tested_on_source(cell, sweep)
        if kind not in alike:
            alike[kind] = cell_cost(cell, sweep, flops_per_second, seen_bytes)
        costs[cell.cell_id] = alike[kind]
    return costs


def seen_bytes(cells: Iterable[Cell], results: Mapping[str, Result]) -> dict[Kind, float]:
    """What done cells of each kind have seen: the median."""
    seen: dict[Kind, list[int]] = {}
    for cell in cells:
        result = results.get(cell.cell_id)
        if result is not None and result.status is Status.DONE:
            seen.setdefault(kind_of(cell), []).append(result.bytes_seen)
    return {kind: median(each) for kind, each in seen.items()}


def with_gpu(sweep: Sweep, gpu: Gpu | None) -> Sweep:
    """The sweep with the GPU that it would run on, where it names none itself."""
    if sweep.gpu is not None or gpu is None:
        return sweep
    return sweep.model_copy(update={"gpu": gpu.name})


def planned_gpu(sweep: Sweep) -> Gpu:
    """The GPU that time and cost are of."""
    return (sweep.gpu and known_gpu(sweep.gpu)) or ASSUMED_GPU


def assumed_flops_per_second(sweep: Sweep) -> float:
    """Of a slot, before anything was measured: its GPU or its share of one, or a core."""
    if sweep.gpus_per_cell > 0:
        return sweep.gpus_per_cell * planned_gpu(sweep).assumed_flops_per_second
    return ASSUMED_CORE_FLOPS_PER_SECOND


def dollars_per_gpu_hour(sweep: Sweep) -> float | None:
    """As the sweep says, else by the price list; None where nobody knows."""
    if sweep.dollars_per_gpu_hour is not None:
        return sweep.dollars_per_gpu_hour
    return planned_gpu(sweep).dollars_per_hour


def compile_seconds(cells: Iterable[Cell], sweep: Sweep) -> float:
    """What each slot compiles for `cells` before its first steps, once per model and way."""
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
    """How many workers train the cell together; 0: it is trained in its trial's own process,
    because a worker group would take longer to start than it saves.

    As many as there may be that share the windows of a step evenly.
    """
    if cell.stage is Stage.ZEROSHOT or seconds < sweep.large_cell_seconds or sweep.workers == 0:
        return 0
    window_bytes = sweep.model(cell.model).window_bytes
    batch = sweep.protocol.recipe(cell.stage).batch_windows(cell.train_bytes, window_bytes)
    return max(number for number in range(1, sweep.workers + 1) if batch % number == 0)
