"""D_E by the inverse of the ladder's law: `law`."""

from __future__ import annotations

import warnings
from weakref import WeakKeyDictionary

import numpy as np

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.estimators.interpolated import loglog, scratch_log_loss
from analysis.ladder import Ladder
from analysis.laws.scaling import ScalingLaw

MIN_RUNGS = 3  # fewer, and any law fits
_BETA_GRID = np.geomspace(0.005, 3.0, 120)  # steps of 5 %: enough for resamples
# The law of a ladder and of its resamples is requested once for each source and size.
_fitted: WeakKeyDictionary[Ladder, tuple[Floats, Floats, Floats]] = WeakKeyDictionary()


def law(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """The bytes at which the law L = E + B·D^-beta, anchored at the scratch loss at D_F, has the
    finetuned loss.

    A law misses its own rungs by a per cent or so, as much as a small transfer changes the loss, so
    unanchored it could call harm a gain. So it is multiplied by the factor that makes it pass
    through the scratch loss at D_F. As it is strictly decreasing, D_E > D_F if and only if the
    finetuned loss is below that of scratch, however good the fit. Off the ladder, by loss or by the
    bytes that the law gives (or lacks: a loss at or below E), the answer is a bound. If D_F itself
    is off the ladder (zeroshot) the law is not anchored. A ladder of fewer than 3 rungs has no law:
    then this is `loglog`.

    Shapes as in `loglog`. Source: the inverse of Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.2.
    """
    log_loss = np.asarray(log_loss, dtype=float)
    if len(ladder.num_bytes) < MIN_RUNGS:
        return loglog(ladder, log_loss, finetune_bytes)
    E, B, beta = _law_of(ladder)
    scratch = scratch_log_loss(ladder, finetune_bytes)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = np.asarray(1.0)
        if np.isfinite(scratch).all():
            factor = np.asarray((E + B * finetune_bytes**-beta) / np.exp(scratch))
        reducible = np.exp(log_loss) * factor - E
        effective = np.where(reducible > 0, (reducible / B) ** (-1 / beta), np.inf)
    return placed(ladder, effective, log_loss, finetune_bytes)


def placed(
    ladder: Ladder, effective_bytes: Floats, log_loss: Floats, finetune_bytes: float
) -> Estimate:
    """D_E of a law (...), limited to the ladder and to the side of D_F that the losses indicate.

    D_E > D_F if and only if the finetuned loss is below that of scratch at D_F; a loss off the
    ladder gives a bound, the same one for every estimator.
    """
    effective, scratch = effective_bytes, scratch_log_loss(ladder, finetune_bytes)
    if np.isfinite(scratch).all():
        gap = np.sign(scratch - log_loss)
        effective = np.where(gap > 0, np.fmax(effective, finetune_bytes), effective)
        effective = np.where(gap < 0, np.fmin(effective, finetune_bytes), effective)
        effective = np.where(gap == 0, finetune_bytes, effective)
    low, high = ladder.num_bytes[0], ladder.num_bytes[-1]
    place = np.where(effective > high, Range.ABOVE, np.where(effective < low, Range.BELOW, 0))
    by_loss = loglog(ladder, log_loss, finetune_bytes).range
    place = np.where(by_loss != Range.INSIDE, by_loss, place).astype(np.int8)
    effective = np.where(place == Range.ABOVE, high, np.where(place == Range.BELOW, low, effective))
    return Estimate(effective, place)


def _law_of(ladder: Ladder) -> tuple[Floats, Floats, Floats]:
    """E, B and beta, each of the shape of the ladder's resamples (...)."""
    found = _fitted.get(ladder)
    if found is None:
        rows = ladder.log_loss.reshape(-1, len(ladder.num_bytes))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the table of laws reports problems of a law
            fit = ScalingLaw().fit(
                ladder.num_bytes, np.exp(rows.mean(axis=0)), num_seeds=ladder.num_seeds
            )
        if ladder.log_loss.ndim == 1:
            found = (np.asarray(fit.E_), np.asarray(fit.B_), np.asarray(fit.beta_))
        else:
            E, B, beta = _fit_rows(ladder, np.exp(rows), fit.irreducible_)
            shape = ladder.log_loss.shape[:-1]
            found = (E.reshape(shape), B.reshape(shape), beta.reshape(shape))
        _fitted[ladder] = found
    return found


def _fit_rows(ladder: Ladder, loss: Floats, irreducible: bool) -> tuple[Floats, Floats, Floats]:
    """Laws of many ladders (R, K) at once: least squares of relative residuals, beta on a grid."""
    centre = np.exp(np.log(ladder.num_bytes).mean())
    one = np.sqrt(ladder.num_seeds) / np.exp(np.log(loss).mean(axis=0))
    y = loss * one
    best = np.full(len(loss), np.inf)
    E, B, beta = (np.zeros(len(loss)) for _ in range(3))
    for candidate in _BETA_GRID:
        x = one * (ladder.num_bytes / centre) ** -candidate
        xx, x1, ones, xy, y1 = x @ x, x @ one, one @ one, y @ x, y @ one
        free_E = np.zeros(len(loss))
        if irreducible:
            free_E = np.clip((xx * y1 - x1 * xy) / (xx * ones - x1 * x1), 0.0, y1 / ones)
        free_B = np.maximum((xy - free_E * x1) / xx, 0.0)
        error = ((y - free_E[:, None] * one - free_B[:, None] * x) ** 2).sum(axis=1)
        better = error < best
        best = np.where(better, error, best)
        E, B = np.where(better, free_E, E), np.where(better, free_B * centre**candidate, B)
        beta = np.where(better, candidate, beta)
    return E, B, beta
