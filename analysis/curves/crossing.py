"""Where one set of curves falls below another, with an interval over seeds.

The difference of the mean log losses has a standard error, and the interval is the set of positions
at which a t-test does not distinguish it from zero (the test is inverted, as in Fieller 1954). It
may be open at an end, which is then a bound. The variance between seeds is pooled over the curve,
because two or three seeds say too little about a single position.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from analysis.arrays import Floats
from analysis.curves.curve import Curve, log_losses_at

Range = Literal["inside", "below", "above"]
_NUM_PLACES = 2000  # on the axis of bytes: steps of half a percent over four decades


@dataclass(frozen=True)
class Crossing:
    """Bytes of the crossing, and whether it is "inside" the curves, already at the first position
    ("below": at most this many) or beyond the last ("above": more than this many). The same for
    both ends of the interval, which are NaN with one seed of each."""

    num_bytes: float
    range: Range
    low_bytes: float = math.nan
    high_bytes: float = math.nan
    low_range: Range = "inside"
    high_range: Range = "inside"


@dataclass(frozen=True, eq=False)
class Contest:
    """Two sides over the same axis of bytes.

    num_bytes: (P,). ahead: (P,) by how much the first side's log loss is lower. half_width: (P,) of
    the interval of `ahead`; NaN with too few seeds.
    """

    num_bytes: Floats
    ahead: Floats
    half_width: Floats

    def turned(self) -> Contest:
        """The same with the sides swapped."""
        return Contest(self.num_bytes, -self.ahead, self.half_width)


def contest(
    first: Sequence[Curve],
    second: Sequence[Curve],
    confidence: float,
    second_starts_bytes: float = 0.0,
) -> Contest:
    """`first` against `second`, one curve per seed; the second side spends `second_starts_bytes`
    before its own first byte (a pretrain)."""
    ends = [curve.end_bytes for curve in first]
    ends += [curve.end_bytes + second_starts_bytes for curve in second]
    starts = [float(c.num_bytes[c.num_bytes > 0][0]) for c in (*first, *second)]
    places = np.geomspace(min(starts), max(ends), _NUM_PLACES)
    ours = log_losses_at(first, places)
    theirs = log_losses_at(second, places - second_starts_bytes)
    with np.errstate(invalid="ignore"):
        ahead = theirs.mean(axis=0) - ours.mean(axis=0)
    # Before any evaluation nobody is ahead; the side evaluated first is ahead until the other is.
    ahead = np.where(np.isnan(ahead), 0.0, ahead)
    return Contest(places, ahead, _half_width(ours, theirs, confidence, len(places)))


def reached(curves: Sequence[Curve], levels: Floats, confidence: float) -> Crossing:
    """From where on the mean of `curves`, one per seed, is at or below the mean of `levels` (S,),
    log losses of S seeds."""
    starts = [float(curve.num_bytes[curve.num_bytes > 0][0]) for curve in curves]
    places = np.geomspace(min(starts), max(curve.end_bytes for curve in curves), _NUM_PLACES)
    ours = log_losses_at(curves, places)
    theirs = np.repeat(levels[:, None], len(places), axis=1)
    with np.errstate(invalid="ignore"):
        ahead = theirs.mean(axis=0) - ours.mean(axis=0)
    return ahead_for_good(
        Contest(places, ahead, _half_width(ours, theirs, confidence, len(places)))
    )


def _half_width(ours: Floats, theirs: Floats, confidence: float, num_places: int) -> Floats:
    squares, freedom, per_mean = 0.0, 0, 0.0
    known = np.isfinite(ours).all(axis=0) & np.isfinite(theirs).all(axis=0)
    for side in (ours[:, known], theirs[:, known]):
        per_mean += 1 / len(side)
        if len(side) > 1 and side.shape[1]:
            squares += float(((side - side.mean(axis=0)) ** 2).sum(axis=0).mean())
            freedom += len(side) - 1
    if freedom == 0:
        return np.full(num_places, math.nan)
    quantile = float(stdtrit(freedom, 0.5 + confidence / 2))
    return np.full(num_places, quantile * math.sqrt(squares / freedom * per_mean))


def ahead_for_good(found: Contest) -> Crossing:
    """From where on the first side stays ahead."""
    value, kind = _from(found, found.ahead)
    # The interval: with the noise in its favour the first side is ahead sooner, against it later.
    low, low_kind = _from(found, found.ahead + found.half_width)
    high, high_kind = _from(found, found.ahead - found.half_width)
    if np.isnan(found.half_width).any():
        return Crossing(value, kind)
    return Crossing(value, kind, low, high, low_kind, high_kind)


def _from(found: Contest, ahead: Floats) -> tuple[float, Range]:
    behind = np.flatnonzero(~(ahead >= 0))
    if len(behind) == 0:
        return float(found.num_bytes[0]), "below"
    last = int(behind[-1])
    if last == len(ahead) - 1:
        return float(found.num_bytes[-1]), "above"
    # Between two positions the difference is nearly linear in log bytes.
    low, high = ahead[last], ahead[last + 1]
    share = 1.0 if not np.isfinite(low) else float(-low / (high - low))
    x = np.log(found.num_bytes[last : last + 2])
    return float(np.exp(x[0] + share * (x[1] - x[0]))), "inside"
