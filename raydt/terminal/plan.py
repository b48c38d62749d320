"""The plan of a sweep as a table: every cell, what it starts from and what it costs."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raydt.config.sweep import Sweep
from raydt.grid.added import sweep_cells
from raydt.grid.cell import Cell
from raydt.grid.cost import cell_costs, compile_seconds, seen_bytes, workers_of
from raydt.grid.ledger import Ledger
from raydt.grid.savings import Savings, savings
from raydt.grid.schedule import simulate
from raydt.terminal.amounts import duration, short
from raydt.terminal.gpu_plan import basis, disk_needed, gpu_hours_of, slots_of_plan
from raydt.tracking.schema import Stage, Status
from raydt.units import approximate_bytes

_HEAD, _TAIL = 40, 5  # rows shown of a long plan


def show_plan(
    sweep: Sweep,
    console: Console,
    every_cell: bool = False,
    gpus_of_cluster: int | None = None,
) -> None:
    """Print the cells in the order in which they would start, with totals; on `gpus_of_cluster`
    where the plan is for a cluster.

    Of more than 45 cells the middle is left out unless `every_cell`.
    """
    cells = sweep_cells(sweep)
    ledger = Ledger.read(sweep, cells)
    rates = ledger.flops_per_second(sweep)
    costs = cell_costs(cells, sweep, rates, seen_bytes(cells, ledger.results))
    seconds = {cell_id: cost.seconds for cell_id, cost in costs.items()}
    done = [cell for cell in cells if ledger.status(cell) is Status.DONE]
    done_ids = {cell.cell_id for cell in done}
    missing = [cell for cell in cells if cell.cell_id not in done_ids]

    table = Table(
        title=escape(f"sweep {sweep.name}: {len(cells)} cells on {sweep.corpus}"),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
        show_edge=False,
    )
    table.add_column("cell", no_wrap=True)
    table.add_column("starts from", no_wrap=True)
    for column in ("data", "sees", "at most", "time", "GPU-h"):
        table.add_column(column, justify="right", no_wrap=True)
    num_slots, where = slots_of_plan(sweep, gpus_of_cluster)
    workers = {cell.cell_id: workers_of(cell, sweep, seconds[cell.cell_id]) for cell in missing}
    slots_of = {cell_id: number for cell_id, number in workers.items() if number}
    simulation = simulate(missing, seconds, num_slots, slots_of)
    ordered = [*done, *simulation.order]
    names = {cell.cell_id: cell.run_name for cell in cells}
    for number, cell in enumerate(ordered, start=1):
        if (
            not every_cell
            and len(ordered) > _HEAD + _TAIL
            and _HEAD < number <= len(ordered) - _TAIL
        ):
            if number == _HEAD + 1:
                table.add_row(f"… {len(ordered) - _HEAD - _TAIL} more (--all)", style="dim")
            continue
        cost = costs[cell.cell_id]
        is_done = cell.cell_id in done_ids
        table.add_row(
            cell.run_name,
            names[cell.parent_id] if cell.parent_id else _start(cell),
            approximate_bytes(cell.train_bytes),
            approximate_bytes(cost.expected_bytes),
            approximate_bytes(cost.budget_bytes),
            "done" if is_done else duration(cost.seconds),
            short(cost.gpu_hours),
            style="dim" if is_done else None,
        )
    console.print(table)

    to_do = [costs[cell.cell_id] for cell in missing]
    expected = sum(cost.expected_flops for cost in to_do)
    compiling = compile_seconds(missing, sweep)
    gpu_hours = sum(cost.gpu_hours for cost in to_do)
    gpu_hours += compiling * num_slots * sweep.gpus_per_cell / 3600
    console.print(
        f"{len(done)} done, {len(missing)} to do: about "
        f"{approximate_bytes(sum(cost.expected_bytes for cost in to_do))} bytes seen, "
        f"{short(expected)} FLOPs, "
        f"{duration(simulation.makespan_seconds + compiling)} with {num_slots} "
        f"at a time{where}, or {gpu_hours_of(sweep, gpu_hours)}; at most "
        f"{approximate_bytes(sum(cost.budget_bytes for cost in to_do))} bytes and "
        f"{short(sum(cost.flops for cost in to_do))} FLOPs"
    )
    console.print(basis(sweep, rates), style="dim")
    of_sources = sum(cost.source_test_flops for cost in to_do)
    if of_sources:
        console.print(
            f"What the source forgets: {of_sources / expected:.1%} of the FLOPs (--forgetting "
            "false: not measured).",
            style="dim",
        )
    if compiling:
        console.print(f"Compiling: {duration(compiling)} of it in each slot.", style="dim")
    console.print(disk_needed(cells, sweep, num_slots), style="dim")
    total = sum(cost.expected_flops for cost in costs.values())
    console.print(_saved(savings(cells, sweep, costs, ledger.results), total, sweep), style="dim")


def _start(cell: Cell) -> str:
    """What a cell without a parent starts from: weights from elsewhere, or none."""
    return "random" if cell.source is None or cell.stage is Stage.JOINT else cell.source


def _saved(saved: Savings, total: int, sweep: Sweep) -> str:
    """In words, each as a share of what the whole sweep costs."""

    def more(flops: int) -> str:
        return f"{flops / total:+.0%}"

    val_bytes = approximate_bytes(sweep.protocol.most_val_bytes)
    test_bytes = approximate_bytes(sweep.protocol.most_test_bytes)
    text = (
        f"Spared, of all FLOPs: a scratch ladder for each source {more(saved.shared_ladders)}, a "
        f"pretrain for each finetune {more(saved.shared_pretrains)}, choosing on {test_bytes} as "
        f"are reported and not on {val_bytes} {more(saved.val_sample)}."
    )
    if saved.stopped_share is None:
        return text
    text += f" What is done left {saved.stopped_share:.0%} of the bytes that it might have seen."
    if saved.test_loss_stderr is not None:
        text += f" The standard error of a test loss is {saved.test_loss_stderr:.3f} nats."
    return text
