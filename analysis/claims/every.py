"""All claims of the method's paper, answered for every model of an analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.claims.claim import ClaimAnswer
from analysis.claims.commutative import commutative
from analysis.claims.evidence import Evidence
from analysis.claims.explained import explained_by_similarity
from analysis.claims.grid import finetuned
from analysis.claims.hurt import hurt
from analysis.claims.predictors import CorpusFacts
from analysis.claims.similar import similar
from analysis.claims.specific import specific

NUM_PERMUTATIONS = 1999


def claim_answers(
    effective: pd.DataFrame,
    *,
    noise: Evidence | None = None,
    facts: CorpusFacts | None = None,
    confidence: float = 0.90,
    num_permutations: int = NUM_PERMUTATIONS,
    random_seed: int = 0,
    explore: bool = True,
) -> list[ClaimAnswer]:
    """Five answers for each model that has a finetuned pair of two languages.

    `effective` has the columns of `analysis.effective.COLUMNS` (one estimator), `noise` is that of
    its rows; without it claims are about these checkpoints, and mostly undecided. The claims are
    those of Souza et al. 2024 (arXiv 2404.08191); see the module of each. `explore`: whether
    predictors beside the preregistered one are tested.
    """
    found: list[ClaimAnswer] = []
    for model in sorted(effective["model"].unique()):
        finetunes = finetuned(effective, model, noise)
        if finetunes.rows.empty:
            continue
        # A generator for each: one claim's draws do not depend on another's.
        seeds = np.random.SeedSequence(random_seed).spawn(3)
        drawn = [np.random.default_rng(seed) for seed in seeds]
        found += [
            similar(
                finetunes,
                model,
                confidence=confidence,
                num_permutations=num_permutations,
                random=drawn[0],
            ),
            explained_by_similarity(
                finetunes,
                model,
                facts=facts or CorpusFacts(),
                num_permutations=num_permutations,
                random=drawn[1],
                explore=explore,
            ),
            commutative(
                finetunes,
                model,
                confidence=confidence,
                num_permutations=num_permutations,
                random=drawn[2],
            ),
            specific(finetunes, model, confidence=confidence),
            hurt(finetunes, model, confidence=confidence),
        ]
    return found
