"""All claims of the method's paper, answered for every model of an analysis."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import numpy as np
import pandas as pd

from analysis.claims.claim import ClaimAnswer
from analysis.claims.commutative import NAME as COMMUTATIVE
from analysis.claims.commutative import commutative
from analysis.claims.evidence import Evidence
from analysis.claims.explained import NAME as SIMILARITY
from analysis.claims.explained import explained_by_similarity
from analysis.claims.grid import finetuned
from analysis.claims.hurt import NAME as HURT
from analysis.claims.hurt import hurt
from analysis.claims.predictors import CorpusFacts
from analysis.claims.similar import NAME as SIMILAR
from analysis.claims.similar import similar
from analysis.claims.specific import NAME as SPECIFIC
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
    names: Collection[str] | None = None,
) -> list[ClaimAnswer]:
    """Five answers for each model that has a finetuned pair of two languages.

    `effective` has the columns of `analysis.effective.COLUMNS` (one estimator), `noise` is that of
    its rows; without it claims are about these checkpoints, and mostly undecided. The claims are
    those of Souza et al. 2024 (arXiv 2404.08191); see the module of each. `explore`: whether
    predictors beside the preregistered one are tested; `names`: of the claims asked, all if None.
    """
    found: list[ClaimAnswer] = []
    for model in sorted(effective["model"].unique()):
        finetunes = finetuned(effective, model, noise)
        if finetunes.rows.empty:
            continue
        # A generator for each: one claim's draws do not depend on another's.
        seeds = np.random.SeedSequence(random_seed).spawn(3)
        drawn = [np.random.default_rng(seed) for seed in seeds]
        each: dict[str, Callable[[], ClaimAnswer]] = {
            SIMILAR: partial(
                similar,
                finetunes,
                model,
                confidence=confidence,
                num_permutations=num_permutations,
                random=drawn[0],
            ),
            SIMILARITY: partial(
                explained_by_similarity,
                finetunes,
                model,
                facts=facts or CorpusFacts(),
                num_permutations=num_permutations,
                random=drawn[1],
                explore=explore,
            ),
            COMMUTATIVE: partial(
                commutative,
                finetunes,
                model,
                confidence=confidence,
                num_permutations=num_permutations,
                random=drawn[2],
            ),
            SPECIFIC: partial(specific, finetunes, model, confidence=confidence),
            HURT: partial(hurt, finetunes, model, confidence=confidence),
        }
        found += [answer() for name, answer in each.items() if names is None or name in names]
    return found
