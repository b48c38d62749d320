"""Does one law of transfer serve all sources?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import factorial, prod

import numpy as np
import pandas as pd
from scipy.special import log_ndtr

from analysis.arrays import Floats
from analysis.laws.censored import censored_regression
from analysis.laws.coding import OUT, PLACES, coded, is_negative
from analysis.laws.draws import Places, TransferDraws
from analysis.laws.points import ALL, by_model, one_estimator, resolution_bytes

ONE_LAW_COLUMNS = [
    "level",
    "model",
    "target",
    "tested",
    "statistic",
    "p_value",
    "least_p",
    "method",
    "num_sources",
    "num_targets",
    "num_points",
    "note",
]
BOTH = "k and alpha"
TESTED = ("k", "alpha", BOTH)
PERMUTED = "whole sources permuted within targets"
BOOTSTRAPPED = "seeds resampled"


def one_law_tests(
    effective: pd.DataFrame,
    *,
    parameters: Mapping[str, int] | None = None,
    draws: TransferDraws | None = None,
    num_permutations: int = 2000,
    random_seed: int = 0,
) -> pd.DataFrame:
    """Tests of "all sources have the same k", "the same alpha", and both; `ONE_LAW_COLUMNS`.

    Each (source, target) is summed up by its mean deviation from the one law of its target, fitted
    with bounds as bounds (which stand in by their expectation), and by the slope of that deviation
    over log D_F.

    level "pooled", of every model: are sources apart in the same way at all targets? The F ratio
    of sources against source x target, where whole trajectories change their source within each
    target. What the finetunes of one pretrain share moves with them, so no independence over D_F
    is assumed; that sources differ at one target in a way of its own counts as noise. Needs two
    sources at two targets.

    level "target", where there are `draws`: are its sources further apart than seeds move them?
    A Wald statistic in the covariance of the draws, against its own distribution over the draws.
    Its p-values are not corrected for the number of targets.

    p_value is NaN, and `note` says why, where the data cannot answer; least_p is the smallest p
    that was possible. Parameters and errors as in `transfer_laws`.
    """
    table = one_estimator(effective)
    random = np.random.default_rng(random_seed)
    rows: list[dict[str, object]] = []
    for model, mine, number in by_model(table, parameters):
        sources = np.array(sorted(mine["source"].unique()))
        levels, slopes, points = [], [], 0
        for target, group in mine.groupby("target", sort=True):
            n = None if number is None else number[mine.index.get_indexer(group.index)]
            level, slope, used = _trajectories(group, n, sources, None)
            points += used
            levels.append(level[0])
            slopes.append(slope[0])
            if draws is not None:
                drawn = _trajectories(group, n, sources, draws.of(group.index.to_numpy()))
                about = {
                    "level": "target",
                    "model": model,
                    "target": str(target),
                    "num_targets": 1,
                    "num_points": used,
                }
                rows += _bootstrapped(about, level[0], slope[0], drawn[0], drawn[1])
        about = {"level": "pooled", "model": model, "target": ALL, "num_points": points}
        rows += _permuted(about, np.stack(levels, 1), np.stack(slopes, 1), num_permutations, random)
    texts = ("level", "model", "target", "tested", "method", "note")
    types = {
        name: "str" if name in texts else "int64" if name.startswith("num_") else "float64"
        for name in ONE_LAW_COLUMNS
    }
    return pd.DataFrame(rows, columns=ONE_LAW_COLUMNS).astype(types)


def _trajectories(
    rows: pd.DataFrame, number: Floats | None, sources: Floats, draws: TransferDraws | None
) -> tuple[Floats, Floats, int]:
    """Level and slope (R, S) of the deviations of a target's sources, and the points used."""
    size = rows["finetune_bytes"].to_numpy(dtype=float)
    given = rows["transferred_bytes"].to_numpy(dtype=float)
    place = rows["range"].map(PLACES).to_numpy(dtype=np.int8)
    resolution = resolution_bytes(rows)
    out = (size <= 0) | is_negative(given, place, resolution)
    transferred, places = given[None], place[None]
    if draws is not None:
        transferred, places = draws.transferred_bytes, draws.range
    codes = coded(transferred, places, resolution)
    kind = np.where(out, OUT, codes.place).astype(np.int8)
    log_size = np.log(np.where(size > 0, size, 1.0))
    columns = [np.ones(len(size)), log_size - log_size.mean()]
    if number is not None and len(np.unique(number)) > 1:
        columns.append(np.log(number) - np.log(number).mean())
    deviation = _deviations(np.stack(columns, axis=-1), codes.outcome, kind)
    used = kind != OUT
    level = np.full((len(deviation), len(sources)), np.nan)
    slope = np.full_like(level, np.nan)
    for at, source in enumerate(sources):
        mine = (rows["source"] == source).to_numpy()
        weight = (used & mine).astype(float)
        total = weight.sum(axis=1)
        has = total > 0
        y, safe = np.where(weight > 0, deviation, 0.0), np.maximum(total, 1)
        x = weight * (log_size - ((weight * log_size).sum(axis=1) / safe)[:, None])
        spread = (x * x).sum(axis=1)
        level[has, at] = (y.sum(axis=1) / safe)[has]
        several = spread > 1e-12
        slope[several, at] = ((x * y).sum(axis=1) / np.where(several, spread, 1.0))[several]
    return level, slope, int(used[0].sum())


