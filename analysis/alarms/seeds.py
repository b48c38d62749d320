"""Alarms about seeds: too few, too far apart, or identical."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import fdtrc

from analysis.alarms.alarm import Alarm, Kind
from analysis.arrays import Floats
from analysis.ladder import GROUP, interpreted
from analysis.uncertainty.noise import FAMILIES, Noise
from analysis.wording import listed
from raydt.units import approximate_bytes

# Probability that a sweep with nothing but the pooled noise raises any alarm.
FALSE_ALARMS = 0.05
# Losses within this share of each other do not disagree strongly, however close those of other
# cells are.
SPREAD_SHARE = 0.02


def seed_alarms(cells: pd.DataFrame, noise: dict[str, Noise]) -> Iterator[Alarm]:
    """Takes the table of `analysis.table` and its pooled noise."""
    yield from _one_seed(noise)
    yield from _seeds_disagree(cells, noise)
    yield from _identical_seeds(noise)


def _one_seed(noise: dict[str, Noise]) -> Iterator[Alarm]:
    single = [name for name, one in noise.items() if one.degrees_of_freedom == 0]
    if len(single) == len(noise):
        text = "One seed: no intervals. Differences may be the luck of a seed."
        yield Alarm(Kind.ONE_SEED, "", text)
    elif single:
        text = f"One seed in {listed(single)} cells: no interval there; the others have several."
        yield Alarm(Kind.ONE_SEED, ", ".join(single), text)


def _seeds_disagree(cells: pd.DataFrame, noise: dict[str, Noise]) -> Iterator[Alarm]:
    """Groups whose seeds differ by more than those of all other groups predict.

    An F test of the variance of a group against that of the other groups of its family, at a level
    divided among all groups of the sweep (Bonferroni).
    """
    done = interpreted(cells)
    done = done.assign(log_loss=np.log(done["test_loss"].to_numpy(dtype=float)))
    groups = done.groupby(GROUP, dropna=False).agg(
        low=("test_loss", "min"),
        high=("test_loss", "max"),
        num_seeds=("test_loss", "size"),
        variance=("log_loss", "var"),
    )
    groups = groups[groups["num_seeds"] > 1].reset_index()
    groups["spread"] = groups["high"] / groups["low"] - 1
    groups["family"] = groups["stage"].map(FAMILIES)
    groups["median"] = groups.groupby("family")["spread"].transform("median")
    for family, mine in groups.groupby("family", sort=False):
        odd = _more_than_others(mine, noise[str(family)], FALSE_ALARMS / len(groups))
        for row in mine[odd & (mine["spread"] > SPREAD_SHARE)].to_dict("records"):
            source = row["source"] if isinstance(row["source"], str) else "scratch"
            where = f"{source}→{row['target']} {approximate_bytes(row['size_bytes'])}"
            yield Alarm(
                Kind.SEEDS_DISAGREE,
                where,
                f"The seeds of {where} disagree strongly: losses from "
                f"{row['low']:.4f} to {row['high']:.4f}, {row['spread']:.1%} apart; the median of "
                f"such cells is {row['median']:.1%}.",
            )


def _more_than_others(groups: pd.DataFrame, noise: Noise, level: float) -> npt.NDArray[np.bool_]:
    """Which groups of a family have a larger variance than the others explain.

    The worst is removed and the rest tested again, so that one bad group does not hide another. A
    group is compared with the others of its size if these vary more than the family: small rungs
    may be noisier. The family's degrees of freedom count its pretrains, because groups that share a
    pretrain vary together.
    """
    freedom = groups["num_seeds"].to_numpy(dtype=float) - 1
    variance = groups["variance"].to_numpy(dtype=float)
    size = groups["size_bytes"].to_numpy()
    left = np.ones(len(groups), dtype=bool)
    while left.any():
        of_family = _of_others(freedom, variance, left, np.zeros(len(groups)))
        of_size = _of_others(freedom, variance, left, size)
        # fmax: a group may be the only one of its size.
        reference = np.fmax(of_family, of_size)
        known = np.minimum(noise.degrees_of_freedom, freedom[left].sum()) - freedom
        with np.errstate(divide="ignore", invalid="ignore"):
            p = fdtrc(freedom, np.maximum(known, 1.0), variance / reference)
        p = np.where(left & np.isfinite(p), p, 1.0)  # nothing to compare with, or no variance
        worst = int(p.argmin())
        if p[worst] >= level:
            break
        left[worst] = False
    return np.asarray(~left)


def _of_others(
    freedom: Floats, variance: Floats, left: npt.NDArray[np.bool_], of: npt.NDArray[np.generic]
) -> Floats:
    """Pooled variance of all other groups that are `left` and of the same `of`; NaN without any."""
    _, code = np.unique(of, return_inverse=True)
    weight = np.where(left, freedom, 0.0)
    squares = weight * variance
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            (np.bincount(code, squares)[code] - squares)
            / (np.bincount(code, weight)[code] - weight)
        )


def _identical_seeds(noise: dict[str, Noise]) -> Iterator[Alarm]:
    for one in noise.values():
        if one.degrees_of_freedom and one.sd_log_loss == 0:
            yield Alarm(
                Kind.IDENTICAL_SEEDS,
                one.family,
                f"All seeds of the {one.family} cells have identical losses: are they really "
                "different seeds? Intervals contain no noise from them.",
            )
