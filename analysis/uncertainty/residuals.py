"""With one seed: an upper bound of the noise, from the residuals of a table without interaction."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.uncertainty.noise import FAMILIES, SCRATCH_FAMILY, Noise

# The factors whose highest-order interaction counts as noise, and all lower terms.
_SCRATCH_TERMS = [["target"], ["size_bytes"]]
_TRANSFER_TERMS = [["source", "target"], ["source", "size_bytes"], ["target", "size_bytes"]]


def residual_noise(means: pd.DataFrame) -> dict[str, Noise]:
    """Noise of each family from a grid of single seeds, each marked `from_residuals`.

    A grid without replicates gives no estimate of its noise, but its highest-order interaction
    includes the noise and is at least as large in expectation (Montgomery, Design and Analysis of
    Experiments, section 6.5): log loss of scratch is fitted as target + size, that of finetunes as
    source:target + source:size + target:size, within a model, and the residuals count as noise.
    Ladders of different shape are counted as noise too, so these intervals are too wide rather than
    too narrow. (Residuals of the ladder laws would be worse: on the published grid they are larger
    still, since the small rungs do not follow a power law.) Zeroshot has one size, so noise cannot
    be separated; its degrees of freedom are 0.
    """
    family = means["stage"].map(FAMILIES)
    found: dict[str, Noise] = {}
    for name in dict.fromkeys(FAMILIES.values()):
        mine = means[(family == name).to_numpy(dtype=bool)]
        if mine.empty:
            continue
        terms = _SCRATCH_TERMS if name == SCRATCH_FAMILY else _TRANSFER_TERMS
        design = np.hstack([_columns(mine, ["model", *term]) for term in terms])
        outcome = mine["log_loss"].to_numpy(dtype=float)
        # Rows are weighted by their seeds, so that the residual is that of one run.
        scale = np.sqrt(mine["num_seeds"].to_numpy(dtype=float))[:, None]
        fitted, _, rank, _ = np.linalg.lstsq(design * scale, outcome * scale[:, 0], rcond=None)
        residual = (outcome - design @ fitted) * scale[:, 0]
        freedom = len(mine) - int(rank)
        sd = float(np.sqrt((residual**2).sum() / freedom)) if freedom else float("nan")
        found[name] = Noise(name, sd, freedom, from_residuals=True)
    return found


def _columns(rows: pd.DataFrame, factors: list[str]) -> Floats:
    """Indicator columns (rows, levels) of the combinations of factors."""
    levels = rows.groupby(factors, dropna=False).ngroup().to_numpy()
    return np.asarray(np.eye(int(levels.max()) + 1)[levels])
