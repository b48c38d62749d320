"""An estimate of the disk space that a sweep needs, on the high side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.tracking.schema import Stage
from raydt.tracking.uri import sqlite_path

_BYTES = 4  # per float32
_KEPT = 3  # checkpoints per cell: two, and the one being written


@dataclass(frozen=True)
class Disk:
    """Bytes on the storage, permanent and while cells run."""

    # Of all cells whose weights are kept, with MLflow's copies: see `Sweep.keep_weights` and
    # `Sweep.log_models`.
    weights_bytes: int
    languages_bytes: int
    checkpoints_bytes: int  # of the largest cells that can run at the same time

    @property
    def max_bytes(self) -> int:
        """Maximum at any time."""
        return self.weights_bytes + self.languages_bytes + self.checkpoints_bytes


def disk(cells: Iterable[Cell], sweep: Sweep, num_at_once: int) -> Disk:
    """Disk space of a whole sweep with `num_at_once` cells running at the same time."""
    protocol = sweep.protocol
    cells = list(cells)
    kept = {cell.parent_id for cell in cells}
    trained = [cell for cell in cells if cell.stage is not Stage.ZEROSHOT]
    checkpoints = sorted((checkpoint_bytes(cell, sweep) for cell in trained), reverse=True)
    # MLflow's copies lie beside its store, where that is a file.
    is_here = sqlite_path(sweep.store_uri) is not None
    logged = {stage: is_here and sweep.logs_model(stage) for stage in Stage}
    held_out = protocol.most_val_bytes + protocol.most_test_bytes
    return Disk(
        weights_bytes=sum(
            _BYTES * sweep.model(cell.model).num_parameters * (1 + logged[cell.stage])
            for cell in trained
            if sweep.keep_weights == "all" or cell.cell_id in kept
        ),
        languages_bytes=sum(
            size + held_out
            for size in (*sweep.train_bytes().values(), *(m.train_bytes for m in sweep.mixed()))
        ),
        checkpoints_bytes=_KEPT * sum(checkpoints[:num_at_once]),
    )


def checkpoint_bytes(cell: Cell, sweep: Sweep) -> int:
    """Size of one checkpoint of a cell: weights, two moments for AdamW (one for Muon), the best
    weights so far and, if it has one, the average."""
    copies = 4 + (sweep.protocol.recipe(cell.stage).average != "none")
    return copies * _BYTES * sweep.model(cell.model).num_parameters
