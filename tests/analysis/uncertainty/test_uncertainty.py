"""Intervals: as wide as the noise, censored at the ladder's ends, absent with one seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.effective import Resamples, effective_table
from analysis.estimators.answer import Estimate, Range
from analysis.ladder import cell_means
from analysis.quantiles import ordered_quantiles
from analysis.uncertainty.intervals import censored_interval
from analysis.uncertainty.noise import SCRATCH_FAMILY, TRANSFER_FAMILY, Noise, pooled_noise
from analysis.uncertainty.resample import draw_means


def effective_of(means: pd.DataFrame, random_seed: int = 0, num: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(random_seed)
    drawn = draw_means(means, pooled_noise(means), num_resamples=num, random=random)
    return effective_table(means, Resamples(drawn, 0.90))


def test_noise_is_pooled_over_a_family_with_its_degrees_of_freedom(
    make_cell: Callable[..., Any], tidy_table: Callable[..., pd.DataFrame]
) -> None:
    # Two scratch cells: residuals of log loss +-0.1 (1 degree) and +-0.2, 0 (2 degrees).
    spread = {8_000: [0.1, -0.1], 32_000: [0.2, 0.0, -0.2]}
    cells = [
        make_cell("scratch", None, "de", size, seed, loss=float(np.exp(0.5 + residual)))
        for size, residuals in spread.items()
        for seed, residual in enumerate(residuals)
    ]
    cells.append(make_cell("finetune", "en", "de", 8_000, 0))
    noise = pooled_noise(cell_means(tidy_table(cells)))
    assert noise[SCRATCH_FAMILY].degrees_of_freedom == 3
    expected = np.sqrt((2 * 0.1**2 + 2 * 0.2**2) / 3)
    assert noise[SCRATCH_FAMILY].sd_log_loss == pytest.approx(expected)
    assert noise[TRANSFER_FAMILY].degrees_of_freedom == 0
    assert np.isnan(noise[TRANSFER_FAMILY].sd_log_loss)


def test_resampled_means_have_the_tails_of_students_t() -> None:
    means = pd.DataFrame({"stage": ["scratch"], "log_loss": [0.5], "num_seeds": [4]})
    noise = {SCRATCH_FAMILY: Noise(SCRATCH_FAMILY, 0.1, 3)}
    drawn = draw_means(means, noise, num_resamples=20_000, random=np.random.default_rng(0))
    low, high = np.quantile((drawn[:, 0] - 0.5) / (0.1 / 2), [0.05, 0.95])
    # t with 3 degrees of freedom: 2.353; a normal would give 1.645.
    assert -low == pytest.approx(2.353, rel=0.08)
    assert high == pytest.approx(2.353, rel=0.08)


def test_ends_off_the_ladder_are_bounds() -> None:
    rungs = np.array([8e3, 32e3, 128e3])
    place = np.array([Range.BELOW] * 20 + [Range.INSIDE] * 60 + [Range.ABOVE] * 20, dtype=np.int8)
    interval = censored_interval(Estimate(np.full(100, 5e4), place), rungs, 0.90)
    assert (interval.low_bytes, interval.low_range) == (8e3, Range.BELOW)
    assert (interval.high_bytes, interval.high_range) == (128e3, Range.ABOVE)
    inner = censored_interval(Estimate(np.full(100, 5e4), place), rungs, 0.50)
    assert (inner.low_bytes, inner.low_range, inner.high_bytes) == (5e4, Range.INSIDE, 5e4)


def test_quantiles_are_members_of_the_sample_taken_outwards() -> None:
    assert ordered_quantiles(np.arange(101.0), 0.90) == (5.0, 95.0)
    assert ordered_quantiles(np.arange(100.0), 0.90) == (4.0, 95.0)


def test_with_one_seed_there_is_no_interval(
    make_planted: Callable[..., Any], tidy_table: Callable[..., pd.DataFrame]
) -> None:
    table = effective_of(cell_means(tidy_table(make_planted(seeds=(0,)).cells())))
    nothing = ["effective_low_bytes", "transferred_high_bytes", "confidence", "leads_share"]
    assert table[[*nothing, "low_range", "high_range"]].isna().all().all()
    assert table["effective_bytes"].notna().all()
    assert table["leads"].any()


def test_intervals_do_not_depend_on_the_order_of_the_runs(
    make_planted: Callable[..., Any], tidy_table: Callable[..., pd.DataFrame]
) -> None:
    cells = tidy_table(make_planted().cells())
    shuffled = cells.sample(frac=1, random_state=3, ignore_index=True)
    # The order of a sum moves the last digit of a mean, and nothing else may move.
    pd.testing.assert_frame_equal(
        effective_of(cell_means(cells)), effective_of(cell_means(shuffled)), rtol=1e-9
    )


def test_coverage_of_planted_transfer_is_nominal(
    make_planted: Callable[..., Any],
    tidy_table: Callable[..., pd.DataFrame],
    planted_loss: Callable[..., float],
) -> None:
    """Three seeds, nominal 90 %: between 80 and 97 % of the intervals hold the true D_E.

    True is what the estimator says of the ladder without noise, which is what a bootstrap can
    cover; the error of interpolating between rungs is another one.
    """
    truth_cells = make_planted(noise=0.0, targets=("de",)).cells()
    truth = effective_of(cell_means(tidy_table(truth_cells)))["effective_bytes"]
    held = []
    for trial in range(60):
        cells = make_planted(noise=0.01, targets=("de",), random_seed=trial).cells()
        table = effective_of(cell_means(tidy_table(cells)), trial)
        low = table["effective_low_bytes"].where(table["low_range"] != "below", 0)
        high = table["effective_high_bytes"].where(table["high_range"] != "above", np.inf)
        inside = truth.between(8_000, 512_000, inclusive="neither")
        held.extend((low <= truth)[inside] & (truth <= high)[inside])
    assert len(held) >= 200
    assert 0.80 <= np.mean(held) <= 0.97
