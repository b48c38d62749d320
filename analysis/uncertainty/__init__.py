"""How far the seeds let an answer move: components of noise, resamples, censored ends.

The model of the noise, and what a simulation says of its coverage, is in docs/statistics.md.
"""

from analysis.quantiles import ordered_quantiles
from analysis.uncertainty.intervals import Interval, censored_interval
from analysis.uncertainty.noise import (
    FAMILIES,
    SCRATCH_FAMILY,
    TRANSFER_FAMILY,
    ZEROSHOT_FAMILY,
    Noise,
    Shared,
    pooled_noise,
)
from analysis.uncertainty.resample import draw_means
from analysis.uncertainty.residuals import residual_noise
from analysis.uncertainty.transfer import transfer_draws
from analysis.uncertainty.unfinished import beyond_noise, standard_errors

__all__ = [
    "FAMILIES",
    "SCRATCH_FAMILY",
    "TRANSFER_FAMILY",
    "ZEROSHOT_FAMILY",
    "Interval",
    "Noise",
    "Shared",
    "beyond_noise",
    "censored_interval",
    "draw_means",
    "ordered_quantiles",
    "pooled_noise",
    "residual_noise",
    "standard_errors",
    "transfer_draws",
]
