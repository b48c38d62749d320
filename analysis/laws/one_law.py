"""Does one transfer law hold for all sources?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import factorial, prod

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.laws.draws import TransferDraws
from analysis.laws.points import ALL, by_model, one_estimator
from analysis.laws.trajectories import trajectories

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
PERMUTED = "whole checkpoints permuted within targets"
PRETRAINS = "pretrains as the unit"
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

    Each pair of source and target is summarised by the deviations of its log k and its alpha from
    the law of the target: one weighted least squares step from that law, on log D_E
    (`analysis.laws.additive`), without sizes at which a D_E is a bound.

    level "pooled", for every model: do sources differ in the same way at all targets? With `draws`,
    the sum of squares of the sources' means over targets is compared with its distribution over the
    draws, in which all finetunes of a pretrain move together: pretrains are the unit. Without draws
    (one seed), only checkpoints can be compared, by the F ratio of sources to source x target, with
    whole trajectories permuted among sources within each target. Needs two sources at two targets.

    level "target", only with `draws`: do the sources of a target differ by more than the noise of
    seeds? A Wald statistic with the covariance of the draws, compared with its own distribution
    over the draws. Its p-values are not corrected for the number of targets.

    p_value is NaN, with the reason in `note`, if the data are insufficient; least_p is the smallest
    possible p. Parameters and errors as in `transfer_laws`.
    """
    table = one_estimator(effective)
    random = np.random.default_rng(random_seed)
    rows: list[dict[str, object]] = []
    for model, mine, number in by_model(table, parameters):
        sources = np.array(sorted(mine["source"].unique()))
        levels, slopes, points = [], [], 0
        moved: list[tuple[Floats, Floats]] = []
        for target, group in mine.groupby("target", sort=True):
            n = None if number is None else number[mine.index.get_indexer(group.index)]
            taken = None if draws is None else draws.of(group.index.to_numpy())
            level, slope, drawn, used = trajectories(group, n, sources, taken)
            points += used
            levels.append(level)
            slopes.append(slope)
            if drawn is not None:
                moved.append(drawn)
                about = {
                    "level": "target",
                    "model": model,
                    "target": str(target),
                    "num_targets": 1,
                    "num_points": used,
                }
                rows += _bootstrapped(about, level, slope, *drawn)
        about = {"level": "pooled", "model": model, "target": ALL, "num_points": points}
        level, slope = np.stack(levels, 1), np.stack(slopes, 1)
        if len(moved) == len(levels):
            each = [np.stack([one[kind] for one in moved], axis=2) for kind in (0, 1)]
            rows += _by_pretrains(about, level, slope, each[0], each[1])
        else:
            rows += _permuted(about, level, slope, num_permutations, random)
    texts = ("level", "model", "target", "tested", "method", "note")
    types = {
        name: "str" if name in texts else "int64" if name.startswith("num_") else "float64"
        for name in ONE_LAW_COLUMNS
    }
    return pd.DataFrame(rows, columns=ONE_LAW_COLUMNS).astype(types)


def _by_pretrains(
    about: dict[str, object], level: Floats, slope: Floats, levels: Floats, slopes: Floats
) -> list[dict[str, object]]:
    """Tests of the sources' means over targets, against those of the draws (R, S, T)."""
    parts = {"k": _between(level, levels), "alpha": _between(slope, slopes)}
    about = {
        **about,
        "method": PRETRAINS,
        "num_sources": int(np.isfinite(level).any(axis=1).sum()),
        "num_targets": int((np.isfinite(level).sum(axis=0) >= 2).sum()),
        "least_p": 1 / (len(levels) + 1),
    }
    k, alpha = parts["k"], parts["alpha"]
    if k is not None and alpha is not None:
        # Each in units of its noise.
        of_k, of_alpha = float(k[1].mean()), float(alpha[1].mean())
        parts[BOTH] = (k[0] / of_k + alpha[0] / of_alpha, k[1] / of_k + alpha[1] / of_alpha)
    found = []
    for tested in TESTED:
        both = parts.get(tested)
        row = {**about, "tested": tested, "statistic": np.nan, "p_value": np.nan}
        if both is None:
            row |= {"least_p": np.nan, "note": "needs 2 sources at each of 2 targets, with 2 sizes"}
        else:
            observed, noise = both
            row |= {
                "statistic": float(observed) / float(noise.mean()),
                "p_value": float((noise >= observed).sum() + 1) / (len(noise) + 1),
                "note": "",
            }
        found.append(row)
    return found


def _between(value: Floats, values: Floats) -> tuple[Floats, Floats] | None:
    """The sum of squares of the sources' means over targets, (), and that of the draws' noise,
    (R,). Targets are weighted by the precision of their sources. None unless 2 sources share 2
    targets.
    """
    here = np.isfinite(value)
    kept = here.sum(axis=0) >= 2
    inside = here[:, kept].any(axis=1)
    if kept.sum() < 2 or inside.sum() < 2:
        return None
    value, values, here = (one[..., inside, :][..., kept] for one in (value, values, here))
    moved = values - values.mean(axis=0)
    precision = 1 / np.nanmean(np.where(here, moved, np.nan).var(axis=0), axis=0)  # (T,)
    weight = here * precision

    def squares(each: Floats) -> Floats:
        each = np.where(here, each, 0.0)
        centred = each - each.sum(axis=-2, keepdims=True) / here.sum(axis=0)
        centred = np.where(here, centred, 0.0)
        mean = (weight * centred).sum(axis=-1) / weight.sum(axis=-1)
        return np.asarray((weight.sum(axis=-1) * mean**2).sum(axis=-1))

    return squares(value), squares(moved)


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
        note = f"needs 2 sources at each of 2 targets; number of such targets: {int(kept.sum())}"
        return [{**about, "tested": tested, "note": note} for tested in TESTED]
    # (P + 1, S, T); the first is the data itself.
    levels, slopes = (np.repeat(values[None], num + 1, axis=0) for values in (level, slope))
    for target in range(level.shape[1]):
        rows = np.flatnonzero(present[:, target])
        order = random.permuted(np.tile(rows, (num, 1)), axis=1)
        levels[1:, rows, target] = level[order, target]
        slopes[1:, rows, target] = slope[order, target]
    ratios = {"k": _f_ratio(levels), "alpha": _f_ratio(slopes)}
    ratios[BOTH] = (ratios["k"] + ratios["alpha"]) / 2
    # Applying the same permutation to every target only renames the sources.
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
    """The ratio of the mean squares of sources and of source x target, (P,), for values (P, S,
    T)."""
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
            row["note"] = "a law can be fitted to too few resamples"
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
