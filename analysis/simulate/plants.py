"""True values of simulated grids: log(D_E / D_F) of every pair."""

from __future__ import annotations

from functools import cache

import numpy as np

from analysis.arrays import Floats
from analysis.claims.predictors import distances
from analysis.simulate.world import Plant

BASE, FADE = 1.6, -0.5  # D_E = 5 D_F at the smallest D_F, less for every tenfold increase
PAIR_SD = 0.5  # sd of log D_E between pairs, if pairs differ
NEAR_SLOPE = 2.0  # log D_E per unit of distance
ALPHA = 0.5  # of the transfer law


def _base(sizes: Floats) -> Floats:
    return np.asarray(BASE + FADE * np.log10(sizes / sizes[0]))


def equal(_: np.random.Generator, languages: tuple[str, ...], sizes: Floats) -> Floats:
    """Every language gives every other the same."""
    return np.broadcast_to(_base(sizes), (len(languages), len(languages), len(sizes)))


def nothing(_: np.random.Generator, languages: tuple[str, ...], sizes: Floats) -> Floats:
    """D_T = 0 everywhere."""
    return np.zeros((len(languages), len(languages), len(sizes)))


def one_source(fold: float) -> Plant:
    """The first source gives `fold` times the D_E of all others, which are equal."""

    def plant(random: np.random.Generator, languages: tuple[str, ...], sizes: Floats) -> Floats:
        found = equal(random, languages, sizes).copy()
        found[0] += np.log(fold)
        return found

    return plant


def effects(random: np.random.Generator, languages: tuple[str, ...], sizes: Floats) -> Floats:
    """Sources and targets differ, each with sd 0.5 of log D_E; pairs do not."""
    source, target = PAIR_SD * random.standard_normal((2, len(languages)))
    source, target = (np.clip(one, -1, 1) for one in (source, target))
    return np.asarray(_base(sizes) + source[:, None, None] + target[None, :, None])


def pairs(symmetry: float | None) -> Plant:
    """Pairs differ randomly with sd 0.5: both directions equal (1), opposite (-1), or independent
    (None)."""

    def plant(random: np.random.Generator, languages: tuple[str, ...], sizes: Floats) -> Floats:
        number = len(languages)
        drawn = np.clip(random.standard_normal((number, number)), -2, 2)
        if symmetry is not None:
            upper = np.triu(drawn, 1)
            drawn = upper + symmetry * upper.T
        return np.asarray(_base(sizes) + PAIR_SD * drawn[:, :, None])

    return plant


def near_helps(r: float) -> Plant:
    """log D_E is correlated with the composite distance: -r beyond main effects.

    The rest of a pair is random; sources and targets have no main effects.
    """

    def plant(random: np.random.Generator, languages: tuple[str, ...], sizes: Floats) -> Floats:
        number = len(languages)
        near = -composite(languages)
        drawn = random.standard_normal((number, number))
        value = r * _beyond(near) + np.sqrt(1 - r**2) * drawn
        return np.asarray(_base(sizes) + PAIR_SD * np.clip(value, -2.5, 2.5)[:, :, None])

    return plant


def near_gives(chance: float) -> Plant:
    """log D_E falls by `NEAR_SLOPE` per unit of distance, and pairs differ randomly."""

    def plant(random: np.random.Generator, languages: tuple[str, ...], sizes: Floats) -> Floats:
        distance = composite(languages)
        drawn = chance * random.standard_normal(distance.shape)
        value = NEAR_SLOPE * (np.nanmean(distance) - distance) + drawn
        return np.asarray(_base(sizes) + value[:, :, None])

    return plant


def power_law(k: float, alpha: float) -> Plant:
    """D_T = k·D_F^alpha of every pair."""
    return lambda _, languages, sizes: np.broadcast_to(
        np.log1p(k * sizes ** (alpha - 1)), (len(languages), len(languages), len(sizes))
    )


@cache
def composite(languages: tuple[str, ...]) -> Floats:
    """The distances (S, T) that the claim about similarity tests; NaN on the diagonal."""
    names = list(languages)
    found = distances(names).loc[names, names].to_numpy(dtype=float, copy=True)
    np.fill_diagonal(found, np.nan)
    return np.asarray(found)


def agnostic_share(languages: tuple[str, ...], level: float) -> float:
    """D_T at the farthest over D_T at the nearest distance in `near_gives`, without the random
    part; level: mean of log(D_E / D_F)."""
    distance = composite(languages)
    near, far = np.nanmin(distance, axis=0), np.nanmax(distance, axis=0)
    middle = np.nanmean(distance)
    worth = [np.expm1(level + NEAR_SLOPE * (middle - at)).sum() for at in (far, near)]
    return float(worth[0] / worth[1])


def _beyond(values: Floats) -> Floats:
    """Values (S, T) beyond main effects, scaled to sd 1; 0 on the diagonal."""
    row, column = np.nonzero(np.isfinite(values))
    design = np.hstack([np.eye(len(values))[row], np.eye(len(values))[column]])
    taken = values[row, column]
    rest = taken - design @ np.linalg.lstsq(design, taken, rcond=None)[0]
    found = np.zeros(values.shape)
    found[row, column] = rest / rest.std()
    return found
