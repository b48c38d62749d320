"""`raydt plan --next`: which unmeasured pairs would narrow the D_E matrix of a sweep most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raydt.config.sweep import Sweep

if TYPE_CHECKING:
    from analysis.completion.next_pairs import Next


def planned_next(sweep: Sweep, number: int) -> Next:
    """The next pairs of a sweep; `InputError` if its store cannot be read."""
    import numpy as np
    import pandas as pd

    from analysis.completion.next_pairs import next_pairs
    from analysis.effective import COLUMNS, Resamples, effective_with_draws
    from analysis.ladder import cell_means
    from analysis.store.read import read_sweep
    from analysis.table import tidy
    from raydt.grid.added import sweep_cells
    from raydt.grid.cost import cell_costs, seen_bytes
    from raydt.grid.ledger import Ledger
    from raydt.tracking.schema import Stage, Status

    cells = sweep_cells(sweep)
    ledger = Ledger.read(sweep, cells)
    costs = cell_costs(
        cells, sweep, ledger.flops_per_second(sweep), seen_bytes(cells, ledger.results)
    )
    missing = {cell.cell_id: cell for cell in cells if ledger.status(cell) is not Status.DONE}
    effective = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    if any(cell.stage is Stage.FINETUNE and cell.cell_id not in missing for cell in cells):
        means = cell_means(tidy(read_sweep(sweep.store_uri, sweep.name)).cells)
        # Only the values are needed, not their intervals, so nothing is resampled.
        unknown = Resamples(np.full((1, len(means)), np.nan), 0.9)
        effective, _ = effective_with_draws(means, unknown, spread=False)
    measured = set(zip(effective["source"], effective["target"], strict=True))
    pairs = sweep.pairs()
    needed = {
        (source, target): {
            cell.cell_id: costs[cell.cell_id].expected_flops
            for cell in missing.values()
            if cell.source in (source, None) and cell.target in (target, None)
        }
        for source, target in pairs
        if (source, target) not in measured
    }
    return next_pairs(effective, sweep.models, pairs, needed, number)
