"""How far the seeds let an answer move: pooled noise, a parametric bootstrap, censored ends.

Two or three seeds say nothing about the spread of their own cell, so the residuals of log loss
around the cell means are pooled over a whole family of stages, with their degrees of freedom
stated. A resample draws the variance first (scaled inverse chi squared with those degrees of
freedom, which gives the tails of Student's t), then the mean of every cell; each resample then
goes through the ladder, the isotonic regression and the estimator like the data did.
(Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.2: normal data, unknown variance.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.estimators import Estimate, Range
from analysis.ladder import Floats
from raydt.tracking.schema import Stage

SCRATCH_FAMILY = "scratch"
TRANSFER_FAMILY = "finetune and zeroshot"
FAMILIES = {
    Stage.SCRATCH.value: SCRATCH_FAMILY,
    Stage.FINETUNE.value: TRANSFER_FAMILY,
    Stage.ZEROSHOT.value: TRANSFER_FAMILY,
}


@dataclass(frozen=True)
class Noise:
    """Spread of log loss between seeds, pooled over a family of stages.

    sd_log_loss is NaN where degrees_of_freedom is 0: every cell has one seed.
    """

    family: str
    sd_log_loss: float
    degrees_of_freedom: int


@dataclass(frozen=True)
class Interval:
    """Both ends in bytes; an end outside the ladder is the ladder's edge and a bound."""

    low_bytes: float
    low_range: Range
    high_bytes: float
    high_range: Range


def pooled_noise(means: pd.DataFrame) -> dict[str, Noise]:
    """The noise of each family from the table of `cell_means`."""
    family = means["stage"].map(FAMILIES)
    freedom = means["num_seeds"].to_numpy(dtype=float) - 1
    squares = np.where(freedom > 0, means["sd_log_loss"].to_numpy(dtype=float) ** 2 * freedom, 0.0)
    pooled: dict[str, Noise] = {}
    for name in (SCRATCH_FAMILY, TRANSFER_FAMILY):
        mine = (family == name).to_numpy(dtype=bool)
        total = int(freedom[mine].sum())
        sd = float(np.sqrt(squares[mine].sum() / total)) if total else float("nan")
        pooled[name] = Noise(name, sd, total)
    return pooled


def draw_means(
    means: pd.DataFrame,
    noise: dict[str, Noise],
    *,
    num_resamples: int,
    random: np.random.Generator,
) -> Floats:
    """Resampled cell means of log loss, shape (R, cells) in the order of `means`.

    The cells of a family share the drawn variance of a resample. Where a family has no degrees of
    freedom its columns are NaN: nothing is known of its noise, and nothing is made up.
    """
    draws = np.full((num_resamples, len(means)), np.nan)
    family = means["stage"].map(FAMILIES)
    for name, pooled in noise.items():
        mine = (family == name).to_numpy(dtype=bool)
        # Drawn also where unused, so that one family's draws do not depend on the other's.
        normal = random.standard_normal((num_resamples, int(mine.sum())))
        if pooled.degrees_of_freedom == 0:
            continue
        chi2 = random.chisquare(pooled.degrees_of_freedom, size=(num_resamples, 1))
        sd = pooled.sd_log_loss * np.sqrt(pooled.degrees_of_freedom / chi2)
        num_seeds = means["num_seeds"].to_numpy(dtype=float)[mine]
        centre = means["log_loss"].to_numpy(dtype=float)[mine]
        draws[:, mine] = centre + normal * sd / np.sqrt(num_seeds)
    return draws


def ordered_quantiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The two ends of the central interval of values (R,), which may hold infinities.

    The ends are members of the sample, taken outwards: infinities cannot be interpolated.
    """
    ordered = np.sort(values)
    tail = (1 - confidence) / 2 * (len(ordered) - 1)
    # The rounding keeps 0.05 * 1000 from ending up one place further in or out.
    low = int(np.floor(round(tail, 9)))
    return float(ordered[low]), float(ordered[len(ordered) - 1 - low])


def censored_interval(resampled: Estimate, rungs: Floats, confidence: float) -> Interval:
    """Percentile interval of D_E from resamples (R,), of which some may lie off the ladder."""
    place: npt.NDArray[np.int8] = resampled.range
    values = np.where(place == Range.BELOW, -np.inf, resampled.effective_bytes)
    values = np.where(place == Range.ABOVE, np.inf, values)
    ends = ordered_quantiles(values, confidence)
    placed = [
        (float(rungs[0]), Range.BELOW)
        if end == -np.inf
        else (float(rungs[-1]), Range.ABOVE)
        if end == np.inf
        else (end, Range.INSIDE)
        for end in ends
    ]
    return Interval(*placed[0], *placed[1])
