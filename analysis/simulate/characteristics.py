"""Trials of the simulated worlds, their results, and shares of these."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from zlib import crc32

import numpy as np
import pandas as pd

from analysis.simulate.study import WORLDS, Asked, Kind
from analysis.simulate.trial import run_trial
from analysis.simulate.world import TEN


def trials(
    world: str,
    *,
    num_languages: int,
    num_seeds: int,
    numbers: Iterable[int],
    num_resamples: int,
    random_seed: int = 0,
    num_processes: int = 1,
) -> pd.DataFrame:
    """The results of trials with these numbers: columns trial, asked, kind, value (a mean if a grid
    has several, as for intervals)."""
    one = partial(
        _trial,
        name=world,
        languages=TEN[:num_languages],
        num_seeds=num_seeds,
        num_resamples=num_resamples,
        random_seed=random_seed,
    )
    numbers = list(numbers)
    if num_processes > 1:
        with ProcessPoolExecutor(num_processes) as pool:
            each = list(pool.map(one, numbers, chunksize=4))
    else:
        each = [one(number) for number in numbers]
    rows = [
        (number, asked, str(kind), float(np.mean(values)))
        for number, found in zip(numbers, each, strict=True)
        for (asked, kind), values in found.items()
    ]
    return pd.DataFrame(rows, columns=["trial", "asked", "kind", "value"])


def shares(found: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Summary of `trials`: columns `by`, share (for a value the median), error (its Monte Carlo
    standard error, over grids), trials."""
    rows: list[dict[str, object]] = []
    for key, mine in found.groupby(by, sort=False):
        values = mine["value"].to_numpy(dtype=float)
        median = mine["kind"].iloc[0] == Kind.VALUE
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        rows.append(
            {
                **dict(zip(by, key, strict=True)),
                "share": float(np.median(values) if median else values.mean()),
                "error": float(error),
                "trials": len(values),
            }
        )
    return pd.DataFrame(rows, columns=[*by, "share", "error", "trials"])


def operating_characteristics(
    *,
    worlds: Iterable[str],
    num_languages: int,
    num_seeds: int,
    num_trials: int,
    num_resamples: int,
    random_seed: int = 0,
    num_processes: int = 1,
) -> pd.DataFrame:
    """One row per check of each world: world, asked, kind, share, error, trials."""
    found = [
        trials(
            name,
            num_languages=num_languages,
            num_seeds=num_seeds,
            numbers=range(num_trials),
            num_resamples=num_resamples,
            random_seed=random_seed,
            num_processes=num_processes,
        ).assign(world=name)
        for name in worlds
    ]
    return shares(pd.concat(found), ["world", "asked", "kind"])


def _trial(
    trial: int,
    *,
    name: str,
    languages: tuple[str, ...],
    num_seeds: int,
    num_resamples: int,
    random_seed: int,
) -> Asked:
    planted = next(one for one in WORLDS if one.name == name)
    # Every world and design has its own random numbers: rows of the table are independent.
    own = [crc32(name.encode()), len(languages), num_seeds]
    random = np.random.default_rng([random_seed, trial, *own])
    needed = num_resamples if planted.resampled else 0
    return planted.asked(run_trial(planted.world(languages, num_seeds), random, needed))
