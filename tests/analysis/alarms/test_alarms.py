"""Alarms: each planted fault is named with its kind and place, and a clean sweep raises none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.alarms.alarm import Alarm, Kind
from analysis.alarms.every import alarms_table
from raydt.errors import Problem

Raise = Callable[..., list[Alarm]]


def of_kind(found: list[Alarm], kind: Kind) -> list[Alarm]:
    return [alarm for alarm in found if alarm.kind is kind]


def test_a_clean_sweep_raises_none(raised: Raise, make_planted: Any) -> None:
    found = raised(make_planted(worth={"near": 40_000, "far": 16_000, "also": 20_000}).cells())
    assert found == []


def test_a_rise_within_the_noise_is_told_from_one_beyond_it(
    raised: Raise, make_planted: Any, change: Any
) -> None:
    def bumped(loss_of_128k: float) -> list[Alarm]:
        cells = make_planted(noise=0.01).cells()
        before = [c for c in cells if c.cell_id.startswith("scratch/de/32k")]
        mean = float(np.mean([cell.loss for cell in before]))
        return raised(
            change(cell, loss=mean * loss_of_128k)
            if cell.stage == "scratch" and cell.target == "de" and cell.size_bytes == 128_000
            else cell
            for cell in cells
        )

    (alarm,) = of_kind(bumped(1.2), Kind.NOT_MONOTONE)
    assert alarm.where == "de"
    assert "more than seeds explain" in alarm.message
    slight = bumped(1.0005)
    assert of_kind(slight, Kind.NOT_MONOTONE) == []
    (pooled,) = of_kind(slight, Kind.POOLED)
    assert "no more than seeds do" in pooled.message


def test_rungs_that_ran_out_of_steps_are_named(
    raised: Raise, make_planted: Any, change: Any
) -> None:
    cells = make_planted(targets=("de",)).cells()
    small = [c.cell_id for c in cells if c.stage == "scratch" and c.size_bytes == 8_000]
    cells = [change(c, stopped="budget") if c.cell_id in small else c for c in cells]
    still_falling = {cell_id: {"bytes_seen": 1e6, "best_bytes_seen": 1e6} for cell_id in small}
    found = raised(cells, still_falling)
    (alarm,) = of_kind(found, Kind.STEP_LIMITED)
    assert (alarm.where, "rungs 8k of de" in alarm.message) == ("de", True)
    (last,) = of_kind(found, Kind.LAST_CHECKPOINT)
    assert last.message.startswith("3 of ")
    (budget,) = of_kind(found, Kind.AT_BUDGET)
    assert budget.message.startswith("3 of ")
    # One that was best before its end had stopped improving.
    had_stopped = {cell_id: {"bytes_seen": 1e6, "best_bytes_seen": 5e5} for cell_id in small}
    assert of_kind(raised(cells, had_stopped), Kind.STEP_LIMITED) == []
    assert of_kind(raised(cells, had_stopped), Kind.LAST_CHECKPOINT) == []


def test_cells_of_different_number_types_are_counted(
    raised: Raise, make_planted: Any, change: Any
) -> None:
    cells = make_planted(targets=("de",)).cells()
    alike = [change(cell, precision="bfloat16") for cell in cells]
    assert of_kind(raised(alike), Kind.PRECISIONS) == []
    # What an earlier version trained does not say, and raises none.
    assert of_kind(raised([*alike[:-1], cells[-1]]), Kind.PRECISIONS) == []
    mixed = [*alike[:-2], *(change(cell, precision="float32") for cell in cells[-2:])]
    (alarm,) = of_kind(raised(mixed), Kind.PRECISIONS)
    assert f"{len(cells) - 2} cells in bfloat16, 2 cells in float32" in alarm.message


def test_a_ladder_that_gets_steeper_was_limited_by_steps(raised: Raise, make_cell: Any) -> None:
    # As in the published grid: 12 steps an epoch on the small rungs.
    losses = {6_000_000: 2.70, 19_000_000: 2.33, 60_000_000: 1.37, 189_000_000: 1.17}
    cells = [make_cell("scratch", None, "de", size, loss=loss) for size, loss in losses.items()]
    (alarm,) = of_kind(raised(cells), Kind.STEP_LIMITED)
    assert alarm.where == "de"
    assert "the rungs 6M, 19M were" in alarm.message


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_source_whose_finetunes_are_all_outliers(
    raised: Raise, make_planted: Any, change: Any, seeds: tuple[int, ...]
) -> None:
    worth = {"near": 40_000, "far": 36_000, "also": 38_000, "lost": 37_000}
    cells = [
        change(cell, loss=cell.loss * 1.1)
        if cell.stage == "finetune" and cell.source == "lost"
        else cell
        for cell in make_planted(worth=worth, seeds=seeds).cells()
    ]
    (alarm,) = of_kind(raised(cells), Kind.FAILED_PRETRAIN)
    assert alarm.where == "lost"
    assert "Look at its pretraining" in alarm.message


def test_a_seed_whose_pretraining_failed(raised: Raise, make_planted: Any, change: Any) -> None:
    cells = [
        change(cell, loss=cell.loss * 1.1)
        if cell.stage == "finetune" and cell.source == "near" and cell.seed == 1
        else cell
        for cell in make_planted().cells()
    ]
    (alarm,) = of_kind(raised(cells), Kind.FAILED_PRETRAIN)
    assert alarm.where == "near s1"


def test_seeds_that_disagree_and_seeds_that_are_one(
    raised: Raise, make_planted: Any, change: Any
) -> None:
    cells = make_planted().cells()
    odd = [change(c, loss=c.loss * 1.2) if c.cell_id == "scratch/fi/32k/s1" else c for c in cells]
    (alarm,) = of_kind(raised(odd), Kind.SEEDS_DISAGREE)
    assert alarm.where == "scratch→fi 32k"
    same = of_kind(raised(make_planted(noise=0.0).cells()), Kind.IDENTICAL_SEEDS)
    assert {alarm.where for alarm in same} == {"scratch", "finetune", "zeroshot"}
    (single,) = of_kind(raised(make_planted(seeds=(0,)).cells()), Kind.ONE_SEED)
    assert single.message.startswith("One seed: no interval")


def test_the_sign_that_pooling_would_turn(raised: Raise, make_cell: Any) -> None:
    cells = [
        make_cell("scratch", None, "de", 8_000, loss=2.0),
        make_cell("scratch", None, "de", 32_000, loss=1.5),
        make_cell("scratch", None, "de", 128_000, loss=1.6),
        make_cell("finetune", "en", "de", 32_000, loss=1.52),
    ]
    (alarm,) = of_kind(raised(cells), Kind.POOLED_SIGN)
    assert alarm.where == "en→de 32k"
    assert "its own rung decides" in alarm.message


def test_alarms_are_a_table_too() -> None:
    found = [Alarm(Kind.TABLE, "run x", str(Problem("run x", "a seed", "none")))]
    table = alarms_table(found)
    assert table.to_dict("records") == [
        {"kind": "table", "where": "run x", "message": "run x: expected a seed, got none"}
    ]
    assert list(alarms_table([]).columns) == ["kind", "where", "message"]
