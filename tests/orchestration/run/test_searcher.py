from __future__ import annotations

import pickle
from collections.abc import Callable

from ray.tune.search import Searcher

from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.schedule import Schedule
from raydt.orchestration.run.searcher import GridSearcher
from raydt.tracking.schema import Stage


def searcher(
    done: set[str],
    blocked: list[Cell],
    cancelled: frozenset[str] = frozenset(),
    has_room: Callable[[dict, list[dict]], bool] = lambda task, running: True,
) -> GridSearcher:
    sweep = Sweep(sources=("related", "nonsense"), targets=("alba",), sizes=("2k",), seeds=(0,))
    cells = build_grid(sweep)
    seconds = {cell.cell_id: 1.0 for cell in cells}
    return GridSearcher(
        Schedule(cells, seconds),
        lambda cell_id: None if cell_id in cancelled else {"cell_id": cell_id},
        lambda cell_id: {"status": "done"} if cell_id in done else None,
        blocked.append,
        has_room,
    )


def suggested(search: GridSearcher, trial: str) -> str | None:
    config = search.suggest(trial)
    return config["task"]["cell_id"] if isinstance(config, dict) else config


def test_a_finetune_is_handed_out_when_its_own_parent_is_done() -> None:
    done: set[str] = set()
    search = searcher(done, [])
    first = [suggested(search, trial) for trial in "abcd"]
    assert first[3] is None, "the rest waits"
    assert {cell_id.split("/")[0] for cell_id in first[:3] if cell_id} == {
        Stage.PRETRAIN,
        Stage.SCRATCH,
    }
    parent = first[0]
    done.add(parent)
    search.on_trial_complete("a")
    child = suggested(search, "e")
    assert child is not None
    assert parent.split("/")[1] in child
    assert child.split("/")[0] in (Stage.FINETUNE, Stage.ZEROSHOT)


def test_children_of_what_failed_or_diverged_are_blocked_and_the_search_ends() -> None:
    blocked: list[Cell] = []
    search = searcher(set(), blocked)
    for trial in "abc":
        search.suggest(trial)
    search.on_trial_complete("a", error=True)
    search.on_trial_complete("b")  # ended, but the ledger does not say done: it diverged
    search.on_trial_complete("c")
    assert len(blocked) == 4
    assert search.suggest("d") == Searcher.FINISHED


def test_tune_may_pickle_it_and_does_not_limit_it() -> None:
    search = searcher(set(), [])
    assert search.set_max_concurrency(3) is True
    assert type(pickle.loads(pickle.dumps(search))) is object


def test_a_cancelled_cell_is_not_handed_out_and_blocks_its_children() -> None:
    blocked: list[Cell] = []
    cancelled = frozenset({"pretrain/related/800k/nano/s0"})
    search = searcher(set(), blocked, cancelled)
    handed_out = [suggested(search, trial) for trial in "abc"]
    assert "pretrain/related/800k/nano/s0" not in handed_out
    assert {cell.source for cell in blocked} == {"related"}


def test_a_cell_without_room_waits_and_is_handed_out_first() -> None:
    room = [False]
    search = searcher(set(), [], has_room=lambda task, running: room[0])
    first = suggested(search, "a")
    assert first is not None, "where nothing runs there is always room"
    assert suggested(search, "b") is None
    room[0] = True
    second = suggested(search, "c")
    assert second not in (None, first)
