"""Which seed comes next, on planted sweeps whose noise is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.refine.rule import PrecisionRule
from analysis.simulate.refined import PlannedWorld, Trained, covered, refined, seconds_of
from analysis.simulate.world import Noise
from raydt.errors import InputError
from raydt.grid.refining import Known
from raydt.tracking.schema import Stage, Status

WORLD = PlannedWorld(rungs=tuple(8_000 * 4**rung for rung in range(5)))
RESAMPLES = 200


def rule(until: float) -> PrecisionRule:
    return PrecisionRule(until, num_resamples=RESAMPLES)


def sweep(world: PlannedWorld = WORLD, seed: int = 1) -> Trained:
    """As declared, all done."""
    trained = Trained(world, np.random.default_rng(seed))
    trained.train(world.cells(world.num_seeds))
    return trained


def test_seeds_are_added_until_every_interval_is_narrow_enough() -> None:
    trained = refined(WORLD, 1.2, np.random.default_rng(3))
    last = PrecisionRule(1.2, num_resamples=300).choose(trained.known())
    assert not last.cells
    assert 1 < last.widest <= 1.2
    assert len(trained.cells) > len(WORLD.cells(2)), "it was not narrow enough to begin with"


def test_nothing_is_bought_for_intervals_that_are_narrow_enough() -> None:
    assert not rule(50.0).choose(sweep().known()).cells


def test_a_new_pretrain_comes_with_finetunes_of_it_and_no_pretrain_is_used_twice() -> None:
    """Where the luck of pretrains is all there is, scratch seeds are of no use, and a second
    finetune of a pretrain would share its luck."""
    world = replace(WORLD, noise=Noise(own=0.0005, pretrain=0.02))
    trained = sweep(world)
    choice = rule(1.1).choose(trained.known())
    pretrain, *children = choice.cells
    assert pretrain.stage is Stage.PRETRAIN
    assert pretrain.seed == 2
    assert children
    assert {(cell.stage, cell.seed, cell.parent_id) for cell in children} == {
        (Stage.FINETUNE, 2, pretrain.cell_id)
    }
    for _ in range(6):
        trained.train(list(rule(1.1).choose(trained.known()).cells))
    of_one = [(c.source, c.target, c.size, c.seed) for c in trained.cells if c.source and c.target]
    assert len(of_one) == len(set(of_one))


def test_where_pretrains_cost_next_to_nothing_and_scratch_does_not_scratch_is_not_bought() -> None:
    trained = sweep()
    known = trained.known()

    def seconds(dear: Stage) -> Known:
        return replace(known, seconds=lambda cell: 1e6 if cell.stage is dear else 1.0)

    stages = {
        dear: {cell.stage for cell in rule(1.05).choose(seconds(dear)).cells}
        for dear in (Stage.SCRATCH, Stage.PRETRAIN)
    }
    assert Stage.SCRATCH not in stages[Stage.SCRATCH]
    assert stages[Stage.PRETRAIN] == {Stage.SCRATCH}


def test_what_runs_counts_as_done_so_that_it_is_not_bought_twice() -> None:
    trained = sweep()
    first = rule(1.05).choose(trained.known())
    known = replace(trained.known(), cells=[*trained.cells, *first.cells])
    second = rule(1.05).choose(known)
    assert second.cells
    assert second.widest <= first.widest
    assert not {c.cell_id for c in first.cells} & {c.cell_id for c in second.cells}


def test_a_kind_of_cell_that_came_to_nothing_is_not_asked_for_again() -> None:
    trained = sweep()
    failed = rule(1.05).choose(trained.known()).cells
    results = dict(trained.results)
    for cell in failed:
        some = next(iter(trained.results.values()))
        results[cell.cell_id] = some.model_copy(
            update={"cell_id": cell.cell_id, "status": Status.DIVERGED}
        )
    lost = frozenset(cell.cell_id for cell in failed)
    known = Known([*trained.cells, *failed], results, lost, seconds_of)
    kinds = {(c.stage, c.source, c.target, c.size) for c in failed if c.stage is not Stage.PRETRAIN}
    for _ in range(5):
        choice = rule(1.05).choose(known)
        again = {(c.stage, c.source, c.target, c.size) for c in choice.cells}
        assert not kinds & again
        known = replace(known, cells=[*known.cells, *choice.cells])


def test_pretrains_without_weights_get_no_more_finetunes() -> None:
    trained = sweep()
    # A pretrain that one finetune only was made of.
    lone = replace(trained.cells[0], stage=Stage.PRETRAIN, source="s0", target=None, seed=9)
    lone = replace(lone, size=next(c.size for c in trained.cells if c.stage is Stage.PRETRAIN))
    known = replace(trained.known(), cells=[*trained.cells, lone])
    with_weights = rule(1.02).forecast(known, 400.0)
    without = rule(1.02).forecast(replace(known, can_start=lambda cell: cell.seed != 9), 400.0)
    seeds = [
        {c.seed for choice in found for c in choice.cells if c.stage is Stage.FINETUNE}
        for found in (with_weights, without)
    ]
    assert 9 in seeds[0]
    assert 9 not in seeds[1]


def test_a_forecast_comes_to_an_end_and_keeps_to_its_budget() -> None:
    trained = sweep()
    whole = rule(1.2).forecast(trained.known())
    assert not whole[-1].cells
    assert whole[-1].widest <= 1.2 < whole[0].widest
    all_seconds = sum(choice.seconds for choice in whole)
    part = rule(1.2).forecast(trained.known(), all_seconds / 2)
    assert 0 < sum(choice.seconds for choice in part) <= all_seconds / 2


def test_one_seed_says_nothing_of_the_noise() -> None:
    with pytest.raises(InputError, match="two seeds"):
        rule(1.5).choose(sweep(replace(WORLD, num_seeds=1)).known())


def test_nothing_is_known_of_a_sweep_of_which_nothing_is_done() -> None:
    cells = WORLD.cells(2)
    assert rule(1.5).choose(Known(cells, {}, frozenset(), seconds_of)).cells == ()


def test_intervals_of_refined_sweeps_hold_what_was_planted() -> None:
    held = [one for seed in range(4) for one in covered(refined(WORLD, 1.25, _random(seed)))]
    assert np.mean(held) > 0.75, "of 24 intervals of 90 %, fewer would be a chance in 100"


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
