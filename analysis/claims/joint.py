"""Claims about joint cells: does another script hurt, and do BTS and D_T agree?

ATLAS (Longpre et al. 2025, arXiv 2510.22037) finds a mean bilingual transfer score of -0.23 within
and -0.39 across scripts, with a tokenizer shared by all languages. Models of bytes have no
tokenizer. Pairs share languages, so both tests permute the labels of languages (QAP), like the
claim about similarity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.claim import ClaimAnswer, Verdict, insufficient
from analysis.claims.correlates import (
    LEVEL,
    MIN_PERMUTATIONS,
    MODERATE_R,
    correlation_verdict,
    known_languages,
)
from analysis.claims.counterexamples import INTERVAL
from analysis.claims.grid import Finetuned, Grid, pooled
from analysis.claims.permutation import Association, associated, label_permutations
from analysis.claims.predictors import CorpusFacts
from analysis.claims.scripts import common_share
from analysis.claims.signs import certain_signs

SCRIPTS, AGREEMENT = "scripts", "agreement"
SCRIPTS_QUESTION = "Does training with a language of another script cost more?"
AGREEMENT_QUESTION = "Do the bilingual transfer score and D_T order pairs alike?"
ONE_SCRIPT = 0.5  # languages share a script if at least this share of letters is in scripts of both
TABLE = "Bilingual transfer scores by script"
SIGNS = "Signs of BTS and D_T"
_SIGNS = {1: "above 0", 0: "not certain", -1: "below 0"}
_SCORE_INTERVAL = ("low", "high", "low_range", "high_range")


def across_scripts(
    scores: pd.DataFrame,
    model: str,
    *,
    facts: CorpusFacts,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """Test the mean BTS of pairs across scripts against that of pairs within a script. `scores` has
    the columns of `analysis.curves.bilingual.BILINGUAL_COLUMNS`, of this model."""
    grid = _pooled_scores(scores)
    names = sorted({*grid.sources, *grid.targets})
    other = pd.DataFrame(
        [[_other_script(one, two, facts.scripts) for two in names] for one in names], names, names
    )
    kept = known_languages(other, grid)
    grid = grid.only(kept, kept)
    x = other.loc[list(grid.sources), list(grid.targets)].to_numpy(dtype=float)
    seen = grid.observed & grid.different()
    found = None
    if 0 < x[seen].sum() < seen.sum():
        found = _permuted(grid, x, num_permutations, random)
    if found is None:
        return insufficient(
            name=SCRIPTS,
            question=SCRIPTS_QUESTION,
            model=model,
            needs="pairs within a script and across scripts, of prepared corpora, whose labels "
            f"have at least {MIN_PERMUTATIONS} permutations",
            found=f"{int(seen.sum())} pairs, {int(x[seen].sum())} of them across scripts",
            n=len(kept),
            unit="languages",
        )
    rows = [
        {"pairs": label, "number": int(part.sum()), "mean_score": float(grid.values[part].mean())}
        for label, part in (("within", seen & (x == 0)), ("across", seen & (x == 1)))
    ]
    within, across = (float(str(row["mean_score"])) for row in rows)
    numbers = (
        f"mean BTS {within:+.2f} within a script ({rows[0]['number']} pairs), {across:+.2f} across "
        f"scripts ({rows[1]['number']} pairs), p = {found.p:.2g}"
    )
    verdict = correlation_verdict(found.r, found.p, found.error, found.freedom, expected=-1)
    sentence = {
        Verdict.YES: f"Another script costs more ({numbers}).",
        Verdict.OPPOSITE: f"Another script costs less ({numbers}).",
        Verdict.NO: f"Hardly ({numbers}).",
        Verdict.UNDECIDED: f"Neither shown nor excluded ({numbers}).",
    }[verdict]
    return ClaimAnswer(
        name=SCRIPTS,
        question=SCRIPTS_QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables={TABLE: pd.DataFrame(rows)},
        tested="correlation of BTS, per pair over all sizes, with whether two languages differ in "
        f"script: less than {ONE_SCRIPT:.0%} of letters in scripts of both, in the first 64 kB of "
        f"each test split; {_method(found)}",
        n=len(kept),
        unit="languages",
    )


def agreement(
    scores: pd.DataFrame,
    finetunes: Finetuned,
    model: str,
    *,
    num_permutations: int,
    random: np.random.Generator,
) -> ClaimAnswer:
    """Rank correlation over pairs of BTS and log(D_E / D_F), at the sizes that have both."""
    keys = ["source", "target", "finetune_bytes"]
    renamed = scores.rename(columns={"target_bytes": "finetune_bytes"})
    renamed = renamed.rename(columns={name: f"{name}_score" for name in _SCORE_INTERVAL})
    both = finetunes.rows.merge(
        renamed[[*keys, "score", *(name for name in renamed if name.endswith("_score"))]], on=keys
    )
    grid, other = pooled(both, "rank"), pooled(both, "score")
    square = pd.DataFrame(other.values, other.sources, other.targets)
    names = sorted({*grid.sources, *grid.targets})
    square = square.reindex(index=names, columns=names)
    kept = known_languages(square, grid)
    grid = grid.only(kept, kept)
    x = square.loc[list(grid.sources), list(grid.targets)].to_numpy(dtype=float)
    found = _permuted(grid, x, num_permutations, random, ranks=True) if grid.num_pairs else None
    if found is None:
        return insufficient(
            name=AGREEMENT,
            question=AGREEMENT_QUESTION,
            model=model,
            needs="pairs with a joint cell and a finetune, whose labels have at least "
            f"{MIN_PERMUTATIONS} permutations",
            found=f"{grid.num_pairs} pairs with both",
            n=len(kept),
            unit="languages",
        )
    signs = _signs(both)
    opposite = int(signs.loc["D_T above 0", "BTS below 0"])
    numbers = f"rank correlation {found.r:+.2f}, p = {found.p:.2g}"
    verdict = correlation_verdict(found.r, found.p, found.error, found.freedom, expected=1)
    sentence = {
        Verdict.YES: f"They do ({numbers}).",
        Verdict.OPPOSITE: f"They order pairs the other way round ({numbers}).",
        Verdict.NO: f"They are hardly correlated ({numbers}).",
        Verdict.UNDECIDED: f"Neither shown nor excluded ({numbers}).",
    }[verdict]
    sentence += (
        f" In {opposite} of {len(both)} combinations of pair and size, finetuning gains and joint "
        "training loses."
    )
    return ClaimAnswer(
        name=AGREEMENT,
        question=AGREEMENT_QUESTION,
        model=model,
        sentence=sentence,
        verdict=verdict,
        tables={SIGNS: signs.rename_axis("").reset_index()},
        tested="Spearman correlation of BTS with D_E / D_F over pairs, each over all sizes; "
        f"a sign is certain if the interval excludes 0; {_method(found)}",
        n=len(kept),
        unit="languages",
    )


def _pooled_scores(scores: pd.DataFrame) -> Grid:
    different = scores[scores["source"] != scores["target"]]
    return pooled(different.rename(columns={"target_bytes": "finetune_bytes"}), "score")


def _other_script(one: str, other: str, scripts: Mapping[str, Mapping[str, float]]) -> float:
    """1 across scripts, 0 within one, NaN if the scripts of either language are unknown."""
    if not scripts.get(one) or not scripts.get(other):
        return math.nan
    return float(common_share(scripts[one], scripts[other]) < ONE_SCRIPT)


def _permuted(
    grid: Grid, x: Floats, number: int, random: np.random.Generator, ranks: bool = False
) -> Association | None:
    drawn = label_permutations(grid.sources, grid.targets, num_permutations=number, random=random)
    if len(drawn.sources) < MIN_PERMUTATIONS:
        return None
    found = associated(grid, x, drawn, ranks=ranks)
    return None if math.isnan(found.p) else found


def _method(found: Association) -> str:
    return (
        f"p by permuting the labels of languages (QAP), {found.num_pairs} pairs; yes: p <= "
        f"{LEVEL}; no: |r| significantly below {MODERATE_R}."
    )


def _signs(both: pd.DataFrame) -> pd.DataFrame:
    """Counts of pairs and sizes by the certain sign of D_T (rows) and of BTS (columns)."""
    transferred = certain_signs(both, *INTERVAL)
    score = certain_signs(both, *(f"{name}_score" for name in _SCORE_INTERVAL))
    rows, columns = ([f"{name} {end}" for end in _SIGNS.values()] for name in ("D_T", "BTS"))
    counts = [[int(((transferred == i) & (score == j)).sum()) for j in _SIGNS] for i in _SIGNS]
    return pd.DataFrame(counts, rows, columns)
