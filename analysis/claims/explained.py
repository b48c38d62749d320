"""Claim 2: does similarity of languages explain D_T?

One predictor is fixed in advance, the mean of the published distances (`PREREGISTERED`). Its
correlation with log(D_E / D_F) over pairs, beyond the main effects of source and target, decides,
including its sign: a distance that goes with *more* transfer is another answer. p-values permute
labels of languages (QAP). Each kind of distance by itself, Pearson and Spearman, with and without
main effects and all together (MRQAP by double semi-partialling), is exploratory; predictors that
are no similarity of languages (bytes per character, contamination) are tested separately.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.correlates import (
    FIRST,
    LEVEL,
    MIN_PERMUTATIONS,
    MODERATE_R,
    correlate,
    correlation_verdict,
    known_languages,
    reach_of,
    together,
)
from analysis.claims.grid import Finetuned, Grid, censored_note, pooled
from analysis.claims.permutation import (
    associated,
    benjamini_hochberg,
    freedom_with,
    holm,
    label_permutations,
)
from analysis.claims.predictors import (
    PREREGISTERED,
    CorpusFacts,
    distances,
    predictors,
)
from analysis.claims.twoway import connected, two_way
from analysis.wording import counted

NAME = "similarity"
QUESTION = "Does similarity of languages explain what transfers?"
MOST_LANGUAGES = 12  # the largest number of additional languages considered
MIN_LANGUAGES = 4  # in both roles
CORRELATES = "Correlates of log(D_E / D_F)"
PAIRS = "Pairs and their distances"
FAMILY = ["role", "method", "measure", "main_effects"]


def explained_by_similarity(
    found: Finetuned,
    model: str,
    *,
    facts: CorpusFacts,
    num_permutations: int,
    random: np.random.Generator,
    explore: bool = True,
) -> ClaimAnswer:
    """The answer from `analysis.claims.grid.finetuned`; without `explore` only the preregistered
    predictor is tested."""
    numbers, ranks = pooled(found.rows, "log_ratio"), pooled(found.rows, "rank")
    languages = {*numbers.sources, *numbers.targets}
    known = {PREREGISTERED: distances(languages)}
    if explore:
        known |= predictors(languages, facts)
    notes = censored_note(found.rows) + list(facts.notes)
    tested: list[dict[str, object]] = []
    for name, square in known.items():
        kept = known_languages(square, numbers)
        grid, ranked = (one.only(kept, kept) for one in (numbers, ranks))
        dropped = sorted(languages - set(kept))
        if dropped:
            notes.append(f"{name} is unknown for {', '.join(dropped)}: tested without them.")
        drawn = label_permutations(
            grid.sources, grid.targets, num_permutations=num_permutations, random=random
        )
        # If the only target is unknown no pair is left, however many sources there are.
        if len(drawn.sources) < MIN_PERMUTATIONS or not (grid.sources and grid.targets):
            continue
        x = square.loc[list(grid.sources), list(grid.targets)].to_numpy(dtype=float)
        for measure in ("Pearson", "Spearman") if explore else ("Pearson",):
            for main_effects in (True, False) if explore else (True,):
                by_rank = measure == "Spearman"
                result = associated(
                    ranked if by_rank else grid, x, drawn, main_effects=main_effects, ranks=by_rank
                )
                tested.append(correlate(name, "QAP", measure, main_effects, grid, drawn, result))
    if not any(row["predictor"] == PREREGISTERED for row in tested):
        return insufficient(
            name=NAME,
            question=QUESTION,
            model=model,
            needs=f"{MIN_LANGUAGES} languages whose distances are known, and enough of them as "
            f"sources and as targets that their labels permute in {MIN_PERMUTATIONS} ways",
            found=f"{len(languages)} languages, {len(known)} kinds of distance known",
            n=len(languages),
            unit="languages",
        )
    if explore:
        # Made-up sources such as `nonsense` have no distances; real languages still have all.
        kept = known_languages(known[PREREGISTERED], numbers)
        every = (numbers.only(kept, kept), ranks.only(kept, kept))
        tested += together(*every, known, num_permutations, random, notes)
    table = pd.DataFrame(tested)
    table["p_holm"] = table.groupby(FAMILY)["p"].transform(
        lambda p: pd.Series(holm(p.to_numpy(dtype=float)), index=p.index)
    )
    table["p_bh"] = table.groupby(FAMILY)["p"].transform(
        lambda p: pd.Series(benjamini_hochberg(p.to_numpy(dtype=float)), index=p.index)
    )
    first = ["predictor", *FAMILY, "r", "p", "p_holm", "p_bh"]
    table = table[first + [name for name in table.columns if name not in first]]
    main = table[table["predictor"] == PREREGISTERED].iloc[0].to_dict()
    sentence, verdict, takes = _answer(main)
    hits = table[
        (table["role"] != FIRST)
        & (table["method"] == "QAP")
        & (table["measure"] == "Pearson")
        & table["main_effects"]
        & (table["p_holm"] <= LEVEL)
    ]
    if len(hits):
        shown = ", ".join(
            f"{row['predictor']} (r = {row['r']:+.2f}, p = {row['p_holm']:.2g}, {row['role']})"
            for row in hits.to_dict("records")
        )
        sentence += f" Also significant after Holm: {shown}."
    exact = table["exact"].all()
    return ClaimAnswer(
        name=NAME,
        question=QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables={CORRELATES: table, PAIRS: _pairs_table(numbers, known)},
        tested=(
            "log(D_E / D_F) per pair over all sizes (least squares of pair + size) against the "
            "mean of the syntactic, genetic, geographic, phonological and inventory distance (of "
            "controlled languages: of words and world, by construction), fixed in advance; main "
            "effects of source and target partialled out. p: labels of languages permuted (QAP), "
            "a language's two roles together, "
            + (
                "every permutation enumerated"
                if exact
                else f"{num_permutations} permutations drawn"
            )
            + f"; smallest possible p {main['least_p']:.2g}. Yes: nearer gives more, p <= {LEVEL}; "
            "the other way: farther gives more; no: |r| significantly below "
            f"{MODERATE_R} (two one-sided tests of 5 %, standard error of the permutations). The "
            "other predictors are exploratory: p_holm and p_bh correct over those of one role, "
            "method, measure and choice of main effects. MRQAP: double semi-partialling (Dekker "
            "et al. 2007)."
        ),
        n=len(languages),
        unit="languages",
        notes=notes,
        takes=takes,
    )


def _pairs_table(grid: Grid, known: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per pair: its response, the part beyond main effects, and every predictor."""
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


