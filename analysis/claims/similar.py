"""Claim 1: do different sources help a target about equally?

The measure is the ratio of D_E between two sources: how many times as many bytes of scratch one is
worth as the other. Sources are similar if every ratio is significantly within a factor of 1.5, and
not similar if one ratio is significantly beyond it. This is an equivalence test, so noise is never
mistaken for similarity, and the largest ratio counts however many sources are similar.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from analysis.arrays import Floats
from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.contrasts import (
    Contrasts,
    ratios_table,
    source_contrasts,
    sources_differ_p,
)
from analysis.claims.counterexamples import opposite_signs, widest_left_out
from analysis.claims.grid import Comparable, Finetuned, Grid, comparable, pooled
from analysis.claims.quadratic import reach_of_all, size_of
from analysis.claims.spread import spread_by_size
from analysis.claims.twoway import (
    connected,
    dummies,
    effect_weights,
    effects_table,
    shares,
    source_effect_p,
)
from analysis.wording import counted, ratio

NAME = "similar"
QUESTION = "Do different sources help a target about equally?"
EFFECTS = "Effects of source and target on log(D_E / D_F)"
RATIOS = "Ratios of D_E between sources"
SPREAD = "Spread between sources, and what explains log(D_E / D_F)"
SIMILAR_FOLD = 1.5  # ratio of D_E up to which sources count as similar
LEVEL = 0.05  # probability of a false verdict


def similar(
    found: Finetuned,
    model: str,
    *,
    confidence: float,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """The answer from `analysis.claims.grid.finetuned`."""
    compared = comparable(found)
    grid = pooled(compared.found.rows, "log_ratio", compared.found.drawn)
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
    table = ratios_table(among, confidence)
    tables = {RATIOS: table, EFFECTS: effects_table(grid, confidence)}
    tables[SPREAD] = spread_by_size(found, num_permutations, random)
    part = shares(grid)
    explained = (
        f" Of the variation of log(D_E / D_F) the source explains {part.source:.0%}, the target "
        f"{part.target:.0%}, "
    )
    notes, takes = list(compared.notes), ""
    widest = table.iloc[0]
    largest = (
        f"D_E differs between sources up to {ratio(widest['ratio'])}-fold ({widest['source']} over "
        f"{widest['other']}"
    )
    if among.drawn is None:
        p = source_effect_p(grid, num_permutations, random)
        sentence = (
            f"{largest}).{explained}the pair and noise {part.pair:.0%}. These checkpoints "
            + ("differ" if p <= LEVEL else "do not differ beyond their scatter over targets")
            + f" (p = {p:.2g}); whether the languages do is unknown with one seed, because all "
            "finetunes of a pretrain share its luck."
        )
        verdict = Verdict.UNDECIDED
    else:
        p = sources_differ_p(grid, confidence)
        sentence = (
            f"{largest}, [{ratio(widest['low'])}, {ratio(widest['high'])}]).{explained}the pair "
            f"{part.pair:.0%}, seeds {part.noise:.0%} (no difference between sources: "
            f"p = {p:.2g})."
        )
        verdict = similar_verdict(grid, among, compared)
        apart = widest_left_out(found, compared)
        if verdict is Verdict.YES and apart is not None and apart.fold > SIMILAR_FOLD:
            verdict = Verdict.UNDECIDED
            sentence += f" But {apart}."
            takes = f"Needs a rung {apart.missing} the ladder of {apart.target}."
        elif verdict is Verdict.YES and (sizes := sizes_apart(compared.found)):
            verdict = Verdict.UNDECIDED
            sentence += f" But on {', '.join(sizes)} two sources of a target differ by more."
            takes = "The answer depends on the size."
        elif verdict is Verdict.YES and (signs := opposite_signs(found.rows)):
            verdict = Verdict.UNDECIDED
            sentence += f" But {signs}."
            takes = "D_E includes the text finetuned on and is within the factor; D_T changes sign."
        if verdict is Verdict.NO and not _beyond(among.drawn, LEVEL / 2):
            sentence += " Within a single target, two sources differ by more than the factor."
    tested = (
        "Ratio of D_E between sources over the targets and sizes that both have (least squares fit "
        "of log(D_E / D_F) by source, target and size), without sizes at which a D_E is a bound or "
        f"the ladder is limited by steps. Yes: a factor of {SIMILAR_FOLD} includes the 90 % "
        "interval of every ratio (two one-sided tests at 5 %, valid for all at once) and the "
        "effects of single pairs; no interval within a target lies beyond it, over all sizes or at "
        "one; no bound at a size that is left out shows more; and no source significantly hurts "
        "where another significantly helps. No: one ratio, over all targets or within one, is "
        f"significantly beyond {SIMILAR_FOLD} (max t over all, 5 %). Resamples include the luck "
        "that all finetunes of a pretrain share. The interval of the widest ratio is simultaneous "
        "over all ratios. p: sum of squares of source effects against that of the resamples, with "
        "pretrains as the unit."
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


def similar_verdict(grid: Grid, among: Contrasts, compared: Comparable) -> Verdict:
    """Yes if all sources are equivalent, no if one ratio is beyond the factor."""
    if among.drawn is None:
        return Verdict.UNDECIDED
    if _beyond(among.drawn, LEVEL / 2) or _beyond(_within_targets(grid), LEVEL / 2):
        return Verdict.NO
    edge = math.log(SIMILAR_FOLD)
    low, high = np.quantile(among.drawn, [LEVEL, 1 - LEVEL], axis=0)
    alike = bool((low > -edge).all() and (high < edge).all())
    if alike and not compared.bounded and pairs_alike(grid) and not _any_beyond(grid):
        return Verdict.YES
    return Verdict.UNDECIDED


def sizes_apart(found: Finetuned) -> list[str]:
    """The sizes at which `_any_beyond` holds: a mean over sizes hides what shows only at small
    ones."""
    sizes = found.rows["finetune_bytes"].to_numpy()
    apart = []
    for finetune_bytes in np.unique(sizes):
        part = found.where(sizes == finetune_bytes)
        if _any_beyond(pooled(part.rows, "log_ratio", part.drawn)):
            apart.append(str(part.rows["size"].iloc[0]))
    return apart


def _any_beyond(grid: Grid) -> bool:
    """Whether the 90 % interval of any ratio within a target lies beyond the factor. That is too
    little for a "no", because it is one of many, but rules out a "yes"."""
    drawn = _within_targets(grid)
    if drawn is None or not drawn.shape[1]:
        return False
    low, high = np.quantile(drawn, [LEVEL, 1 - LEVEL], axis=0)
    edge = math.log(SIMILAR_FOLD)
    return bool(((low > edge) | (high < -edge)).any())


def pairs_alike(grid: Grid) -> bool:
    """Whether the effects of pairs, beyond those of source and target, are significantly within the
    factor. The difference of two of them has sqrt(2) times their size.
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
