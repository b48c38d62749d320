"""Claim 3: is transfer commutative: does a give b what b gives a?

D_T of a to b and of b to a are bytes of two different languages, so log(D_E / D_F) is compared. The
reciprocity is the intraclass correlation of the two directions: 1, the same; 0, nothing in common.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.grid import Grid, censored_note, pooled
from analysis.claims.permutation import associated, label_permutations
from analysis.claims.twoway import connected, jackknife, two_way
from analysis.wording import counted, listed

NAME = "commutative"
QUESTION = "Does a language give another what it gets from it?"
MIN_LANGUAGES = 4  # in both roles, both directions: 24 permutations
LEVEL = 0.05
MOSTLY = 0.5  # of the variation between pairs is shared by the two directions


def commutative(
    rows: pd.DataFrame,
    model: str,
    *,
    confidence: float,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """The answer from the rows of `analysis.claims.grid.finetuned`."""
    whole = pooled(rows, "log_ratio")
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
    by_size = _directions(rows, pairs)
    fold = math.exp(float((pairs["there"] - pairs["back"]).abs().median()))
    clear = by_size[by_size["clearly_differ"]]
    typical = (
        f"Over {counted(len(pairs), 'pair')} the two directions differ typically {fold:.2g}-fold "
        "in D_E; "
        f"their intervals are apart in {len(clear)} of {len(by_size)} comparisons"
    )
    tables = {"Both directions, all sizes": pairs, "Both directions by size": by_size}
    notes = censored_note(rows)
    tested = (
        "log(D_E / D_F) of a to b against b to a. Reciprocity: intraclass correlation of the two "
        "directions; p: labels of one direction permuted (QAP); interval: jackknife over "
        f"languages, Student's t. Yes: p <= {LEVEL} and the interval above {MOSTLY}; no: the "
        f"interval under {MOSTLY}. apart: the intervals of D_T of the two directions do not "
        "overlap, which needs several seeds."
    )
    if len(named) < MIN_LANGUAGES:
        sentence = (
            f"{typical}. Not tested: needs at least {MIN_LANGUAGES} languages that are sources and "
            f"targets of each other; found {len(named)} ({listed(named)})."
        )
        return ClaimAnswer(
            name=NAME,
            question=QUESTION,
            model=model,
            sentence=sentence,
            verdict=Verdict.UNDECIDED,
            tables=tables,
            tested="not tested",
            n=len(named),
            unit="languages",
            notes=notes,
        )
    square = mutual.only(named, named)
    one_way = Grid(square.sources, square.targets, _mutual_only(square.values))
    rho = _reciprocity(one_way) or math.nan
    low, high, _ = jackknife(_reciprocity, one_way, "language", confidence)
    p = math.nan
    drawn = label_permutations(
        square.sources, square.targets, num_permutations=num_permutations, random=random
    )
    complete = np.isfinite(square.values[square.different()]).all()
    if complete:
        result = associated(square, np.where(square.different(), square.values.T, 0.0), drawn)
        p = result.p
    else:
        notes.append("p needs both directions of every pair of the languages; some are missing.")
    residual = ""
    if connected(one_way):
        beyond = _reciprocity(Grid(square.sources, square.targets, two_way(one_way).rest))
        if beyond is not None:
            residual = f" Beyond main effects of source and target it is {beyond:.2f}."
    interval = f" [{low:.2f}, {high:.2f}]" if not math.isnan(low) else ""
    said_p = f", p = {p:.2g}" if not math.isnan(p) else ""
    sentence = f"{typical}. Reciprocity {rho:.2f}{interval}{said_p}.{residual}"
    verdict = Verdict.UNDECIDED
    if high < MOSTLY:
        verdict = Verdict.NO
    elif low > MOSTLY and p <= LEVEL:
        verdict = Verdict.YES
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
    )


def _pairs(grid: Grid) -> pd.DataFrame:
    found = []
    for i, j in combinations(range(len(grid.sources)), 2):
        there, back = grid.values[i, j], grid.values[j, i]
        if np.isfinite(there) and np.isfinite(back):
            found.append((grid.sources[i], grid.sources[j], float(there), float(back)))
    return pd.DataFrame(found, columns=["one", "other", "there", "back"])


def _mutual_only(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values) & np.isfinite(values.T), values, np.nan)


def _reciprocity(grid: Grid) -> float | None:
    """Intraclass correlation of the two directions over mutual pairs; None where nothing varies."""
    pairs = _pairs(grid)
    if len(pairs) < 2:
        return None
    there, back = pairs["there"].to_numpy(), pairs["back"].to_numpy()
    middle = (there + back) / 2
    between = 2 * float(((middle - middle.mean()) ** 2).sum()) / (len(pairs) - 1)
    within = float(((there - back) ** 2).sum()) / 2 / len(pairs)
    return (between - within) / (between + within) if between + within > 0 else None


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
