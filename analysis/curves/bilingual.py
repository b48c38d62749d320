"""The bilingual transfer score of a source and a target that were trained together.

As in ATLAS (Longpre et al. 2025, arXiv 2510.22037): L_t(d) is the loss of a model of the target
alone after d bytes, sigma(l) the number of bytes, of both languages together, after which a model
trained on both in equal parts reaches l on the target, and

    BTS = -(sigma(L_t(d)) - 2d) / d

0: a byte of the target is worth as much with the source as alone; above, the source helps (1: a
byte of it is worth one of the target); below, it interferes. The joint model has seen sigma / 2
bytes of the target, so the share of the target's bytes saved is 1 - sigma / 2d, half of BTS.

Both train on the same bytes of the target, so that what is repeated is repeated alike. d is where
the mean curve of the target alone first comes within `NEAR_BEST` of its best: at its best it is
flat, so that d, and sigma with it, would hang on noise and on where either cell stopped. Curves are
those of `curve`: running minima of the validation loss, log-linear between evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.curves.crossing import Crossing, Range, reached
from analysis.curves.curve import Curve, curve_of, log_losses_at
from raydt.tracking.schema import Stage, Status

BILINGUAL_COLUMNS = (
    "model",
    "source",
    "target",
    "size",
    "target_bytes",  # of training data, and as many of the source
    "num_seeds",  # of the joint cell
    "alone_bytes",  # d: seen of the target alone
    "alone_loss",  # L_t(d), nats per byte of `val`
    "together_bytes",  # sigma: seen of both
    "score",
    # "inside"; "below", "above": the score is at most, at least so much.
    "range",
    "low",
    "low_range",
    "high",
    "high_range",
    "spared_share",  # of the target's bytes
)
_OTHER_WAY: dict[Range, Range] = {"inside": "inside", "below": "above", "above": "below"}

NEAR_BEST = 0.05  # of log loss above the best of the target alone, where models are compared

Points = Sequence[tuple[float, float]]


def bilingual_scores(
    cells: pd.DataFrame, points: Mapping[str, Points], confidence: float
) -> pd.DataFrame:
    """A row of `BILINGUAL_COLUMNS` for each source, target and size with a joint cell and a scratch
    cell that have curves. `cells` and `points` as of `analysis.curves.crossover.crossovers`."""
    done = cells[cells["status"] == Status.DONE]
    where = ["model", "target", "size_bytes"]
    alone = {k: _curves(mine, points) for k, mine in _of(done, Stage.SCRATCH).groupby(where)}
    rows = []
    for key, mine in _of(done, Stage.JOINT).groupby([*where, "source"], sort=True):
        model, target, size_bytes, source = key
        first, both = alone.get((model, target, size_bytes), []), _curves(mine, points)
        if not first or not both:
            continue
        alone_bytes = near_best_bytes(first)
        levels = log_losses_at(first, np.array([alone_bytes]))[:, 0]
        rows.append(
            {
                "model": model,
                "source": source,
                "target": target,
                "size": mine["size"].iloc[0],
                "target_bytes": size_bytes,
                "num_seeds": len(both),
                "alone_bytes": alone_bytes,
                "alone_loss": float(np.exp(levels.mean())),
                **_score(reached(both, levels, confidence), alone_bytes),
            }
        )
    return pd.DataFrame(rows, columns=list(BILINGUAL_COLUMNS))


def near_best_bytes(curves: Sequence[Curve]) -> float:
    """The first evaluation at which the mean of curves is within `NEAR_BEST` of its best."""
    places = np.unique(np.concatenate([curve.num_bytes for curve in curves]))
    mean = log_losses_at(curves, places).mean(axis=0)
    return float(places[int(np.argmax(mean <= mean.min() + NEAR_BEST))])


def _score(found: Crossing, alone_bytes: float) -> dict[str, object]:
    def of(num_bytes: float) -> float:
        return 2 - num_bytes / alone_bytes

    return {
        "together_bytes": found.num_bytes,
        "score": of(found.num_bytes),
        "range": _OTHER_WAY[found.range],
        "low": of(found.high_bytes),
        "low_range": _OTHER_WAY[found.high_range],
        "high": of(found.low_bytes),
        "high_range": _OTHER_WAY[found.low_range],
        "spared_share": of(found.num_bytes) / 2,
    }


def _of(done: pd.DataFrame, stage: Stage) -> pd.DataFrame:
    return done[done["stage"] == stage]


def _curves(rows: pd.DataFrame, points: Mapping[str, Points]) -> list[Curve]:
    return [c for run in rows["run_id"] if (c := curve_of(points.get(run, ())))]
