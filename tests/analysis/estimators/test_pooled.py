"""`pooled`: a ladder read with the help of the model's other targets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.effective import Resamples, effective_table, estimates_table
from analysis.estimators.answer import Range
from analysis.estimators.interpolated import loglog, scratch_log_loss
from analysis.estimators.pooled import pooled
from analysis.ladder import Ladder, Pool, cell_means, ladders
from analysis.laws.hierarchical import fit_common_law
from analysis.simulate.plants import equal
from analysis.simulate.short_ladders import READERS, short_ladders
from analysis.simulate.world import TEN, World
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.errors import InputError

RUNGS = 8e3 * 4.0 ** np.arange(3)


def world(num_targets: int, noise: float = 0.0) -> Pool:
    random = np.random.default_rng(num_targets)
    found = []
    for target in range(num_targets):
        beta, share = 0.3 + 0.02 * (target % 4), 0.5 + 0.03 * (target % 3)
        loss = (1.6 + 0.1 * target) * (share + (1 - share) * (RUNGS / RUNGS[0]) ** -beta)
        found.append(
            Ladder(RUNGS, np.log(loss) + noise * random.standard_normal(3), np.full(3, 2.0))
        )
    return Pool(tuple(found), noise)


def ladder_in(pool: Pool, place: int) -> Ladder:
    one = pool.ladders[place]
    return Ladder(one.num_bytes, one.log_loss, one.num_seeds, pool=pool)


def test_short_ladders_of_eight_targets_are_read_twice_as_well_as_by_single_laws() -> None:
    errors: dict[str, list[float]] = {name: [] for name in READERS}
    for trial in range(5):
        found, _ = short_ladders("noise 1 %", trial)
        for name, values in found.items():
            assert values.shape == (8, 6)
            errors[name].append(float((values**2).mean()))
    error = {name: np.sqrt(np.mean(values)) for name, values in errors.items()}
    assert error["pooled"] <= error["law"] / 2
    assert error["pooled"] < error["guided"]


def test_without_noise_laws_are_read_exactly() -> None:
    pool = world(8)
    for place, target in ((0, 8e3 * 1.5), (5, 8e3 * 7)):
        beta, share = 0.3 + 0.02 * (place % 4), 0.5 + 0.03 * (place % 3)
        loss = (1.6 + 0.1 * place) * (share + (1 - share) * (target / RUNGS[0]) ** -beta)
        answer = pooled(ladder_in(pool, place), np.log(loss), 8e3)
        assert float(answer.effective_bytes) == pytest.approx(target, rel=0.01)


def test_what_targets_have_in_common_is_found() -> None:
    random = np.random.default_rng(3)
    rungs = 8e3 * 4.0 ** np.arange(6)
    found = []
    for _ in range(12):
        beta = 0.35 * np.exp(0.2 * random.standard_normal())
        loss = 1.8 * (0.5 + 0.5 * (rungs / rungs[0]) ** -beta)
        found.append(Ladder(rungs, np.log(loss) + 0.002 * random.standard_normal(6), np.ones(6)))
    common = fit_common_law(found, 0.002)
    assert common is not None
    assert np.exp(common.mean[1]) == pytest.approx(0.35, rel=0.25)
    assert 0.1 < common.sd[1] < 0.4
    assert common.misfit < 0.002


def test_a_short_ladder_leans_on_the_others_and_a_long_one_stands_alone() -> None:
    # All have beta 0.3 but the first, which is of 0.6: told by seven rungs, and not by two.
    def planted(beta: float, num: int) -> Ladder:
        rungs = 8e3 * 4.0 ** np.arange(num)
        loss = 1.8 * (0.3 + 0.7 * (rungs / 8e3) ** -beta)
        return Ladder(rungs, np.log(loss), np.full(num, 2.0))

    others = [planted(0.3 + 0.005 * place, 7) for place in range(6)]
    for num, closest in ((7, 0.6), (2, 0.45)):
        own = planted(0.6, num)
        common = fit_common_law([own, *others], 0.05)
        assert common is not None
        beta = float(np.exp(common.of(own, common.mean)[1]))
        assert (beta > 0.45) == (closest == 0.6), (num, beta)


def test_too_few_targets_are_an_error_and_no_other_estimator_answers() -> None:
    for pool in (None, world(2)):
        ladder = Ladder(RUNGS, np.log([2.0, 1.5, 1.2]), np.ones(3), pool=pool)
        with pytest.raises(InputError, match="at least 3 targets"):
            pooled(ladder, np.log(1.4), 8e3)


POOL = world(5, 0.02)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 4), st.floats(0.4, 3.5), st.sampled_from([0.0, 8e3, 20e3, 32e3, 128e3]))
def test_sign_and_bounds_are_those_of_every_estimator(
    place: int, finetuned: float, finetune_bytes: float
) -> None:
    ladder, log_loss = ladder_in(POOL, place), np.asarray(np.log(finetuned))
    answer = pooled(ladder, log_loss, finetune_bytes)
    expected = loglog(ladder, log_loss, finetune_bytes)
    if expected.range != Range.INSIDE:
        assert answer.range == expected.range
        assert answer.effective_bytes == expected.effective_bytes
    gap = float(scratch_log_loss(ladder, finetune_bytes) - log_loss)
    transferred = float(answer.effective_bytes) - finetune_bytes
    if np.isfinite(gap) and answer.range == Range.INSIDE:
        assert np.sign(transferred) in (0, np.sign(gap))


def test_tables_have_it_where_there_are_targets_enough() -> None:
    random = np.random.default_rng(0)
    for num, present in ((5, True), (2, False)):
        cells, _ = World(TEN[:num], 2, equal).grow(random)
        means = cell_means(cells)
        drawn = draw_means(
            means, pooled_noise(means, cells), num_resamples=100, random=random, cells=cells
        )
        table = estimates_table(means, Resamples(drawn, 0.9))
        rows = table[table["estimator"] == "pooled"]
        assert bool(len(rows)) == present
        if present:
            inside = rows[rows["range"] == "inside"]
            assert (inside["effective_low_bytes"] <= inside["effective_bytes"] * 1.02).all()
            assert (inside["effective_bytes"] <= inside["effective_high_bytes"] * 1.02).all()
            chosen = effective_table(means, Resamples(drawn, 0.9), estimator="pooled")
            assert set(chosen["estimator"]) == {"pooled"}
            assert len(ladders(means)) == num
        else:
            with pytest.raises(InputError, match="pooled"):
                effective_table(means, Resamples(drawn, 0.9), estimator="pooled")
