"""Claim 2: does similarity of languages explain D_T?

Every predictor is correlated with log(D_E / D_F) over pairs, with and without the main effects of
source and target, Pearson and Spearman; p-values permute labels of languages (QAP). Then all
predictors at once (MRQAP by double semi-partialling), as far as there are pairs for them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.grid import Grid, censored_note, pooled
from analysis.claims.permutation import (
    Association,
    LabelPermutations,
    associated,
    benjamini_hochberg,
    holm,
    label_permutations,
)
from analysis.claims.predictors import COMPOSITE, CorpusFacts, predictors
from analysis.claims.twoway import connected, two_way

NAME = "similarity"
QUESTION = "Does similarity of languages explain what transfers?"
LEVEL = 0.05
MODERATE_R = 0.3  # Cohen's; a "no" means that a correlation of this size would have been seen
MIN_PERMUTATIONS = 20  # or p <= 0.05 is out of reach
CORRELATES = "Correlates of log(D_E / D_F)"
PAIRS = "Pairs and their distances"
FAMILY = ["method", "measure", "main_effects"]


def explained_by_similarity(
    rows: pd.DataFrame,
    model: str,
    *,
    facts: CorpusFacts,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """The answer from the rows of `analysis.claims.grid.finetuned`."""
    numbers, ranks = pooled(rows, "log_ratio"), pooled(rows, "rank")
    languages = {*numbers.sources, *numbers.targets}
    known = predictors(languages, facts)
    notes = censored_note(rows) + list(facts.notes)
    found: list[dict[str, object]] = []
    for name, square in known.items():
        kept = _known_languages(square, numbers)
        grid, ranked = (one.only(kept, kept) for one in (numbers, ranks))
        dropped = sorted(languages - set(kept))
        if dropped:
            notes.append(f"{name} is unknown of {', '.join(dropped)}: tested without.")
        drawn = label_permutations(
            grid.sources, grid.targets, num_permutations=num_permutations, random=random
        )
        if len(drawn.sources) < MIN_PERMUTATIONS:
            continue
        x = square.loc[list(grid.sources), list(grid.targets)].to_numpy(dtype=float)
        for measure in ("Pearson", "Spearman"):
            for main_effects in (True, False):
                by_rank = measure == "Spearman"
                result = associated(
                    ranked if by_rank else grid, x, drawn, main_effects=main_effects, ranks=by_rank
                )
                found.append(_row(name, "QAP", measure, main_effects, grid, drawn, result))
    if not found:
        return insufficient(
            name=NAME,
            question=QUESTION,
            model=model,
            needs="4 languages whose distances are known and whose labels permute in "
            f"{MIN_PERMUTATIONS} ways",
            found=f"{len(languages)} languages, {len(known)} kinds of distance known",
            n=len(languages),
            unit="languages",
        )
    found += _together(numbers, ranks, known, num_permutations, random, notes)
    table = pd.DataFrame(found)
    table["p_holm"] = table.groupby(FAMILY)["p"].transform(
        lambda p: pd.Series(holm(p.to_numpy(dtype=float)), index=p.index)
    )
    table["p_bh"] = table.groupby(FAMILY)["p"].transform(
        lambda p: pd.Series(benjamini_hochberg(p.to_numpy(dtype=float)), index=p.index)
    )
    first = ["predictor", *FAMILY, "r", "p", "p_holm", "p_bh"]
    table = table[first + [name for name in table.columns if name not in first]]
    sentence, verdict = _answer(table)
    exact = table["exact"].all()
    tested = (
        "log(D_E / D_F) per pair over all sizes (least squares of pair + size) against each "
        "predictor; main_effects: source and target effects partialled out. p: labels of languages "
        "permuted, a language in both roles in both at once, "
        + ("every permutation enumerated" if exact else f"{num_permutations} permutations drawn")
        + f"; least p possible {table['least_p'].max():.2g}. p_holm and p_bh correct over the "
        "predictors of one method, measure and choice of main effects. MRQAP: double "
        "semi-partialling (Dekker et al. 2007). The verdict rests on QAP, Pearson, with main "
        f"effects, p_holm <= {LEVEL}."
    )
    return ClaimAnswer(
        name=NAME,
        question=QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables={CORRELATES: table, PAIRS: _pairs_table(numbers, known)},
        tested=tested,
        n=len(languages),
        unit="languages",
        notes=notes,
    )


def _pairs_table(grid: Grid, known: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a pair: its response, what of it main effects leave, and every predictor."""
    beyond = two_way(grid).rest if connected(grid) else np.full(grid.values.shape, np.nan)
    rows = []
    for i, j in zip(*np.nonzero(grid.observed), strict=True):
        source, target = grid.sources[i], grid.targets[j]
        rows.append(
            {
                "source": source,
                "target": target,
                "log_ratio": float(grid.values[i, j]),
                "beyond_main_effects": float(beyond[i, j]),
                **{name: float(square.loc[source, target]) for name, square in known.items()},
            }
        )
    return pd.DataFrame(rows)


