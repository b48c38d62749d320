"""Resampled means of cells: a parametric, hierarchical bootstrap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.uncertainty.noise import FAMILIES, Noise, Shared, seed_shares


def draw_means(
    means: pd.DataFrame,
    noise: Mapping[str, Noise],
    *,
    num_resamples: int,
    random: np.random.Generator,
    cells: pd.DataFrame | None = None,
) -> Floats:
    """Resampled cell means of log loss, shape (R, cells) in the order of `means`.

    A resample draws the variances of a family first (scaled inverse chi squared with their degrees
    of freedom, which gives the tails of Student's t; Gelman et al., Bayesian Data Analysis, 3rd
    ed., section 3.2), then one value for every pretrain, which all its finetunes share, then one
    for every cell. Resamples then pass through ladder, estimator and laws like the data. `cells`
    has the seeds behind each mean; without it, n seeds are assumed to be the first n. If a family
    has no degrees of freedom its columns are NaN, because its noise is unknown.
    """
    draws = np.full((num_resamples, len(means)), np.nan)
    family = means["stage"].map(FAMILIES)
    # A stream for each family, so that one family's draws do not depend on the others'.
    streams = dict(zip(sorted(set(FAMILIES.values())), random.spawn(3), strict=True))
    for name, pooled in noise.items():
        mine = (family == name).to_numpy(dtype=bool)
        if pooled.degrees_of_freedom == 0 or not mine.any():
            continue
        stream = streams[name]
        num_seeds = means["num_seeds"].to_numpy(dtype=float)[mine]
        if pooled.shared is None:
            sd = pooled.sd_log_loss * _inflation(pooled.degrees_of_freedom, num_resamples, stream)
            moved = np.zeros((num_resamples, 1))
        else:
            sd, sd_shared = _drawn_components(pooled.shared, num_resamples, stream)
            shares = seed_shares(means[mine], cells)
            moved = stream.standard_normal((num_resamples, shares.shape[1])) @ shares.T
            moved = moved * sd_shared
        normal = stream.standard_normal((num_resamples, int(mine.sum())))
        centre = means["log_loss"].to_numpy(dtype=float)[mine]
        draws[:, mine] = centre + moved + normal * sd / np.sqrt(num_seeds)
    return draws


def _inflation(freedom: int, num: int, random: np.random.Generator) -> Floats:
    return np.asarray(np.sqrt(freedom / random.chisquare(freedom, size=(num, 1))))


def _drawn_components(
    shared: Shared, num: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draws (R, 1) of the own and shared standard deviations, given the two mean squares.

    Each mean square is drawn around its expectation and the shared variance solved for, truncated
    at zero (a generalised pivot; Weerahandi, Journal of the American Statistical Association 1993).
    """
    own = (shared.sd_own * _inflation(shared.own_degrees_of_freedom, num, random)) ** 2
    square = shared.mean_square * _inflation(shared.degrees_of_freedom, num, random) ** 2
    common = np.maximum(0.0, (square - own) / shared.groups_per_pretrain)
    return np.sqrt(own), np.sqrt(common)
