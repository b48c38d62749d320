"""What a pretrain shares with its finetunes: estimated, drawn, and covered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.effective import Resamples, effective_table
from analysis.ladder import cell_means
from analysis.uncertainty.noise import (
    SCRATCH_FAMILY,
    TRANSFER_FAMILY,
    ZEROSHOT_FAMILY,
    pooled_noise,
)
from analysis.uncertainty.resample import draw_means
from analysis.uncertainty.residuals import residual_noise
from analysis.uncertainty.transfer import transfer_draws
from tests.analysis.uncertainty.design import Design


def test_components_are_recovered_from_many_pretrains() -> None:
    found = []
    for trial in range(30):
        cells = Design().cells(np.random.default_rng(trial))
        found.append(pooled_noise(cell_means(cells), cells)[TRANSFER_FAMILY])
    own = np.mean([one.shared.sd_own**2 for one in found if one.shared])
    shared = np.mean([one.shared.sd_shared**2 for one in found if one.shared])
    assert own == pytest.approx(Design().sd_own ** 2, rel=0.1)
    assert shared == pytest.approx(Design().sd_shared ** 2, rel=0.3)
    # 3 sources of 3 seeds are 6 witnesses of what is shared, not the 54 that runs would make.
    assert {one.shared.degrees_of_freedom for one in found if one.shared} == {6}
    assert all(6 <= one.degrees_of_freedom < 54 for one in found)


def test_unbalanced_components_agree_with_dense_least_squares() -> None:
    """Seeds missing here and there: the sums of squares are those of the two nested fits."""
    cells = Design().cells(np.random.default_rng(0))
    cells = cells[cells["stage"] == "finetune"].sample(frac=0.7, random_state=1)
    means = cell_means(cells)
    shared = pooled_noise(means, cells)[TRANSFER_FAMILY].shared
    assert shared is not None
    y = np.log(cells["test_loss"].to_numpy())
    groups = pd.get_dummies(cells[["source", "target", "size"]].agg("/".join, axis=1), dtype=float)
    pretrains = pd.get_dummies(cells["source"] + cells["seed"].astype(str), dtype=float)
    both = np.hstack([groups, pretrains])

    def left_over(design: np.ndarray) -> tuple[float, int]:
        fitted, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
        return float(((y - design @ fitted) ** 2).sum()), int(rank)

    (only, groups_rank), (full, full_rank) = left_over(groups.to_numpy()), left_over(both)
    assert shared.degrees_of_freedom == full_rank - groups_rank
    assert shared.own_degrees_of_freedom == len(y) - full_rank
    assert shared.mean_square == pytest.approx((only - full) / (full_rank - groups_rank))
    assert shared.sd_own**2 == pytest.approx(full / (len(y) - full_rank))


def test_finetunes_of_a_pretrain_move_together() -> None:
    cells = Design(sd_own=0.001, sd_shared=0.02).cells(np.random.default_rng(3))
    means = cell_means(cells)
    noise = pooled_noise(means, cells)
    random = np.random.default_rng(0)
    drawn = draw_means(means, noise, num_resamples=2000, random=random, cells=cells)
    moved = np.corrcoef((drawn - means["log_loss"].to_numpy()).T)
    tuned = (means["stage"] == "finetune").to_numpy()
    same = (
        (means["source"].to_numpy()[:, None] == means["source"].to_numpy()) & tuned & tuned[:, None]
    )
    assert moved[same].min() > 0.9
    apart = tuned[:, None] & tuned & ~same
    assert np.abs(moved[apart]).max() < 0.2
    assert np.abs(moved[~tuned][:, tuned]).max() < 0.2


def test_a_family_that_does_not_occur_has_no_noise(
    make_planted: Callable[..., Any], tidy_table: Callable[..., pd.DataFrame]
) -> None:
    cells = tidy_table(make_planted().cells())
    assert set(pooled_noise(cell_means(cells), cells)) == {
        SCRATCH_FAMILY,
        TRANSFER_FAMILY,
        ZEROSHOT_FAMILY,
    }
    ladder = cells[cells["stage"] == "scratch"]
    assert set(pooled_noise(cell_means(ladder), ladder)) == {SCRATCH_FAMILY}


def test_single_seeds_give_an_upper_bound_of_the_noise() -> None:
    random = np.random.default_rng(4)
    cells = Design(sd_own=0.01, sd_shared=0.0, num_seeds=1).cells(random)
    means = cell_means(cells)
    assert pooled_noise(means, cells)[TRANSFER_FAMILY].degrees_of_freedom == 0
    noise = residual_noise(means)
    scratch, tuned = noise[SCRATCH_FAMILY], noise[TRANSFER_FAMILY]
    # 3 targets x 6 rungs: (3 - 1)(6 - 1); 3 x 3 x 3 finetunes: 2 · 2 · 2.
    assert (scratch.degrees_of_freedom, tuned.degrees_of_freedom) == (10, 8)
    assert scratch.from_residuals
    assert 0.005 < scratch.sd_log_loss < 0.02
    assert 0.004 < tuned.sd_log_loss < 0.02
    drawn = draw_means(means, noise, num_resamples=50, random=random, cells=cells)
    assert np.isfinite(drawn).all()


def test_draws_of_transfer_are_those_of_the_intervals() -> None:
    cells = Design().cells(np.random.default_rng(5))
    means = cell_means(cells)
    random = np.random.default_rng(0)
    drawn = draw_means(
        means, pooled_noise(means, cells), num_resamples=200, random=random, cells=cells
    )
    table = effective_table(means, Resamples(drawn, 0.90))
    draws = transfer_draws(table, means, drawn)
    assert draws.transferred_bytes.shape == (200, len(table))
    ordered = np.sort(draws.transferred_bytes, axis=0)
    np.testing.assert_allclose(ordered[9], table["transferred_low_bytes"])
    np.testing.assert_allclose(ordered[190], table["transferred_high_bytes"])
