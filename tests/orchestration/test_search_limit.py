"""A sweep takes no more of a cluster than its slots."""

from __future__ import annotations

from ray.tune.search import Searcher

from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.schedule import Schedule
from raydt.orchestration.search import GridSearcher


def test_no_more_cells_are_out_than_slots() -> None:
    cells = build_grid(Sweep(sources=("related",), targets=("alba",), seeds=(0,)))
    schedule = Schedule(cells, {cell.cell_id: 1.0 for cell in cells})
    tasks = {cell.cell_id: {"cell_id": cell.cell_id} for cell in cells}
    searcher = GridSearcher(schedule, tasks, lambda _: True, lambda _: None, max_running=2)
    done = 0
    out: list[str] = []
    while (suggested := searcher.suggest(str(done + len(out)))) != Searcher.FINISHED:
        if suggested is None:
            assert len(out) == 2 or done < len(cells)
            searcher.on_trial_complete(out.pop(0))
            done += 1
            continue
        out.append(str(done + len(out)))
        assert len(out) <= 2
    assert done + len(out) == len(cells)