def _deviations(design: Floats, outcome: Floats, place: Places) -> Floats:
    """Log deviations (R, n) from the one law; a bound's is its expectation beyond the bound."""
    fit = censored_regression(design, outcome, place)
    fitted = np.einsum("ni,ri->rn", design, fit.coefficients)
    sigma = fit.sigma[:, None]
    w = np.clip(place * (fitted - outcome) / sigma, -1e6, 1e6)
    # E[e | e beyond the bound], by the inverse Mills ratio; far off it is the bound itself.
    mills = np.where(
        w < -30,
        -w,
        np.exp(-(np.maximum(w, -30) ** 2) / 2 - log_ndtr(np.maximum(w, -30))) / np.sqrt(2 * np.pi),
    )
    return np.asarray(np.where(place == 0, outcome - fitted, place * sigma * mills))


def _permuted(
    about: dict[str, object], level: Floats, slope: Floats, num: int, random: np.random.Generator
) -> list[dict[str, object]]:
    present = np.isfinite(level)
    counts = present.sum(axis=0)
    kept = counts >= 2
    level, slope, present = level[:, kept], slope[:, kept], present[:, kept]
    inside = present.any(axis=1)
    level, slope, present = level[inside], slope[inside], present[inside]
    about = {
        **about,
        "method": PERMUTED,
        "num_sources": int(inside.sum()),
        "num_targets": int(kept.sum()),
    }
    if kept.sum() < 2:
        note = f"needs 2 sources at each of 2 targets; found {int(kept.sum())} such target"
        return [{**about, "tested": tested, "note": note} for tested in TESTED]
    # (P + 1, S, T); the first is the data as it is.
    levels, slopes = (np.repeat(values[None], num + 1, axis=0) for values in (level, slope))
    for target in range(level.shape[1]):
        rows = np.flatnonzero(present[:, target])
        order = random.permuted(np.tile(rows, (num, 1)), axis=1)
        levels[1:, rows, target] = level[order, target]
        slopes[1:, rows, target] = slope[order, target]
    ratios = {"k": _f_ratio(levels), "alpha": _f_ratio(slopes)}
    ratios[BOTH] = (ratios["k"] + ratios["alpha"]) / 2
    # Giving every target the same permutation only renames the sources.
    possible = prod(factorial(int(count)) for count in present.sum(axis=0))
    same = factorial(len(level)) if present.all() else 1
    least = max(1 / (num + 1), same / possible)
    found = []
    for tested in TESTED:
        statistic = ratios[tested]
        usable = bool(np.isfinite(statistic[0]))
        p = (statistic[1:] >= statistic[0] * (1 - 1e-9)).sum() + 1
        found.append(
            {
                **about,
                "tested": tested,
                "statistic": statistic[0],
                "p_value": float(p) / (num + 1) if usable else np.nan,
                "least_p": least,
                "note": "" if usable else "no source has two sizes at two targets",
            }
        )
    return found


def _f_ratio(values: Floats) -> Floats:
    """Mean squares of sources over those of source x target, (P,) of values (P, S, T)."""
    here = np.isfinite(values)
    centred = np.where(here, values, 0.0)
    centred = centred - centred.sum(axis=1, keepdims=True) / np.maximum(
        here.sum(axis=1, keepdims=True), 1
    )
    centred = np.where(here, centred, 0.0)
    each = here.sum(axis=2)
    mean = centred.sum(axis=2) / np.maximum(each, 1)
    between = (each * mean**2).sum(axis=1)
    within = (centred**2).sum(axis=(1, 2)) - between
    sources = (each > 0).sum(axis=1)
    freedom = here.sum(axis=(1, 2)) - here.any(axis=1).sum(axis=1) - (sources - 1)
    usable = (sources > 1) & (freedom > 0)
    ratio = np.full(len(values), np.nan)
    scale = np.maximum(within[usable], 1e-300) / freedom[usable]
    ratio[usable] = between[usable] / (sources[usable] - 1) / scale
    return ratio


def _bootstrapped(
    about: dict[str, object], level: Floats, slope: Floats, levels: Floats, slopes: Floats
) -> list[dict[str, object]]:
    found = []
    about = {**about, "method": BOOTSTRAPPED, "num_sources": int(np.isfinite(level).sum())}
    for tested in TESTED:
        kinds = {"k": [(level, levels)], "alpha": [(slope, slopes)]}.get(
            tested, [(level, levels), (slope, slopes)]
        )
        contrasts, drawn = [], []
        for value, values in kinds:
            here = np.flatnonzero(np.isfinite(value) & (np.isfinite(values).mean(axis=0) > 0.5))
            for left, right in pairwise(here):
                contrasts.append(value[left] - value[right])
                drawn.append(values[:, left] - values[:, right])
        row = {**about, "tested": tested, "statistic": np.nan, "p_value": np.nan, "least_p": np.nan}
        found.append(row)
        if not contrasts:
            row["note"] = "needs two sources with resamples"
            continue
        draws = np.stack(drawn, axis=1)
        draws = draws[np.isfinite(draws).all(axis=1)]
        if len(draws) <= 10 * len(contrasts):
            row["note"] = "too few resamples give a law"
            continue
        inverse = np.linalg.pinv(np.atleast_2d(np.cov(draws.T)))
        moved = draws - draws.mean(axis=0)
        reference = np.einsum("ri,ij,rj->r", moved, inverse, moved)
        observed = np.asarray(contrasts)
        statistic = float(observed @ inverse @ observed)
        row |= {
            "statistic": statistic,
            "p_value": float((reference >= statistic).sum() + 1) / (len(draws) + 1),
            "least_p": 1 / (len(draws) + 1),
            "note": "",
        }
    return found
