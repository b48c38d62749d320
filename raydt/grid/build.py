"""All cells of a sweep, parents before children."""

from __future__ import annotations

from collections import Counter

from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem
from raydt.grid.cell import NO_DATA, Cell
from raydt.tracking.schema import Stage


def build_grid(sweep: Sweep) -> list[Cell]:
    """Sources x targets x sizes x seeds x models: pretrains, scratch ladders, zero-shots and
    finetunes; and joint cells, where they are asked for."""
    cells: list[Cell] = []
    checkpoints, joint_data = sweep.checkpoints, sweep.joint_data
    for model in sweep.models:
        for seed in sweep.seeds:
            pretrains = {
                source: Cell(Stage.PRETRAIN, source, None, sweep.pretrain_size, seed, model)
                for source in dict.fromkeys(source for source, _ in sweep.pairs())
                if source not in checkpoints
            }
            cells += pretrains.values()
            cells += [
                Cell(Stage.SCRATCH, None, target, size, seed, model)
                for target in sweep.targets
                for size in sweep.ladder
            ]
            for source, target in sweep.pairs():
                # Of a checkpoint the weights are there.
                parent = None if source in checkpoints else pretrains[source].cell_id
                cells.append(Cell(Stage.ZEROSHOT, source, target, NO_DATA, seed, model, parent))
                cells += [
                    Cell(Stage.FINETUNE, source, target, size, seed, model, parent)
                    for size in sweep.sizes
                ]
            cells += [
                Cell(Stage.JOINT, source, target, size, seed, model)
                for source, target, size in joint_data
            ]
    repeated = sorted(
        cell_id for cell_id, n in Counter(cell.cell_id for cell in cells).items() if n > 1
    )
    if repeated:
        raise InputError(
            Problem(
                f"cell {cell_id}",
                "languages whose names, joined by a hyphen, tell their pairs apart",
                "two pairs of that name",
            )
            for cell_id in repeated
        )
    return cells
