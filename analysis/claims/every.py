"""All claims of the method's paper, answered for every model of an analysis."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.claims.claim import ClaimAnswer, Verdict
from analysis.claims.commutative import NAME as COMMUTATIVE
from analysis.claims.commutative import commutative
from analysis.claims.evidence import Evidence
from analysis.claims.explained import NAME as SIMILARITY
from analysis.claims.explained import explained_by_similarity
from analysis.claims.grid import Finetuned, finetuned
from analysis.claims.hurt import NAME as HURT
from analysis.claims.hurt import hurt
from analysis.claims.joint import across_scripts, agreement
from analysis.claims.outlook import what_it_takes
from analysis.claims.predictors import CorpusFacts
from analysis.claims.similar import NAME as SIMILAR
from analysis.claims.similar import similar
from analysis.claims.specific import NAME as SPECIFIC
from analysis.claims.specific import specific

NUM_PERMUTATIONS = 1999
FEW_PERMUTATIONS = 199  # of a forecast

Ask = Callable[[Finetuned, int], ClaimAnswer]  # a claim's test with so many permutations


def claim_answers(
    effective: pd.DataFrame,
    *,
    noise: Evidence | None = None,
    facts: CorpusFacts | None = None,
    confidence: float = 0.90,
    num_permutations: int = NUM_PERMUTATIONS,
    random_seed: int = 0,
    explore: bool = True,
    forecast: bool = True,
    names: Collection[str] | None = None,
    bilingual: pd.DataFrame | None = None,
) -> list[ClaimAnswer]:
    """Five answers for each model that has a finetuned pair of two languages.

    `effective` has the columns of `analysis.effective.COLUMNS` (one estimator), `noise` that of its
    rows; without it claims are about these checkpoints, and mostly undecided. The claims are
    those of Souza et al. 2024 (arXiv 2404.08191); see the module of each. `explore`: whether
    predictors beside the preregistered one are tested; `forecast`: whether an undecided claim says
    what it would take; `names`: of the claims asked, all if None. `bilingual`: bilingual transfer
    scores; of a model that has some, two more claims.
    """
    found: list[ClaimAnswer] = []
    for model in sorted(effective["model"].unique()):
        finetunes = finetuned(effective, model, noise)
        if finetunes.rows.empty:
            continue
        tests = _tests(model, facts or CorpusFacts(), confidence, explore, random_seed)
        for name, ask in tests.items():
            if names is None or name in names:
                answer = ask(finetunes, num_permutations)
                found.append(_with_outlook(answer, finetunes, ask) if forecast else answer)
        if bilingual is not None and (bilingual["model"] == model).any():
            scores = bilingual[bilingual["model"] == model]
            random = np.random.default_rng(random_seed)
            found += [
                across_scripts(
                    scores,
                    model,
                    facts=facts or CorpusFacts(),
                    num_permutations=num_permutations,
                    random=random,
                ),
                agreement(
                    scores, finetunes, model, num_permutations=num_permutations, random=random
                ),
            ]
    return found


def _tests(
    model: str, facts: CorpusFacts, confidence: float, explore: bool, random_seed: int
) -> dict[str, Ask]:
    def random(place: int) -> np.random.Generator:
        # One generator each: a claim's draws do not depend on another's.
        return np.random.default_rng(np.random.SeedSequence(random_seed).spawn(3)[place])

    return {
        SIMILAR: lambda found, number: similar(
            found, model, confidence=confidence, num_permutations=number, random=random(0)
        ),
        SIMILARITY: lambda found, number: explained_by_similarity(
            found,
            model,
            facts=facts,
            num_permutations=number,
            random=random(1),
            explore=explore,
        ),
        COMMUTATIVE: lambda found, number: commutative(
            found, model, confidence=confidence, num_permutations=number, random=random(2)
        ),
        SPECIFIC: lambda found, _: specific(found, model, confidence=confidence),
        HURT: lambda found, _: hurt(found, model, confidence=confidence),
    }


def _with_outlook(answer: ClaimAnswer, found: Finetuned, ask: Ask) -> ClaimAnswer:
    if answer.verdict is not Verdict.UNDECIDED or not answer.was_tested or answer.takes:
        return answer
    return replace(answer, takes=what_it_takes(found, lambda one: ask(one, FEW_PERMUTATIONS)))
