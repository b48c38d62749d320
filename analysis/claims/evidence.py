"""The noise of the table of effective data, as claims use it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.laws.draws import TransferDraws
from analysis.uncertainty.gains import gains
from analysis.uncertainty.noise import Noise


@dataclass(frozen=True)
class Evidence:
    """Noise of the rows of a table of effective data.

    log_ratio: log(D_E / D_F) in every resample, (R, rows), None if the noise is unknown because of
    one seed; gains: columns of `analysis.uncertainty.gains`, one row each; distrusted: (model,
    target, D_F) at which an alarm says that cells were limited by steps.
    """

    log_ratio: Floats | None
    gains: pd.DataFrame
    distrusted: frozenset[tuple[str, str, int]] = field(default_factory=frozenset)


def evidence(
    effective: pd.DataFrame,
    means: pd.DataFrame,
    noise: Mapping[str, Noise],
    draws: TransferDraws,
    distrusted: Collection[tuple[str, str, int]] = (),
) -> Evidence:
    """From the means and their noise, and the resampled D_T of the rows of `effective`."""
    size = effective["finetune_bytes"].to_numpy(dtype=float)
    known = np.isfinite(draws.transferred_bytes).all(axis=0) | (size == 0)
    ratio = None
    if len(size) and known.all() and (size > 0).any():
        with np.errstate(divide="ignore"):
            ratio = np.log1p(draws.transferred_bytes / np.where(size > 0, size, 1.0))
    return Evidence(ratio, gains(effective, means, noise), frozenset(distrusted))
