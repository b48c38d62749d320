"""Claim 1: do different sources help a target about equally?

The measure is the ratio of D_E between sources: how many times as many bytes of scratch one is
worth as another. Sources are similar if every ratio is significantly within a factor (1.5), and not
similar if one is significantly beyond it. This is an equivalence test, so noise is never taken for
similarity, and the largest ratio counts however many sources are similar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.counterexamples import opposite_signs, widest_left_out
from analysis.claims.grid import Comparable, Finetuned, Grid, comparable, grid_of, pooled
from analysis.claims.quadratic import reach_of_all, size_of
from analysis.claims.twoway import (
    connected,
    dummies,
    effect_weights,
    effects_table,
    shares,
    source_effect_p,
    two_way,
)
from analysis.wording import counted

NAME = "similar"
QUESTION = "Do different sources help a target about equally?"
EFFECTS = "Effects of source and target on log(D_E / D_F)"
RATIOS = "Ratios of D_E between sources"
SPREAD = "Spread between sources, and what explains log(D_E / D_F)"
SIMILAR_FOLD = 1.5  # ratio of D_E up to which sources count as similar
LEVEL = 0.05  # probability of a false verdict


@dataclass(frozen=True)
class Contrasts:
    """Log ratios of D_E of two sources over the same targets (C,), and their resamples (R, C)."""

    pairs: list[tuple[str, str]]
    values: Floats
    drawn: Floats | None


def similar(
    found: Finetuned,
    model: str,
    *,
    confidence: float,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """The answer from `analysis.claims.grid.finetuned`."""
    left = comparable(found)
    grid = pooled(left.found.rows, "log_ratio", left.found.drawn)
    if len(grid.sources) < 2 or not connected(grid):
        return insufficient(
            name=NAME,
            question=QUESTION,
            model=model,
            needs="two sources into one target, and no source without a target in common",
            found=counted(len(grid.targets), "target"),
            n=len(grid.targets),
            unit="targets",
        )
    among = source_contrasts(grid)
    table = _ratios_table(among, confidence)
    tables = {RATIOS: table, EFFECTS: effects_table(grid, confidence)}
    tables[SPREAD] = _by_size(found, num_permutations, random)
    part = shares(grid)
    explained = (
        f" Of the variation of log(D_E / D_F) the source explains {part.source:.0%}, the target "
        f"{part.target:.0%}, "
    )
    notes, takes = list(left.notes), ""
    widest = table.iloc[0]
    said = (
        f"D_E differs between sources up to {widest['ratio']:.2g}-fold ({widest['source']} over "
        f"{widest['other']}"
    )
    if among.drawn is None:
        p = source_effect_p(grid, num_permutations, random)
        sentence = (
            f"{said}).{explained}the pair and noise {part.pair:.0%}. These checkpoints "
            + ("differ" if p <= LEVEL else "do not differ beyond their scatter over targets")
            + f" (p = {p:.2g}); whether the languages do is unknown with one seed, because the "
            "luck "
            "of a pretrain is shared by all its finetunes."
        )
        verdict = Verdict.UNDECIDED
    else:
        p = sources_differ_p(grid, confidence)
        sentence = (
            f"{said}, [{widest['low']:.2g}, {widest['high']:.2g}]).{explained}the pair "
            f"{part.pair:.0%}, seeds {part.noise:.0%} (no difference between sources: "
            f"p = {p:.2g})."
        )
        verdict = similar_verdict(grid, among, left)
        apart = widest_left_out(found, left)
        if verdict is Verdict.YES and apart is not None and apart.fold > SIMILAR_FOLD:
            verdict = Verdict.UNDECIDED
            sentence += f" But {apart}."
            takes = f"Needs a rung {apart.missing} the ladder of {apart.target}."
        elif verdict is Verdict.YES and (sizes := sizes_apart(left.found)):
            verdict = Verdict.UNDECIDED
            sentence += f" But on {', '.join(sizes)} two sources of a target are further apart."
            takes = "The answer depends on the size."
        elif verdict is Verdict.YES and (signs := opposite_signs(found.rows)):
            verdict = Verdict.UNDECIDED
            sentence += f" But {signs}."
            takes = "The factor is of D_E, which counts the text finetuned on; D_T differs in sign."
        if verdict is Verdict.NO and not _beyond(among.drawn, LEVEL / 2):
            sentence += " Within single targets two sources differ by more than the factor."
    tested = (
        "Ratio of D_E between sources over the targets and sizes that both have (least squares of "
        "source, target, size on log(D_E / D_F)), without sizes at which a D_E is a bound or the "
        "ladder is limited by steps. Yes: the 90 % interval of every ratio is within "
        f"{SIMILAR_FOLD} (two one-sided tests of 5 %, valid for all at once), what single pairs "
        "add is within it too, no interval within a target lies beyond it, over all sizes or at "
        "one, no bound at a size left out shows more, and no source significantly hurts where "
        "another significantly helps; no: one ratio, over all targets or within one, is "
        f"significantly beyond {SIMILAR_FOLD} (max t over all, 5 %). Resamples include the luck "
        "that all finetunes of a pretrain share; the interval of the widest ratio is simultaneous "
        "over all ratios. p: sum of squares of source effects, compared with the "
        "resamples, pretrains as the unit."
    )
    return ClaimAnswer(
        name=NAME,
        question=QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables=tables,
        tested=tested,
        n=len(grid.sources),
        unit="sources",
        notes=notes,
        takes=takes,
    )


def source_contrasts(grid: Grid) -> Contrasts:
    """All pairs of sources, from the additive fit."""
    weights = effect_weights(grid)[1 : 1 + len(grid.sources)]
    places = list(combinations(range(len(grid.sources)), 2))
    one, other = np.array(places).T
    weights = weights[one] - weights[other]
    drawn = grid.observed_draws()
    return Contrasts(
        [(grid.sources[i], grid.sources[j]) for i, j in places],
        weights @ grid.values[grid.observed],
        None if drawn is None else drawn @ weights.T,
    )


def sources_differ_p(grid: Grid, confidence: float) -> float:
    """p of "all sources are equal", pretrains as the unit. NaN if the noise is unknown."""
    drawn = grid.observed_draws()
    if drawn is None:
        return math.nan
    weights = effect_weights(grid)[1 : 1 + len(grid.sources)]
    values = weights @ grid.values[grid.observed]
    return size_of(values, drawn @ weights.T, confidence).p


def similar_verdict(grid: Grid, among: Contrasts, left: Comparable) -> Verdict:
    """Equivalence of all sources, or one ratio beyond the factor."""
    if among.drawn is None:
        return Verdict.UNDECIDED
    if _beyond(among.drawn, LEVEL / 2) or _beyond(_within_targets(grid), LEVEL / 2):
        return Verdict.NO
    edge = math.log(SIMILAR_FOLD)
    low, high = np.quantile(among.drawn, [LEVEL, 1 - LEVEL], axis=0)
    alike = bool((low > -edge).all() and (high < edge).all())
    if alike and not left.bounded and pairs_alike(grid) and not _any_beyond(grid):
        return Verdict.YES
    return Verdict.UNDECIDED


def sizes_apart(found: Finetuned) -> list[str]:
    """The sizes at which `_any_beyond` holds: a mean over sizes hides what only small ones get."""
    sizes = found.rows["finetune_bytes"].to_numpy()
    apart = []
    for finetune_bytes in np.unique(sizes):
        part = found.where(sizes == finetune_bytes)
        if _any_beyond(pooled(part.rows, "log_ratio", part.drawn)):
            apart.append(str(part.rows["size"].iloc[0]))
    return apart


def _any_beyond(grid: Grid) -> bool:
    """Whether the 90 % interval of some ratio within a target lies beyond the factor: not enough
    for a "no" (it is one of many), but it rules out a "yes"."""
    drawn = _within_targets(grid)
    if drawn is None or not drawn.shape[1]:
        return False
    low, high = np.quantile(drawn, [LEVEL, 1 - LEVEL], axis=0)
    edge = math.log(SIMILAR_FOLD)
    return bool(((low > edge) | (high < -edge)).any())


def pairs_alike(grid: Grid) -> bool:
    """Whether the pair effects, beyond source and target, are significantly within the factor.

    Between two sources of a target they differ by sqrt(2) of their own size.
    """
    drawn = grid.observed_draws()
    if drawn is None:
        return False
    weights = effect_weights(grid)
    source, target = dummies(grid)
    onto = np.hstack([np.ones((len(source), 1)), source, target]) @ weights
    rest = np.eye(len(onto)) - onto
    freedom = len(rest) - len(grid.sources) - len(grid.targets) + 1
    if freedom <= 0:
        return True
    size = size_of(rest @ grid.values[grid.observed], drawn @ rest.T, 1 - 2 * LEVEL, freedom)
    return bool(math.sqrt(2) * size.high < math.log(SIMILAR_FOLD))


def _within_targets(grid: Grid) -> Floats | None:
    if grid.drawn is None:
        return None
    one, other = np.array(list(combinations(range(len(grid.sources)), 2))).T
    apart = (grid.drawn[:, one] - grid.drawn[:, other]).reshape(len(grid.drawn), -1)
    return np.asarray(apart[:, np.isfinite(apart[0])])


def _beyond(drawn: Floats | None, level: float) -> bool:
    """Whether any log ratio is significantly beyond the factor, simultaneously over all."""
    if drawn is None or not drawn.shape[1]:
        return False
    centre, reach = reach_of_all(drawn, level)
    return bool((np.abs(centre) - reach > math.log(SIMILAR_FOLD)).any())


def _ratios_table(among: Contrasts, confidence: float) -> pd.DataFrame:
    """One row per two sources, the better one first, sorted by ratio."""
    rows = []
    reach = np.full(len(among.values), math.nan)
    if among.drawn is not None:
        reach = reach_of_all(among.drawn, 1 - confidence)[1]
    for (one, other), value, half in zip(among.pairs, among.values, reach, strict=True):
        names = (one, other) if value >= 0 else (other, one)
        size = abs(float(value))
        ends = math.exp(size - half), math.exp(size + half)
        rows.append((*names, math.exp(size), *ends))
    table = pd.DataFrame(rows, columns=["source", "other", "ratio", "low", "high"])
    return table.sort_values("ratio", ascending=False, kind="stable", ignore_index=True)


def _spread(grid: Grid) -> float:
    """sd of the values between sources within a target, degrees of freedom pooled."""
    within = grid.values - np.nanmean(grid.values, axis=0)
    freedom = int((grid.observed.sum(axis=0) - 1).clip(min=0).sum())
    return math.sqrt(float(np.nansum(within**2)) / freedom) if freedom else math.nan


def _by_size(found: Finetuned, num_permutations: int, random: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    sizes = found.rows["finetune_bytes"].to_numpy()
    for finetune_bytes in np.unique(sizes):
        part = found.where(sizes == finetune_bytes)
        mine = part.rows
        ratios = pooled(mine, "log_ratio", part.drawn)
        gains = grid_of(mine[np.isfinite(mine["gain"].to_numpy(dtype=float))], "gain")
        row: dict[str, object] = {
            "finetune_bytes": finetune_bytes,
            "num_pairs": ratios.num_pairs,
            "num_bounds": int((mine["range"] != "inside").sum()),
            "mean_gain": float(np.nanmean(gains.values)) if gains.num_pairs else math.nan,
            "sd_between_sources": _spread(gains) if gains.num_pairs else math.nan,
        }
        if connected(ratios) and len(ratios.sources) > 1 and len(ratios.targets) > 1:
            each = shares(ratios)
            row |= {
                "share_source": each.source,
                "share_target": each.target,
                "share_pair": each.pair,
                "share_seeds": each.noise,
            }
            row["sd_rest"] = float(np.nanstd(two_way(ratios).rest))
            if ratios.drawn is None:
                row["p_checkpoints"] = source_effect_p(ratios, num_permutations, random)
            else:
                row["p_source"] = sources_differ_p(ratios, 0.9)
        rows.append(row)
    columns = [
        "finetune_bytes",
        "num_pairs",
        "num_bounds",
        "mean_gain",
        "sd_between_sources",
        "share_source",
        "share_target",
        "share_pair",
        "share_seeds",
        "sd_rest",
        "p_source",
        "p_checkpoints",
    ]
    return pd.DataFrame(rows, columns=columns)
