"""Ladders: the scratch losses of one target over its sizes, one mean per rung.

The mean over seeds is taken of log loss (a geometric mean of the losses), because the estimators
and the noise of the seeds are both defined on the log scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from raydt.tracking.schema import Stage, Status

# A group of cells that differ only in their seed.
GROUP = ["model", "stage", "source", "target", "size_bytes"]
# 8 bits per byte: the loss of a model that gives all bytes equal probability.
UNIFORM_LOSS_NATS = math.log(256)


@dataclass(frozen=True, eq=False)  # compared by identity: arrays have no single truth value
class Ladder:
    """Rungs in ascending order of bytes.

    num_bytes: (K,) true bytes; log_loss: (..., K) log of nats per byte, leading axes are
    resamples; num_seeds: (K,) runs behind each rung, the weights when rungs are pooled; labels: (K)
    the names of the sizes, if any; pool: the ladders of the same model, this one
    included, from which the estimator `pooled` gets its prior.
    """

    num_bytes: Floats
    log_loss: Floats
    num_seeds: Floats
    labels: tuple[str, ...] = ()
    pool: Pool | None = None

    def monotone(self) -> Floats:
        """`log_loss` made non-increasing, shape (..., K)."""
        return self._monotone

    @cached_property
    def _monotone(self) -> Floats:
        return non_increasing(self.log_loss, self.num_seeds)

    def monotone_through(self, rung: int) -> Floats:
        """`log_loss` made non-increasing with one rung fixed, shape (..., K).

        Isotonic regression with all weight on that rung: each side is pooled separately and then
        clipped at it, which is the closest fit under that constraint.
        """
        held = self.log_loss[..., rung : rung + 1]
        left = non_increasing(self.log_loss[..., :rung], self.num_seeds[:rung])
        right = non_increasing(self.log_loss[..., rung + 1 :], self.num_seeds[rung + 1 :])
        sides = (np.maximum(left, held), held, np.minimum(right, held))
        return np.concatenate(sides, axis=-1)

    def with_log_loss(self, log_loss: Floats) -> Ladder:
        """The same rungs with other losses, e.g. resampled ones."""
        return replace(self, log_loss=log_loss)

    def with_num_bytes(self, num_bytes: Floats) -> Ladder:
        """The same losses at other sizes, in ascending order of these."""
        order = np.argsort(num_bytes, kind="stable")
        return Ladder(
            num_bytes[order],
            self.log_loss[..., order],
            self.num_seeds[order],
            tuple(self.labels[place] for place in order) if self.labels else (),
        )


@dataclass(frozen=True, eq=False)
class Pool:
    """The ladders of one model, one per target; fits to them are cached by identity.

    sd_log_loss: of one scratch run, pooled over all rungs; 0 if unknown because of one seed.
    """

    ladders: tuple[Ladder, ...]
    sd_log_loss: float


def non_increasing(values: Floats, weights: Floats) -> Floats:
    """Isotonic regression under weights: the closest non-increasing values.

    The result of pooling adjacent violators, in its min-max form, vectorised over resamples:
    g_i = min over a <= i of max over b >= i of the weighted mean of values a..b (Barlow et
    al., Statistical Inference under Order Restrictions, 1972). Shapes: values (..., K), weights
    (K,); returns (..., K). Pooled neighbours are exactly equal, untouched values are unchanged.
    """
    num_rungs = values.shape[-1]
    result = np.full(values.shape, np.inf)
    for first in range(num_rungs):
        total = np.zeros(values.shape[:-1])
        weight = 0.0
        means = np.empty((num_rungs - first, *values.shape[:-1]))
        for offset in range(num_rungs - first):
            last = first + offset
            total = total + weights[last] * values[..., last]
            weight += float(weights[last])
            # w·v / w may differ from v by rounding, and an unpooled rung must not change.
            means[offset] = values[..., last] if offset == 0 else total / weight
        highest_from = np.maximum.accumulate(means[::-1], axis=0)[::-1]
        for offset in range(num_rungs - first):
            rung = first + offset
            result[..., rung] = np.minimum(result[..., rung], highest_from[offset])
    return result


def above_uniform(cells: pd.DataFrame) -> pd.Series:
    """Whether a cell is a zeroshot with a loss worse than uniform (equal probability for all
    bytes).

    Such a loss says how wrong a source is about bytes it has never seen, and nothing about what it
    knows of the target.
    """
    done = (cells["status"] == Status.DONE) & (cells["stage"] == Stage.ZEROSHOT)
    return done & (cells["test_loss"] > UNIFORM_LOSS_NATS)


def interpreted(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that enter D_T: done, neither pretrain nor joint, and in no group with a seed that
    is `above_uniform`.

    The whole group is left out: leaving out single seeds would be selecting by outcome.
    """
    others = cells["stage"].isin([Stage.PRETRAIN, Stage.JOINT])
    done = cells[(cells["status"] == Status.DONE) & ~others]
    above = above_uniform(done)
    if not above.any():
        return done
    flagged = above.groupby([done[name] for name in GROUP], dropna=False)
    return done[~flagged.transform("any").astype(bool)]


def cell_means(cells: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of the cells that are `interpreted`.

    Takes the table of `analysis.table`; returns the columns of `GROUP` plus size, log_loss (mean
    of log nats per byte), sd_log_loss (NaN with one seed), num_seeds, unfinished (mean over the
    seeds that report it, NaN if none does); sorted, so that results do not depend on the order of
    the runs in the store.
    """
    # Tables written by earlier versions lack this column.
    done = interpreted(cells).reindex(columns=list(dict.fromkeys([*cells.columns, "unfinished"])))
    done["log_loss"] = np.log(done["test_loss"].to_numpy(dtype=float))
    means = done.groupby(GROUP, sort=True, dropna=False).agg(
        size=("size", "first"),
        log_loss=("log_loss", "mean"),
        sd_log_loss=("log_loss", "std"),
        num_seeds=("log_loss", "size"),
        unfinished=("unfinished", "mean"),
    )
    return means.reset_index()


def ladders(means: pd.DataFrame) -> dict[tuple[str, str], Ladder]:
    """The ladder of every (model, target) that has at least one scratch cell done; those of a model
    share a pool."""
    scratch = means[means["stage"] == Stage.SCRATCH]
    found: dict[tuple[str, str], Ladder] = {}
    for model, rungs in scratch.groupby("model", sort=True):
        mine = {str(target): _ladder(rows) for target, rows in rungs.groupby("target", sort=True)}
        pool = Pool(tuple(mine.values()), _sd_log_loss(rungs))
        found |= {(str(model), target): replace(one, pool=pool) for target, one in mine.items()}
    return found


def _ladder(rungs: pd.DataFrame) -> Ladder:
    ordered = rungs.sort_values("size_bytes")
    return Ladder(
        ordered["size_bytes"].to_numpy(dtype=float),
        ordered["log_loss"].to_numpy(dtype=float),
        ordered["num_seeds"].to_numpy(dtype=float),
        tuple(str(label) for label in ordered["size"]),
    )


def _sd_log_loss(rungs: pd.DataFrame) -> float:
    freedom = rungs["num_seeds"].to_numpy(dtype=float) - 1
    # Tables made by hand may lack the column.
    sd = rungs.get("sd_log_loss", pd.Series(np.nan, rungs.index)).to_numpy(dtype=float)
    told = (freedom > 0) & np.isfinite(sd)
    if not told.any():
        return 0.0
    return float(np.sqrt((sd[told] ** 2 * freedom[told]).sum() / freedom[told].sum()))