def _known_languages(square: pd.DataFrame, grid: Grid) -> list[str]:
    """The languages left when those with most unknown pairs are dropped, one by one."""
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


def _together(
    numbers: Grid,
    ranks: Grid,
    known: dict[str, pd.DataFrame],
    num_permutations: int,
    random: np.random.Generator,
    notes: list[str],
) -> list[dict[str, object]]:
    """MRQAP: each predictor beside the others that are known of the same languages."""
    different = numbers.different()
    whole: dict[str, Floats] = {}
    for name, square in known.items():
        x = square.loc[list(numbers.sources), list(numbers.targets)].to_numpy(dtype=float)
        if not name.startswith(COMPOSITE) and np.isfinite(x[different]).all():
            whole[name] = x
    if len(whole) < 2:
        return []
    drawn = label_permutations(
        numbers.sources, numbers.targets, num_permutations=num_permutations, random=random
    )
    found: list[dict[str, object]] = []
    for measure in ("Pearson", "Spearman"):
        by_rank = measure == "Spearman"
        for main_effects in (True, False):
            for name, x in whole.items():
                others = tuple(one for other, one in whole.items() if other != name)
                result = associated(
                    ranks if by_rank else numbers,
                    x,
                    drawn,
                    controls=others,
                    main_effects=main_effects,
                    ranks=by_rank,
                )
                found.append(_row(name, "MRQAP", measure, main_effects, numbers, drawn, result))
    lost = [name for name in known if name not in whole and not name.startswith(COMPOSITE)]
    if lost:
        notes.append(f"MRQAP leaves out what is not known of every language: {', '.join(lost)}.")
    return found


def _row(
    name: str,
    method: str,
    measure: str,
    main_effects: bool,
    grid: Grid,
    drawn: LabelPermutations,
    result: Association,
) -> dict[str, object]:
    return {
        "predictor": name,
        "method": method,
        "measure": measure,
        "main_effects": main_effects,
        "r": result.r,
        "p": result.p,
        "critical_r": result.critical_r,
        "num_pairs": result.num_pairs,
        "num_languages": len({*grid.sources, *grid.targets}),
        "num_permutations": len(drawn.sources),
        "exact": drawn.exact,
        "least_p": drawn.least_p,
        "note": result.note,
    }


def _answer(table: pd.DataFrame) -> tuple[str, Verdict]:
    main = table[
        (table["method"] == "QAP") & (table["measure"] == "Pearson") & table["main_effects"]
    ]
    main = main[main["p"].notna()]
    if main.empty:
        return (
            "Undecided: beyond the main effects of source and target no pair is left to compare.",
            Verdict.UNDECIDED,
        )
    hits = main[main["p_holm"] <= LEVEL].sort_values("p_holm")
    if len(hits):
        shown = ", ".join(
            f"{row['predictor']} (r = {row['r']:+.2f}, p = {row['p_holm']:.2g})"
            for row in hits.to_dict("records")
        )
        return (
            "Beyond what source and target are good for by themselves, transfer goes with "
            f"{shown}; p-values corrected (Holm) over {len(main)} predictors.",
            Verdict.YES,
        )
    best = main.loc[main["p"].idxmin()]
    critical = float(main["critical_r"].max())
    reach = main["least_p"].max() * len(main)
    sentence = (
        f"No predictor of {len(main)} is significant; the nearest is {best['predictor']} "
        f"(r = {best['r']:+.2f}, p = {best['p']:.2g}, Holm {best['p_holm']:.2g}). "
    )
    if reach > LEVEL:
        return (
            sentence + f"The labels permute in too few ways for any to be (least p {reach:.2g}).",
            Verdict.UNDECIDED,
        )
    if critical <= MODERATE_R:
        return sentence + f"|r| over {critical:.2f} would have been seen.", Verdict.NO
    return (
        sentence + f"Only |r| over {critical:.2f} could have been seen: not evidence of absence.",
        Verdict.UNDECIDED,
    )
