"""Claim 2: does similarity of languages explain D_T?

One predictor is named beforehand, the mean of the published distances (`PREREGISTERED`), and its
correlation with log(D_E / D_F) over pairs, beyond the main effects of source and target, decides:
its sign too, since a distance that goes with *more* transfer is another answer. p-values permute
labels of languages (QAP). Every kind of distance by itself, Pearson and Spearman, with and without
main effects and all at once (MRQAP by double semi-partialling), is exploration; what is no
similarity of languages (bytes per character, contamination) stands apart.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.correlates import FIRST, correlate, known_languages, together
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
LEVEL = 0.05
MODERATE_R = 0.3  # Cohen's; a "no" means that |r| is surely under it
NORMAL_95 = 1.645  # of a standard normal: two one-sided tests of 5 %
MOST_LANGUAGES = 12  # more of them than there are is looked ahead
MIN_LANGUAGES = 4  # in both roles
MIN_PERMUTATIONS = 20  # or p <= 0.05 is out of reach
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
    """The answer from `analysis.claims.grid.finetuned`; without `explore` of the preregistered
    predictor alone."""
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
            notes.append(f"{name} is unknown of {', '.join(dropped)}: tested without.")
        drawn = label_permutations(
            grid.sources, grid.targets, num_permutations=num_permutations, random=random
        )
        # Where the one target is unknown no pair is left, however many sources are.
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
            needs=f"{MIN_LANGUAGES} languages whose distances are known and whose labels permute "
            f"in {MIN_PERMUTATIONS} ways",
            found=f"{len(languages)} languages, {len(known)} kinds of distance known",
            n=len(languages),
            unit="languages",
        )
    if explore:
        tested += together(numbers, ranks, known, num_permutations, random, notes)
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
        sentence += f" Beside it, by Holm: {shown}."
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
            "controlled languages: of words and world as made), named beforehand; main effects of "
            "source and target partialled out. p: labels of "
            "languages permuted (QAP), a language in both roles in both at once, "
            + (
                "every permutation enumerated"
                if exact
                else f"{num_permutations} permutations drawn"
            )
            + f"; least p possible {main['least_p']:.2g}. Yes: nearer gives more, p <= {LEVEL}; "
            "the other way: farther gives more; no: |r| surely under "
            f"{MODERATE_R} (two one-sided tests of 5 %, standard error of the permutations). The "
            "other predictors are exploration: p_holm and p_bh correct over those of one role, "
            "method, measure and choice of main effects. MRQAP: double semi-partialling (Dekker "
            "et al. 2007)."
        ),
        n=len(languages),
        unit="languages",
        notes=notes,
        takes=takes,
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


def _answer(main: dict[object, object]) -> tuple[str, Verdict, str]:
    """Sentence, verdict, and what it would take to have one."""
    r, p, error, critical, least = (
        float(str(main[name])) for name in ("r", "p", "r_error", "critical_r", "least_p")
    )
    if math.isnan(p):
        return (
            "Undecided: beyond the main effects of source and target no pair is left to compare.",
            Verdict.UNDECIDED,
            "Needs languages that are not all at one distance from each other.",
        )
    said = f"correlation of distance and transfer r = {r:+.2f}, p = {p:.2g}"
    if p <= LEVEL:
        more, verdict = ("nearer", Verdict.YES) if r < 0 else ("farther", Verdict.OPPOSITE)
        return (
            f"The {more} a source, the more it gives, beyond what source and target are good for "
            f"by themselves ({said}).",
            verdict,
            "",
        )
    # Few labels permute into few values of r: not less than what independent pairs would have.
    freedom, pairs, languages = (
        int(str(main[name])) for name in ("freedom", "num_pairs", "num_languages")
    )
    reach = NORMAL_95 * max(error, 1 / math.sqrt(freedom))
    if abs(r) + reach < MODERATE_R:
        return f"Hardly: |r| is surely under {MODERATE_R} ({said}).", Verdict.NO, ""
    takes = _languages_needed(abs(r), critical, reach, least, (languages, pairs, freedom))
    if least > LEVEL:
        return (
            f"Too small a grid: its labels permute in too few ways for any p under {least:.2g} "
            f"({said}).",
            Verdict.UNDECIDED,
            takes,
        )
    return (
        f"Not shown, and not excluded ({said}): {languages} languages show |r| from about "
        f"{critical:.2f} on.",
        Verdict.UNDECIDED,
        takes,
    )


def _languages_needed(
    r: float, critical: float, reach: float, least: float, grid: tuple[int, int, int]
) -> str:
    """How many more would decide, were r to stay: each makes it surer by the pairs it brings, and
    multiplies the labels. grid: languages, pairs, pairs beyond main effects."""
    languages, pairs, freedom = grid
    for number in range(1, MOST_LANGUAGES + 1):
        narrower = math.sqrt(freedom / freedom_with(number, languages, pairs, freedom))
        enough = least / math.perm(languages + number, number) <= LEVEL
        if enough and (r >= critical * narrower or r + reach * narrower < MODERATE_R):
            return f"With about {counted(number, 'more language')} in the same roles, if r stays."
    return f"More than {MOST_LANGUAGES} more languages: r lies at the edge of a verdict."
