"""FLOPs that a grid saves, compared with training each comparison on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from raydt.config.protocol import forwarded_bytes
from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.cost import Cost, Kind, kind_of
from raydt.grid.result import Result
from raydt.tracking.schema import Stage, Status


@dataclass(frozen=True)
class Savings:
    """FLOPs that are saved without changing an answer.

    `shared_ladders`: a target's scratch ladder is trained once, not once per source.
    `shared_pretrains`: a source is pretrained once, not once per finetune and zeroshot.
    `val_sample`: checkpoints are chosen on `val_bytes`, not on as many bytes as are reported.
    `stopped_early`: the unused budgets of done cells; `stopped_share` is their share of all
    budgets. Both are None before the first cell is done.
    """

    shared_ladders: int
    shared_pretrains: int
    val_sample: int
    stopped_early: int | None
    stopped_share: float | None
    test_loss_stderr: float | None  # nats per byte, the median of the done cells


def savings(
    cells: Sequence[Cell],
    sweep: Sweep,
    costs: Mapping[str, Cost],
    results: Mapping[str, Result],
) -> Savings:
    """The savings of a whole sweep, done or not; `results` come from the ledger."""
    sources_of = Counter(target for _, target in sweep.pairs())
    children_of = Counter(cell.parent_id for cell in cells)
    ladders = pretrains = val_sample = 0
    val_samples: dict[Kind, int] = {}  # a grid may have 100,000 cells
    for cell in cells:
        flops, kind = costs[cell.cell_id].expected_flops, kind_of(cell)
        if cell.stage is Stage.SCRATCH:
            assert cell.target is not None
            ladders += (sources_of[cell.target] - 1) * flops
        elif cell.stage is Stage.PRETRAIN:
            pretrains += (children_of[cell.cell_id] - 1) * flops
        if kind not in val_samples:
            val_samples[kind] = _val_sample(cell, costs[cell.cell_id], sweep)
        val_sample += val_samples[kind]
    stopped, budgets = _left_over(cells, sweep, costs, results)
    errors = [
        result.test_loss_stderr
        for result in results.values()
        if result.test_loss_stderr is not None
    ]
    return Savings(
        shared_ladders=ladders,
        shared_pretrains=pretrains,
        val_sample=val_sample,
        stopped_early=stopped if budgets else None,
        stopped_share=stopped / budgets if budgets else None,
        test_loss_stderr=median(errors) if errors else None,
    )


def _val_sample(cell: Cell, cost: Cost, sweep: Sweep) -> int:
    model, protocol = sweep.model(cell.model), sweep.protocol
    val = forwarded_bytes(protocol.most_val_bytes, model.window_bytes)
    test = forwarded_bytes(protocol.most_test_bytes, model.window_bytes)
    spared = max(0, test - val) * model.forward_flops_per_byte
    evaluations = protocol.num_evaluations(cell.stage, cell.train_bytes, cost.expected_bytes)
    return evaluations * spared


def _left_over(
    cells: Sequence[Cell],
    sweep: Sweep,
    costs: Mapping[str, Cost],
    results: Mapping[str, Result],
) -> tuple[int, int]:
    """Training FLOPs that done cells did not use, and those of their budgets."""
    left = budgets = 0
    for cell in cells:
        result = results.get(cell.cell_id)
        if result is None or result.status is not Status.DONE or cell.stage is Stage.ZEROSHOT:
            continue
        per_byte = sweep.model(cell.model).training_flops_per_byte
        budget_bytes = costs[cell.cell_id].budget_bytes
        budgets += budget_bytes * per_byte
        left += (budget_bytes - result.bytes_seen) * per_byte
    return left, budgets