def _answer(main: dict[object, object]) -> tuple[str, Verdict, str]:
    """Sentence, verdict, and what would decide it."""
    r, p, error, critical, least = (
        float(str(main[name])) for name in ("r", "p", "r_error", "critical_r", "least_p")
    )
    if math.isnan(p):
        return (
            "Undecided: beyond the main effects of source and target there is nothing left to "
            "compare.",
            Verdict.UNDECIDED,
            "Needs languages that are not all equally far from each other.",
        )
    said = f"correlation of distance and transfer r = {r:+.2f}, p = {p:.2g}"
    freedom, pairs, languages = (
        int(str(main[name])) for name in ("freedom", "num_pairs", "num_languages")
    )
    verdict = correlation_verdict(r, p, error, freedom, expected=-1)
    if verdict in (Verdict.YES, Verdict.OPPOSITE):
        more = "nearer" if r < 0 else "farther"
        return (
            f"The {more} a source, the more it gives, beyond the main effects of source and target "
            f"({said}).",
            verdict,
            "",
        )
    if verdict is Verdict.NO:
        return f"Hardly: |r| is significantly below {MODERATE_R} ({said}).", Verdict.NO, ""
    reach = reach_of(error, freedom)
    takes = _languages_needed(abs(r), critical, reach, least, (languages, pairs, freedom))
    if least > LEVEL:
        return (
            f"Grid too small: its labels have too few permutations for any p under {least:.2g} "
            f"({said}).",
            Verdict.UNDECIDED,
            takes,
        )
    return (
        f"Neither shown nor excluded ({said}): {languages} languages can detect |r| from about "
        f"{critical:.2f}.",
        Verdict.UNDECIDED,
        takes,
    )


def _languages_needed(
    r: float, critical: float, reach: float, least: float, grid: tuple[int, int, int]
) -> str:
    """How many more languages would decide if r stayed the same: each adds pairs and multiplies the
    permutations. grid: languages, pairs, pairs beyond main effects."""
    languages, pairs, freedom = grid
    for number in range(1, MOST_LANGUAGES + 1):
        narrower = math.sqrt(freedom / freedom_with(number, languages, pairs, freedom))
        enough = least / math.perm(languages + number, number) <= LEVEL
        if enough and (r >= critical * narrower or r + reach * narrower < MODERATE_R):
            more = counted(number, "more language")
            return f"With about {more} in the same roles, if r stays the same."
    return f"More than {MOST_LANGUAGES} more languages: r is close to the threshold of a verdict."
