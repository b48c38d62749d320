"""Cells that ran out of steps: what they had to gain decides whether an alarm is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.alarms.alarm import Alarm, Kind

Raise = Callable[..., list[Alarm]]


def of_kind(found: list[Alarm], kind: Kind) -> list[Alarm]:
    return [alarm for alarm in found if alarm.kind is kind]


@pytest.fixture
def ended(raised: Raise, make_planted: Any, change: Any) -> Raise:
    """Alarms of a planted sweep, every cell best at its last evaluation, of which some are capped
    and all so unfinished as is said."""

    def found(capped: Callable[[Any], bool], unfinished: float | None, **more: Any) -> list[Alarm]:
        cells = [
            change(c, unfinished=unfinished, stopped="budget" if capped(c) else c.stopped)
            if c.stage != "zeroshot"
            else c
            for c in make_planted(
                worth={"near": 40_000, "far": 16_000, "also": 20_000}, **more
            ).cells()
        ]
        seen = {cell.cell_id: {"bytes_seen": 1e6, "best_bytes_seen": 1e6} for cell in cells}
        return raised(cells, seen)

    return found


def test_cells_that_have_nothing_to_gain_raise_none(ended: Raise) -> None:
    # The noise of a mean of three is 0.0012.
    assert ended(lambda cell: True, 0.0005) == []
    # What val has ended is as finished as the protocol asks: its D_T has a bound, and no alarm.
    assert ended(lambda cell: False, 0.03) == []


def test_pretrains_are_a_treatment(ended: Raise) -> None:
    assert ended(lambda cell: cell.stage == "pretrain", 0.1) == []


def test_capped_cells_are_counted_and_the_largest_named(ended: Raise) -> None:
    found = ended(lambda cell: cell.size_bytes == 8_000, 0.03)
    (alarm,) = of_kind(found, Kind.AT_BUDGET)
    assert alarm.message.startswith("24 of 69 trained cells ended at the cap")
    assert alarm.message.count("→") == 3
    assert " 8k 3.0%" in alarm.message
    assert "and 5 more" in alarm.message
    (limited,) = of_kind(found, Kind.STEP_LIMITED)
    assert limited.where == "de, fi"
    assert "rungs 8k of de, fi ended at the budget" in limited.message
    assert of_kind(found, Kind.LAST_CHECKPOINT) == []


def test_one_capped_seed_of_three_counts_a_third(ended: Raise) -> None:
    one = of_kind(ended(lambda cell: cell.seed == 0, 0.012), Kind.AT_BUDGET)
    assert " 0.4%" in one[0].message
    assert of_kind(ended(lambda cell: cell.seed == 0, 0.002), Kind.AT_BUDGET) == []


def test_cells_that_do_not_report_it_are_judged_as_before_and_three_are_named(
    ended: Raise,
) -> None:
    found = ended(lambda cell: cell.size_bytes == 8_000, None)
    (budget,) = of_kind(found, Kind.AT_BUDGET)
    assert "24 of 69 trained cells stopped at the budget" in budget.message
    assert budget.message.count("/s") == 3
    assert "and 21 more" in budget.message
    (last,) = of_kind(found, Kind.LAST_CHECKPOINT)
    assert last.message.count("/s") == 3
    assert len(of_kind(found, Kind.STEP_LIMITED)) == 1


def test_noise_alone_makes_no_ladder_steeper(raised: Raise, make_cell: Any) -> None:
    """Planted: straight ladders that fall by 7 % a rung, and seeds 2 % apart."""
    random = np.random.default_rng(5)
    alarms, by_slope = 0, 0
    trials = 60
    for _ in range(trials):
        cells = [
            make_cell(
                "scratch",
                None,
                target,
                size,
                seed,
                loss=5 * size**-0.1 * np.exp(0.02 * random.standard_normal()),
            )
            for target in ("de", "fi", "et", "hu")
            for size in (2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
            for seed in (0, 1, 2)
        ]
        alarms += bool(of_kind(raised(cells), Kind.STEP_LIMITED))
        # One seed leaves the noise unknown, and the slopes alone decide.
        single = [cell for cell in cells if cell.seed == 0]
        by_slope += bool(of_kind(raised(single), Kind.STEP_LIMITED))
    assert alarms <= 0.05 * trials
    assert by_slope > 0.5 * trials


def test_a_ladder_that_is_steeper_than_its_noise_is_still_named(
    raised: Raise, make_cell: Any
) -> None:
    losses = {6_000_000: 2.70, 19_000_000: 2.33, 60_000_000: 1.37, 189_000_000: 1.17}
    random = np.random.default_rng(0)
    cells = [
        make_cell(
            "scratch", None, "de", size, seed, loss=loss * np.exp(0.01 * random.standard_normal())
        )
        for size, loss in losses.items()
        for seed in (0, 1, 2)
    ]
    (alarm,) = of_kind(raised(cells), Kind.STEP_LIMITED)
    assert "the rungs 6M, 19M were" in alarm.message
