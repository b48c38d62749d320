"""Claim 3: is transfer commutative: does a give b what b gives a?

D_T from a to b and from b to a are bytes of two different languages, so log(D_E / D_F) is compared.
Reciprocity is the intraclass correlation of the two directions, with the noise removed from both
variances: 1, the same; 0, unrelated; -1, what one direction gains the other lacks. It is undefined
for equal languages, where pairs do not vary beyond noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.claim import NOT_TESTED, ClaimAnswer, Verdict, insufficient
from analysis.claims.grid import Finetuned, Grid, comparable, pooled
from analysis.claims.permutation import associated, label_permutations
from analysis.claims.quadratic import Size, size_of
from analysis.claims.similar import SIMILAR_FOLD
from analysis.claims.twoway import connected, two_way
from analysis.wording import counted, listed, ratio

NAME = "commutative"
QUESTION = "Does a language give another what it gets from it?"
MIN_LANGUAGES = 4  # in both roles, both directions: 24 permutations
LEVEL = 0.05
MOSTLY = 0.5  # share of the variation between pairs that both directions have in common


@dataclass(frozen=True)
class Directions:
    """Mean (P,) and difference (P,) of the two directions of every pair, and, beyond noise, how far
    pairs (`between`) and directions (`within`) differ; None if the noise is unknown."""

    middle: Floats
    apart: Floats
    between: Size | None = None
    within: Size | None = None

    @property
    def reciprocity(self) -> float:
        """Intraclass correlation of the two directions without noise; NaN if nothing varies."""
        if self.between is None or self.within is None:
            between = 2 * float(self.middle.var(ddof=1)) if len(self.middle) > 1 else math.nan
            within = float((self.apart**2).mean()) / 2
        else:
            between, within = 2 * self.between.value**2, self.within.value**2 / 2
        return _icc(between, within)

    @property
    def bounds(self) -> tuple[float, float]:
        """One-sided 5 % bounds of reciprocity; the whole range if nothing varies beyond noise."""
        if self.between is None or self.within is None:
            return math.nan, math.nan
        between, within = self.between, self.within
        if min(between.p, within.p) > LEVEL / 2:
            return -1.0, 1.0
        low = _icc(2 * between.low**2, within.high**2 / 2)
        high = _icc(2 * between.high**2, within.low**2 / 2)
        return low, high


def _icc(between: float, within: float) -> float:
    total = between + within
    return (between - within) / total if total > 0 else math.nan


def directions(grid: Grid) -> Directions:
    """Over the pairs measured in both directions."""
    found = _pairs(grid)
    middle = ((found["there"] + found["back"]) / 2).to_numpy(dtype=float)
    apart = (found["there"] - found["back"]).to_numpy(dtype=float)
    if grid.drawn is None or len(found) < 2:
        return Directions(middle, apart)
    place = {name: at for at, name in enumerate(grid.sources)}
    target = {name: at for at, name in enumerate(grid.targets)}
    there = grid.drawn[:, found["one"].map(place), found["other"].map(target)]
    back = grid.drawn[:, found["other"].map(place), found["one"].map(target)]
    drawn = (there + back) / 2
    # 2.5 % at each end of each size, so that both bounds of reciprocity hold at 5 % each.
    sure = 1 - LEVEL
    between = size_of(
        middle - middle.mean(), drawn - drawn.mean(axis=1, keepdims=True), sure, len(middle) - 1
    )
    return Directions(middle, apart, between, size_of(apart, there - back, sure))


def commutative(
    found: Finetuned,
    model: str,
    *,
    confidence: float,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """The answer from `analysis.claims.grid.finetuned`."""
    left = comparable(found)
    whole = pooled(left.found.rows, "log_ratio", left.found.drawn)
    both = [name for name in whole.sources if name in whole.targets]
    mutual = whole.only(both, both)
    pairs = _pairs(mutual)
    if pairs.empty:
        return insufficient(
            name=NAME,
            question=QUESTION,
            model=model,
            needs="two languages that are source and target of each other",
            found=f"none ({len(both)} languages in both roles)",
            n=0,
            unit="languages",
        )
    named = sorted({*pairs["one"], *pairs["other"]})
    by_size = _directions(found.rows, pairs)
    fold = math.exp(float((pairs["there"] - pairs["back"]).abs().median()))
    clear = by_size[by_size["clearly_differ"]]
    typical = (
        f"Over {counted(len(pairs), 'pair')} the two directions typically differ "
        f"{ratio(fold)}-fold in D_E; their intervals do not overlap in {len(clear)} of "
        f"{len(by_size)} comparisons"
    )
    tables = {"Both directions, all sizes": pairs, "Both directions by size": by_size}
    notes = list(left.notes)
    tested = (
        "log(D_E / D_F) from a to b against b to a. Reciprocity: intraclass correlation of the two "
        "directions, with the variance of the noise removed from the variation between and within "
        f"pairs. Yes: reciprocity significantly above {MOSTLY} and the two directions within "
        f"{SIMILAR_FOLD}-fold of each other (root mean square); no: significantly below {MOSTLY}; "
        "undecided if pairs and directions do not vary beyond noise. Intervals of the two "
        "variations invert their tests over the resamples, 5 % for each verdict. p: labels of one "
        "direction permuted (QAP). Intervals compared are those of D_T."
    )
    sentence, verdict, takes = f"{typical}.", Verdict.UNDECIDED, ""
    if len(named) < MIN_LANGUAGES:
        sentence += (
            f" Grid too small to decide: {len(named)} languages are sources and targets of each "
            f"other ({listed(named)})."
        )
        more = counted(MIN_LANGUAGES - len(named), "more language")
        takes = f"Needs {more} in both roles, in both directions."
        tested = NOT_TESTED
    else:
        square = mutual.only(named, named)
        each = directions(square)
        said, verdict = _answer(each, left.bounded)
        sentence += f" {said}"
        p = _permuted_p(square, num_permutations, random)
        if math.isnan(p):
            notes.append(
                "p needs both directions of every pair of these languages; some are missing."
            )
        else:
            sentence += f" (correlation of the directions: p = {p:.2g})."
        one_way = Grid(square.sources, square.targets, _mutual_only(square.values))
        if connected(one_way):
            beyond = directions(Grid(square.sources, square.targets, two_way(one_way).rest))
            if not math.isnan(beyond.reciprocity):
                sentence += f" Beyond main effects reciprocity is {beyond.reciprocity:.2f}."
    return ClaimAnswer(
        name=NAME,
        question=QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables=tables,
        tested=tested,
        n=len(named),
        unit="languages",
        notes=notes,
        takes=takes,
    )


def _answer(each: Directions, bounded: bool) -> tuple[str, Verdict]:
    low, high = each.bounds
    if each.between is None or each.within is None:
        return (
            f"Reciprocity of these checkpoints {each.reciprocity:.2f}; with one seed it cannot be "
            "distinguished from the luck of pretrains",
            Verdict.UNDECIDED,
        )
    if (low, high) == (-1.0, 1.0):
        return "Pairs do not vary beyond the noise of seeds, so reciprocity is undefined", (
            Verdict.UNDECIDED
        )
    said = f"Reciprocity {each.reciprocity:.2f} [{low:.2f}, {high:.2f}]"
    if high < MOSTLY:
        return said, Verdict.NO
    alike = each.within.high < math.log(SIMILAR_FOLD)
    return said, Verdict.YES if low > MOSTLY and alike and not bounded else Verdict.UNDECIDED


def _permuted_p(square: Grid, num_permutations: int, random: np.random.Generator) -> float:
    if not np.isfinite(square.values[square.different()]).all():
        return math.nan
    drawn = label_permutations(
        square.sources, square.targets, num_permutations=num_permutations, random=random
    )
    back = np.where(square.different(), square.values.T, 0.0)
    return associated(square, back, drawn).p


def _pairs(grid: Grid) -> pd.DataFrame:
    found = []
    for i, j in combinations(range(len(grid.sources)), 2):
        there, back = grid.values[i, j], grid.values[j, i]
        if np.isfinite(there) and np.isfinite(back):
            found.append((grid.sources[i], grid.sources[j], float(there), float(back)))
    return pd.DataFrame(found, columns=["one", "other", "there", "back"])


def _mutual_only(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values) & np.isfinite(values.T), values, np.nan)


def _directions(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    columns = ["transferred_bytes", "transferred_low_bytes", "transferred_high_bytes", "range"]
    keyed = rows.set_index(["source", "target", "finetune_bytes"])[columns]
    found: list[dict[str, object]] = []
    for pair in pairs.itertuples():
        for size in sorted(rows["finetune_bytes"].unique()):
            there, back = (pair.one, pair.other, size), (pair.other, pair.one, size)
            if there not in keyed.index or back not in keyed.index:
                continue
            one, other = keyed.loc[there], keyed.loc[back]
            apart = bool(
                one["transferred_low_bytes"] > other["transferred_high_bytes"]
                or other["transferred_low_bytes"] > one["transferred_high_bytes"]
            )
            found.append(
                {
                    "one": pair.one,
                    "other": pair.other,
                    "finetune_bytes": size,
                    "transferred_there_bytes": one["transferred_bytes"],
                    "range_there": one["range"],
                    "transferred_back_bytes": other["transferred_bytes"],
                    "range_back": other["range"],
                    "clearly_differ": apart,
                }
            )
    return pd.DataFrame(
        found,
        columns=[
            "one",
            "other",
            "finetune_bytes",
            "transferred_there_bytes",
            "range_there",
            "transferred_back_bytes",
            "range_back",
            "clearly_differ",
        ],
    )
