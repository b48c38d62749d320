"""D_E read off the ladder itself: `guided`, `pchip`, `loglog` and `linear`.

All make the ladder monotone first (isotonic regression), and all take the sign of D_T from the
data: if the pooled ladder and the observed rung of size D_F disagree on whether the finetuned loss
is better than scratch, the ladder is pooled again with that rung fixed at its observed loss. A
comparison at equal size needs no model, so no model overrides it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.estimators.curve import (
    LOG_BYTES,
    Axis,
    bytes_on,
    first_reached,
    law_axis,
    log_loss_on,
)
from analysis.ladder import Ladder

# (monotone log loss (..., K), rungs (K,), losses (...)) -> bytes (...), within the ladder
Crossing = Callable[[Floats, Floats, Floats], Floats]
# (loss above, loss under, loss wanted; all log nats per byte) -> share of the way to the right rung
Share = Callable[[Floats, Floats, Floats], Floats]
# (left rung, right rung, share) -> bytes
Between = Callable[[Floats, Floats, Floats], Floats]


def log_loss_at(ladder: Ladder, num_bytes: float) -> Floats:
    """The monotone ladder's log loss at a size, shape (...); NaN outside the ladder.

    Between rungs it is that of the curve of `guided`, whatever the estimator, so that the sign of
    D_T does not depend on the estimator.
    """
    return _log_loss_at(ladder.monotone(), ladder, num_bytes)


def scratch_log_loss(ladder: Ladder, num_bytes: float) -> Floats:
    """The scratch log loss that determines the sign of D_T: the observed rung of this size, or
    between rungs the monotone ladder; NaN outside the ladder. Shape (...)."""
    rung = np.flatnonzero(ladder.num_bytes == num_bytes)
    if len(rung):
        return np.asarray(ladder.log_loss[..., rung[0]])
    return log_loss_at(ladder, num_bytes)


def guided(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """A monotone cubic through the rungs over the log loss of the ladder's law (the default).

    D_E is the smallest number of bytes at which the curve is at or below the loss. On a flat
    stretch (pooled rungs, or a tie) every size has the loss; if D_F is one of them the answer is
    D_F itself, since a finetune that only equals scratch has transferred nothing. The sign of D_T
    is that of `scratch_log_loss` at D_F minus the finetuned loss. Exact where the ladder follows a
    law E + B·D^-beta; elsewhere the law is only an axis (`analysis.estimators.curve`).

    Shapes: ladder.log_loss (..., K), log_loss (...), in log nats per byte; leading axes broadcast;
    finetune_bytes is D_F. Source of the cubic: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5
    (1984), as in `scipy.interpolate.PchipInterpolator`.
    """
    return _interpolated(ladder, log_loss, finetune_bytes, partial(_cubic, law_axis(ladder)))


def pchip(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """A monotone cubic of log loss over log bytes; sign, flat stretches, shapes as in `guided`."""
    return _interpolated(ladder, log_loss, finetune_bytes, partial(_cubic, LOG_BYTES))


def loglog(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """Log loss interpolated linearly over log bytes of the monotone ladder.

    Overestimates on a convex ladder: with rungs a factor of four apart, a D_E just above D_F by up
    to a third. Sign, flat stretches and shapes as in `guided`.
    """
    chord = partial(_chord, _share_of_log_loss, _geometric)
    return _interpolated(ladder, log_loss, finetune_bytes, chord)


def linear(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """Bytes interpolated linearly over perplexity (exp of nats per byte) of the monotone ladder.

    What the method's authors set out to compute (NAACL 2024, arXiv 2404.08191, section 3): their
    np.interp without its `period=10`, on true bytes, bounded off the ladder. Overestimates more
    than `loglog`, the more so the further apart the rungs are. Sign, flat stretches and shapes as
    in `guided`.
    """
    chord = partial(_chord, _share_of_perplexity, _arithmetic)
    return _interpolated(ladder, log_loss, finetune_bytes, chord)


def _interpolated(
    ladder: Ladder, log_loss: Floats, finetune_bytes: float, crossing: Crossing
) -> Estimate:
    log_loss = np.asarray(log_loss, dtype=float)
    monotone, rungs = ladder.monotone(), ladder.num_bytes
    answer = _read_off(monotone, ladder, log_loss, finetune_bytes, crossing)
    rung = np.flatnonzero(rungs == finetune_bytes)
    if not len(rung):
        return answer
    observed = np.sign(ladder.log_loss[..., rung[0]] - log_loss)
    disagree = observed != np.sign(monotone[..., rung[0]] - log_loss)
    if not disagree.any():
        return answer
    held = ladder.monotone_through(int(rung[0]))
    through = _read_off(held, ladder, log_loss, finetune_bytes, crossing)
    return Estimate(
        np.where(disagree, through.effective_bytes, answer.effective_bytes),
        np.where(disagree, through.range, answer.range).astype(np.int8),
    )


def _read_off(
    monotone: Floats,
    ladder: Ladder,
    log_loss: Floats,
    finetune_bytes: float,
    crossing: Crossing,
) -> Estimate:
    rungs = ladder.num_bytes
    scratch = _log_loss_at(monotone, ladder, finetune_bytes)
    place = np.zeros(log_loss.shape, dtype=np.int8)
    place[log_loss > monotone[..., 0]] = Range.BELOW
    place[log_loss < monotone[..., -1]] = Range.ABOVE
    through = rungs
    if rungs[0] < finetune_bytes < rungs[-1] and finetune_bytes not in rungs:
        # Every estimator has the same scratch loss at D_F, and so the same sign of D_T.
        right = int(np.searchsorted(rungs, finetune_bytes))
        through = np.insert(rungs, right, finetune_bytes)
        monotone = np.insert(monotone, right, scratch, axis=-1)
    effective = crossing(monotone, through, log_loss)
    if rungs[0] < finetune_bytes < rungs[-1]:
        # Any remainder of the other sign is rounding.
        effective = np.where(scratch > log_loss, np.fmax(effective, finetune_bytes), effective)
        effective = np.where(scratch < log_loss, np.fmin(effective, finetune_bytes), effective)
    effective = np.where(scratch == log_loss, finetune_bytes, effective)
    effective = np.where(place == Range.BELOW, rungs[0], effective)
    effective = np.where(place == Range.ABOVE, rungs[-1], effective)
    return Estimate(effective, place)


def _log_loss_at(monotone: Floats, ladder: Ladder, num_bytes: float) -> Floats:
    if not ladder.num_bytes[0] <= num_bytes <= ladder.num_bytes[-1]:
        return np.full(monotone.shape[:-1], np.nan)
    return log_loss_on(monotone, ladder.num_bytes, law_axis(ladder), num_bytes)


def _cubic(axis: Axis, monotone: Floats, rungs: Floats, log_loss: Floats) -> Floats:
    if len(rungs) == 1:
        return np.broadcast_to(rungs[0], log_loss.shape)
    return bytes_on(monotone, rungs, axis, log_loss)


def _chord(
    share_of: Share, between: Between, monotone: Floats, rungs: Floats, log_loss: Floats
) -> Floats:
    monotone = np.broadcast_to(monotone, (*log_loss.shape, len(rungs)))
    right_rung = first_reached(monotone, log_loss)
    left_rung = np.maximum(right_rung - 1, 0)
    above = np.take_along_axis(monotone, left_rung[..., None], axis=-1)[..., 0]
    under = np.take_along_axis(monotone, right_rung[..., None], axis=-1)[..., 0]
    share = np.clip(share_of(above, under, log_loss), 0.0, 1.0)  # beyond only off the ladder
    crossing = between(rungs[left_rung], rungs[right_rung], share)
    # Rounding must not carry a crossing past its rung: the sign of D_T depends on it.
    within = np.minimum(crossing, rungs[right_rung])
    return np.asarray(np.where(share >= 1, rungs[right_rung], within))


def _share_of_log_loss(above: Floats, under: Floats, wanted: Floats) -> Floats:
    drop = above - under
    return np.asarray(np.divide(above - wanted, drop, out=np.ones_like(drop), where=drop > 0))


def _share_of_perplexity(above: Floats, under: Floats, wanted: Floats) -> Floats:
    # Relative to the perplexity above, so that a large loss does not overflow.
    top = np.exp(above)
    drop = -np.expm1(np.exp(under) - top)
    fall = -np.expm1(np.minimum(np.exp(wanted) - top, 0.0))
    return np.asarray(np.divide(fall, drop, out=np.ones_like(drop), where=drop > 0))


def _geometric(left: Floats, right: Floats, share: Floats) -> Floats:
    return np.asarray(left * np.exp(share * np.log(right / left)))


def _arithmetic(left: Floats, right: Floats, share: Floats) -> Floats:
    return np.asarray(left + share * (right - left))
