"""D_E from a ladder: exact on rungs, a bound off the ladder, and the sign that it must have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimators.answer import Range
from analysis.estimators.by_law import law
from analysis.estimators.interpolated import (
    guided,
    linear,
    log_loss_at,
    loglog,
    pchip,
    scratch_log_loss,
)
from analysis.estimators.reference import nominal_bytes
from analysis.estimators.registry import CAUTIONS, DEFAULT, ESTIMATORS, POOLED, estimator_named
from analysis.ladder import Ladder, non_increasing
from raydt.errors import InputError


def ladder_of(
    num_bytes: list[float], loss: list[float], seeds: list[float] | None = None
) -> Ladder:
    weights = np.ones(len(loss)) if seeds is None else np.asarray(seeds, dtype=float)
    return Ladder(np.asarray(num_bytes, dtype=float), np.log(loss), weights)


def planted_curve(num_bytes: float) -> float:
    return float(0.9 + 20.0 * num_bytes**-0.35)


FALLING = ladder_of([8e3, 32e3, 128e3], [2.0, 1.5, 1.2])


def test_a_loss_of_a_rung_gives_that_rung_exactly() -> None:
    for size, log_loss in zip(FALLING.num_bytes, FALLING.log_loss, strict=True):
        answer = loglog(FALLING, np.asarray(log_loss), 8e3)
        assert float(answer.effective_bytes) == size
        assert answer.range == Range.INSIDE


def test_between_rungs_the_interpolation_is_linear_in_log_log() -> None:
    middle = (FALLING.log_loss[0] + FALLING.log_loss[1]) / 2
    answer = loglog(FALLING, np.asarray(middle), 8e3)
    assert float(answer.effective_bytes) == pytest.approx(np.sqrt(8e3 * 32e3), rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "bound", "place"), [(2.1, 8e3, Range.BELOW), (1.1, 128e3, Range.ABOVE)]
)
def test_off_the_ladder_the_answer_is_a_bound(loss: float, bound: float, place: Range) -> None:
    answer = loglog(FALLING, np.log(loss), 32e3)
    assert (float(answer.effective_bytes), answer.range) == (bound, place)


def test_one_rung_gives_bounds_and_the_tie() -> None:
    single = ladder_of([8e3], [2.0])
    losses = np.array([np.log(2.5), single.log_loss[0], np.log(1.5)])
    answer = loglog(single, losses, 8e3)
    assert answer.range.tolist() == [Range.BELOW, Range.INSIDE, Range.ABOVE]
    assert answer.effective_bytes.tolist() == [8e3, 8e3, 8e3]


def test_on_a_flat_stretch_a_finetune_that_equals_scratch_transferred_nothing() -> None:
    flat = ladder_of([8e3, 32e3, 128e3, 512e3], [2.0, 1.5, 1.5, 1.2])
    loss = flat.log_loss[1]
    for finetune_bytes, expected in ((8e3, 32e3), (32e3, 32e3), (64e3, 64e3), (128e3, 128e3)):
        for estimator in (guided, pchip, loglog, linear):
            answer = estimator(flat, np.asarray(loss), finetune_bytes)
            assert float(answer.effective_bytes) == expected
    # From beyond the stretch the fewest bytes that reach the loss count.
    assert float(loglog(flat, np.asarray(loss), 512e3).effective_bytes) == 32e3


def test_where_pooling_and_the_observed_rung_disagree_the_rung_decides_the_sign() -> None:
    bumpy = ladder_of([8e3, 32e3, 128e3, 512e3], [2.0, 1.5, 1.6, 1.2])
    pooled = bumpy.monotone()[1]
    assert pooled == bumpy.monotone()[2]
    # Worse than scratch at 32k, better than scratch at 128k, though the pooled ladder is level.
    assert 8e3 < float(loglog(bumpy, np.asarray(pooled), 32e3).effective_bytes) < 32e3
    assert 128e3 < float(loglog(bumpy, np.asarray(pooled), 128e3).effective_bytes) < 512e3
    held = np.exp(bumpy.monotone_through(1))
    np.testing.assert_allclose(held, [2.0, 1.5, 1.5, 1.2])


def test_linear_is_the_chord_over_perplexity() -> None:
    perplexity = np.exp([2.0, 1.5, 1.2])
    wanted = 0.75 * perplexity[0] + 0.25 * perplexity[1]
    answer = linear(FALLING, np.log(np.log(wanted)), 8e3)
    assert float(answer.effective_bytes) == pytest.approx(14e3, rel=1e-12)


@pytest.mark.parametrize("name", ["guided", "pchip", "loglog", "linear", "law"])
def test_a_planted_effective_size_is_recovered(name: str) -> None:
    rungs = [4e3 * 2**place for place in range(10)]
    ladder = ladder_of(rungs, [planted_curve(size) for size in rungs])
    for effective in (9e3, 50e3, 300e3):
        answer = ESTIMATORS[name](ladder, np.log(planted_curve(effective)), 8e3)
        # The law is exact; chords of a convex curve over rungs a factor of two apart are not.
        tolerance = {"law": 1e-4, "guided": 1e-4, "pchip": 5e-3}.get(name, 0.08)
        assert float(answer.effective_bytes) == pytest.approx(effective, rel=tolerance)
        assert answer.range == Range.INSIDE


@pytest.mark.parametrize("beta", [0.2, 0.35, 0.5, 0.7])
@pytest.mark.parametrize("E", [0.0, 0.9])
def test_on_laws_the_default_has_no_interpolation_error(beta: float, E: float) -> None:
    """Noiseless, D_E / D_F from 1.05 to 30 on rungs a factor of four apart: at most 5 % of D_F."""
    rungs = 8e3 * 4.0 ** np.arange(7)
    loss = E + 1.5 * (rungs / 8e3) ** -beta
    ladder = Ladder(rungs, np.log(loss), np.ones(7))
    for finetune_bytes in rungs[:3]:
        for fold in (1.05, 1.2, 1.5, 2.2, 3.0, 6.0, 12.0, 30.0):
            tuned = np.log(E + 1.5 * (finetune_bytes * fold / 8e3) ** -beta)
            answer = ESTIMATORS[DEFAULT](ladder, np.asarray(tuned), finetune_bytes)
            error = float(answer.effective_bytes) - finetune_bytes * fold
            assert abs(error) <= 0.05 * finetune_bytes


def test_the_law_of_resamples_is_that_of_each() -> None:
    random = np.random.default_rng(0)
    rungs = [4e3 * 4**place for place in range(6)]
    clean = ladder_of(rungs, [planted_curve(size) for size in rungs])
    drawn = clean.with_log_loss(clean.log_loss + 0.003 * random.standard_normal((20, 6)))
    tuned = np.log(planted_curve(60e3)) + 0.003 * random.standard_normal(20)
    together = law(drawn, tuned, 16e3)
    for place in range(20):
        alone = law(clean.with_log_loss(drawn.log_loss[place]), np.asarray(tuned[place]), 16e3)
        # Beta lies on a grid for resamples; near the anchor that hardly moves the answer.
        ratio = float(alone.effective_bytes) / together.effective_bytes[place]
        assert ratio == pytest.approx(1, rel=0.05)


def test_a_flat_ladder_has_no_inverse_and_keeps_its_sign() -> None:
    flat = ladder_of([8e3, 32e3, 128e3], [1.5, 1.5, 1.5])
    answers = [law(flat, np.log(loss), 32e3) for loss in (1.6, 1.5, 1.4)]
    assert [Range(int(answer.range)) for answer in answers] == [
        Range.BELOW,
        Range.INSIDE,
        Range.ABOVE,
    ]
    assert float(answers[1].effective_bytes) == 32e3


def test_a_label_is_read_for_a_size_only_where_the_authors_did() -> None:
    assert nominal_bytes("6M", 6_815_744) == 6_000_000
    assert nominal_bytes("6B", 6_001_000_448) == 6_000_000_000
    assert nominal_bytes("6B", 6) == 6  # raydt's own B is one byte
    assert nominal_bytes("small", 123.0) == 123.0


def test_isotonic_pools_neighbours_by_weight_and_leaves_the_rest() -> None:
    pooled = non_increasing(np.array([3.0, 1.0, 2.0, 0.5]), np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(pooled, [3.0, 1.75, 1.75, 0.5])
    falling = np.array([3.0, 2.0, 1.0])
    assert non_increasing(falling, np.array([3.0, 3.0, 3.0])).tolist() == falling.tolist()


losses = st.lists(
    # Few distinct values as well as many, so that ties and pooled stretches are common.
    st.one_of(st.sampled_from([1.0, 1.25, 1.5, 2.0]), st.floats(0.5, 3.0)),
    min_size=1,
    max_size=6,
)


BELIEVED = [name for name in ESTIMATORS if name not in CAUTIONS and name not in POOLED]


@pytest.mark.parametrize("name", BELIEVED)
@settings(deadline=None)
@given(losses, st.one_of(st.sampled_from([1.0, 1.25, 1.5, 2.0]), st.floats(0.4, 3.5)), st.data())
def test_sign_of_transfer_is_that_of_scratch_minus_finetuned(
    name: str, rungs: list[float], finetuned: float, data: st.DataObject
) -> None:
    ladder = ladder_of([8e3 * 4**place for place in range(len(rungs))], rungs)
    place = data.draw(st.integers(0, len(rungs) - 1))
    finetune_bytes = float(ladder.num_bytes[place])
    # Sometimes the tie itself, as observed or as the ladder has it after pooling.
    log_loss = data.draw(
        st.sampled_from([np.log(finetuned), ladder.log_loss[place], ladder.monotone()[place]])
    )
    check_sign(name, ladder, float(log_loss), finetune_bytes)


@pytest.mark.parametrize("name", BELIEVED)
@settings(deadline=None)
@given(losses, st.floats(0.4, 3.5), st.floats(9e3, 8e6))
def test_between_rungs_every_estimator_has_the_same_scratch_loss(
    name: str, rungs: list[float], finetuned: float, finetune_bytes: float
) -> None:
    ladder = ladder_of([8e3 * 4**place for place in range(len(rungs))], rungs)
    if finetune_bytes < ladder.num_bytes[-1]:
        check_sign(name, ladder, float(np.log(finetuned)), finetune_bytes)


def check_sign(name: str, ladder: Ladder, log_loss: float, finetune_bytes: float) -> None:
    gap = float(scratch_log_loss(ladder, finetune_bytes) - log_loss)
    answer = ESTIMATORS[name](ladder, np.asarray(log_loss), finetune_bytes)
    transferred = float(answer.effective_bytes) - finetune_bytes
    if answer.range == Range.INSIDE:
        # A gap of a rounding error may round to a D_T of 0, never to the other sign.
        assert np.sign(transferred) == np.sign(gap) or (transferred == 0 and abs(gap) < 1e-9)
        assert ladder.num_bytes[0] <= answer.effective_bytes <= ladder.num_bytes[-1]
    elif answer.range == Range.ABOVE:
        assert answer.effective_bytes == ladder.num_bytes[-1]
        assert gap > 0
        assert transferred >= 0  # and more than that: it is a lower bound
    else:
        assert answer.effective_bytes == ladder.num_bytes[0]
        assert gap < 0
        assert transferred <= 0


@pytest.mark.parametrize("name", BELIEVED)
@settings(deadline=None)
@given(losses, st.floats(0.4, 3.5), st.sampled_from([0.0, 8e3, 32e3]))
def test_what_lies_off_the_ladder_is_a_bound_whatever_the_estimator(
    name: str, rungs: list[float], finetuned: float, finetune_bytes: float
) -> None:
    ladder = ladder_of([8e3 * 4**place for place in range(len(rungs))], rungs)
    log_loss = np.asarray(np.log(finetuned))
    expected = loglog(ladder, log_loss, finetune_bytes)
    if expected.range != Range.INSIDE:
        answer = ESTIMATORS[name](ladder, log_loss, finetune_bytes)
        assert answer.range == expected.range
        assert answer.effective_bytes == expected.effective_bytes


@given(losses, st.floats(0.4, 3.5), st.floats(0.4, 3.5))
def test_a_lower_loss_is_never_worth_fewer_bytes(
    rungs: list[float], one: float, other: float
) -> None:
    ladder = ladder_of([8e3 * 4**place for place in range(len(rungs))], rungs)
    better, worse = sorted((one, other))
    answer = loglog(ladder, np.log([better, worse]), 0.0)
    assert answer.effective_bytes[0] >= answer.effective_bytes[1]
    assert answer.range[0] >= answer.range[1]


@given(losses)
def test_isotonic_is_non_increasing_keeps_the_mean_and_is_idempotent(rungs: list[float]) -> None:
    values, weights = np.asarray(rungs), np.arange(1.0, len(rungs) + 1)
    pooled = non_increasing(values, weights)
    assert (np.diff(pooled) <= 0).all()
    assert np.average(pooled, weights=weights) == pytest.approx(np.average(values, weights=weights))
    np.testing.assert_allclose(non_increasing(pooled, weights), pooled, rtol=1e-12)


def test_resamples_go_through_at_once_as_they_would_one_by_one() -> None:
    random = np.random.default_rng(0)
    drawn = FALLING.with_log_loss(FALLING.log_loss + 0.2 * random.standard_normal((50, 3)))
    tuned = np.log(1.45) + 0.2 * random.standard_normal(50)
    together = loglog(drawn, tuned, 32e3)
    for place in range(50):
        single = FALLING.with_log_loss(drawn.log_loss[place])
        alone = loglog(single, np.asarray(tuned[place]), 32e3)
        assert float(alone.effective_bytes) == together.effective_bytes[place]
        assert alone.range == together.range[place]


def test_scratch_loss_off_the_ladder_is_not_made_up() -> None:
    assert np.isnan(log_loss_at(FALLING, 4e3))
    assert np.isnan(log_loss_at(FALLING, 129e3))
    assert log_loss_at(FALLING, 32e3) == FALLING.log_loss[1]


def test_an_unknown_estimator_is_named_with_those_that_are() -> None:
    assert estimator_named("loglog") is ESTIMATORS["loglog"]
    with pytest.raises(InputError, match="loglog"):
        estimator_named("lglog")
