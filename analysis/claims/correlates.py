"""Correlates of log(D_E / D_F): all predictors together (MRQAP), and verdicts on correlations."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.claim import Verdict
from analysis.claims.grid import Grid
from analysis.claims.permutation import (
    Association,
    LabelPermutations,
    associated,
    label_permutations,
)
from analysis.claims.predictors import OVERLAPPING, PREREGISTERED
from analysis.distances.table import KINDS

LEVEL = 0.05
MODERATE_R = 0.3  # Cohen's; a "no" means that |r| is significantly below it
NORMAL_95 = 1.645  # quantile of a standard normal, for two one-sided tests at 5 %
MIN_PERMUTATIONS = 20  # with fewer, p cannot reach 0.05
FIRST, EXPLORED, OF_CORPORA = "preregistered", "exploration", "of the corpora"


def known_languages(square: pd.DataFrame, grid: Grid) -> list[str]:
    """The languages that remain after dropping, one by one, those with the most unknown pairs until
    all pairs are known."""
    kept = sorted({*grid.sources, *grid.targets})
    while True:
        part = square.loc[kept, kept].isna().to_numpy(copy=True)
        np.fill_diagonal(part, False)
        rows = np.array([name in grid.sources for name in kept])
        columns = np.array([name in grid.targets for name in kept])
        unknown = part & rows[:, None] & columns[None, :]
        counts = unknown.sum(axis=0) + unknown.sum(axis=1)
        if not counts.any():
            return kept
        kept.pop(int(counts.argmax()))


def together(
    numbers: Grid,
    ranks: Grid,
    known: dict[str, pd.DataFrame],
    num_permutations: int,
    random: np.random.Generator,
    notes: list[str],
) -> list[dict[str, object]]:
    """MRQAP: each predictor that is known for all pairs, adjusted for the others. Rows of
    `correlate`; appends to `notes` which predictors are left out."""
    different = numbers.different()
    complete: dict[str, Floats] = {}
    for name, square in known.items():
        x = square.loc[list(numbers.sources), list(numbers.targets)].to_numpy(dtype=float)
        if (
            name != PREREGISTERED
            and not name.startswith(OVERLAPPING)
            and np.isfinite(x[different]).all()
        ):
            complete[name] = x
    if len(complete) < 2:
        return []
    drawn = label_permutations(
        numbers.sources, numbers.targets, num_permutations=num_permutations, random=random
    )
    found: list[dict[str, object]] = []
    for measure in ("Pearson", "Spearman"):
        by_rank = measure == "Spearman"
        for main_effects in (True, False):
            for name, x in complete.items():
                others = tuple(one for other, one in complete.items() if other != name)
                result = associated(
                    ranks if by_rank else numbers,
                    x,
                    drawn,
                    controls=others,
                    main_effects=main_effects,
                    ranks=by_rank,
                )
                found.append(
                    correlate(name, "MRQAP", measure, main_effects, numbers, drawn, result)
                )
    left_out = [
        name
        for name in known
        if name not in complete and name != PREREGISTERED and not name.startswith(OVERLAPPING)
    ]
    if left_out:
        notes.append(
            "MRQAP leaves out predictors that are not known for every language: "
            f"{', '.join(left_out)}."
        )
    return found


def correlation_verdict(
    r: float, p: float, error: float, freedom: int, *, expected: int
) -> Verdict:
    """A significant r decides yes if it has the `expected` sign (1 or -1), else opposite. If it is
    not significant, no if |r| is significantly below `MODERATE_R`, else undecided."""
    if p <= LEVEL:
        return Verdict.YES if r * expected > 0 else Verdict.OPPOSITE
    return Verdict.NO if abs(r) + reach_of(error, freedom) < MODERATE_R else Verdict.UNDECIDED


def reach_of(error: float, freedom: int) -> float:
    """The half-width of a 90 % interval of r. A few labels have few permutations, so the error is
    taken as at least that of independent pairs."""
    return NORMAL_95 * max(error, 1 / math.sqrt(freedom))


def correlate(
    name: str,
    method: str,
    measure: str,
    main_effects: bool,
    grid: Grid,
    drawn: LabelPermutations,
    result: Association,
) -> dict[str, object]:
    """One row of the table of correlates."""
    role = FIRST if name == PREREGISTERED else OF_CORPORA
    if name.split(" (predicted")[0] in KINDS:
        role = EXPLORED
    return {
        "predictor": name,
        "role": role,
        "method": method,
        "measure": measure,
        "main_effects": main_effects,
        "r": result.r,
        "p": result.p,
        "r_error": result.error,
        "critical_r": result.critical_r,
        "num_pairs": result.num_pairs,
        "freedom": result.freedom,
        "num_languages": len({*grid.sources, *grid.targets}),
        "num_permutations": len(drawn.sources),
        "exact": drawn.exact,
        "least_p": drawn.least_p,
        "note": result.note,
    }
