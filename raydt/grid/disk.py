"""What a sweep takes of the storage: an estimate, above what it mostly is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.tracking.schema import Stage
from raydt.tracking.uri import sqlite_path

_BYTES = 4  # of a float32
_KEPT = 3  # checkpoints of a cell: two, and the one that is being written


@dataclass(frozen=True)
class Disk:
    """Bytes on the storage: for good, and while cells run."""

    # Of every cell whose weights are kept, and MLflow's copies: see `Sweep.keep_weights` and
    # `Sweep.log_models`.
    weights_bytes: int
    languages_bytes: int
    checkpoints_bytes: int  # of as many of the largest cells as run at once

    @property
    def most_bytes(self) -> int:
        """At any time."""
        return self.weights_bytes + self.languages_bytes + self.checkpoints_bytes


def disk(cells: Iterable[Cell], sweep: Sweep, num_at_once: int) -> Disk:
    """Of a whole sweep, of which `num_at_once` cells run at once."""
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
    """Of one checkpoint of a cell: weights, two moments of AdamW (Muon has one), the best weights
    so far and, where there is one, the average."""
    copies = 4 + (sweep.protocol.recipe(cell.stage).average != "none")
    return copies * _BYTES * sweep.model(cell.model).num_parameters
