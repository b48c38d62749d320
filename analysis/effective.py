"""The table of D_E and D_T: one row for each source, target, size and model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.effective_columns import answered, columns_of, if_trained_on, spread_of, stacked
from analysis.estimators.answer import Estimate
from analysis.estimators.pooled import pools
from analysis.estimators.registry import (
    BELIEVED,
    CAUTIONS,
    DEFAULT,
    ESTIMATORS,
    POOLED,
    estimator_named,
)
from analysis.ladder import Ladder, ladders
from analysis.laws.draws import TransferDraws
from analysis.uncertainty.noise import Noise, pooled_noise
from analysis.uncertainty.transfer import resampled_estimate
from analysis.uncertainty.unfinished import beyond_noise
from raydt.tracking.schema import Stage

# The long table; sizes in bytes, losses in nats per byte.
COLUMNS = {
    "model": "str",
    "stage": "str",
    "source": "str",
    "target": "str",
    "size": "str",  # label of D_F
    "finetune_bytes": "int64",  # D_F, 0 for zeroshot
    "estimator": "str",
    "effective_bytes": "float64",  # D_E, or the bound that `range` names
    "transferred_bytes": "float64",  # D_T = D_E - D_F, bounded like D_E
    "range": "str",  # inside | below | above
    "loss": "float64",  # mean over seeds
    "scratch_loss": "float64",  # of the monotone ladder at D_F; NaN off the ladder
    "scratch_loss_observed": "float64",  # the mean of that rung itself; NaN if there is none
    "num_seeds": "int64",  # runs behind `loss`
    "ladder_rungs": "int64",
    "ladder_low_bytes": "float64",
    "ladder_high_bytes": "float64",
    "confidence": "float64",  # NaN, like the next six, if there is no interval
    "effective_low_bytes": "float64",
    "effective_high_bytes": "float64",
    "transferred_low_bytes": "float64",
    "transferred_high_bytes": "float64",
    "low_range": "str",  # of the interval's low end: inside | below | above, or missing
    "high_range": "str",
    "estimators_low_bytes": "float64",  # smallest and largest D_T over the credible estimators:
    "estimators_high_bytes": "float64",  # how far their choice moves the result
    "estimators_low_range": "str",
    "estimators_high_range": "str",
    "unfinished": "float64",  # fall of log loss after another doubling of bytes, mean over seeds
    "unfinished_low_bytes": "float64",  # D_T if the scratch ladder had another doubling of bytes,
    "unfinished_high_bytes": "float64",  # and if these cells had it; NaN if D_T would not change
    "unfinished_low_range": "str",  # by more than the noise
    "unfinished_high_range": "str",
    "leads": "bool",  # the lowest loss of all sources at this model, target and size
    "leads_share": "float64",  # share of resamples in which it leads; NaN without several seeds
}

# The table `estimates`: the results of every estimator side by side.
_COMPARED = (
    "source",
    "target",
    "finetune_bytes",
    "estimator",
    "effective_bytes",
    "transferred_bytes",
    "range",
    "effective_low_bytes",
    "effective_high_bytes",
    "transferred_low_bytes",
    "transferred_high_bytes",
    "low_range",
    "high_range",
    "confidence",
    "model",
    "stage",
    "size",
    "loss",
    "scratch_loss",
)
ESTIMATES_COLUMNS = {**{name: COLUMNS[name] for name in _COMPARED}, "caution": "str"}


@dataclass(frozen=True)
class Resamples:
    """Resampled means of log loss, (R, cells), columns in the order of their means."""

    log_loss: Floats
    confidence: float


def effective_table(
    means: pd.DataFrame,
    resamples: Resamples,
    *,
    estimator: str = DEFAULT,
    noise: Mapping[str, Noise] | None = None,
) -> pd.DataFrame:
    """D_E and D_T of every finetune and zeroshot cell group whose target has a ladder.

    Takes the table of `cell_means` and its resamples; returns the columns of `COLUMNS`. Groups
    whose target has no ladder are left out here and named by `analysis.alarms`. `finetune_bytes`
    are true bytes even if the estimator uses nominal ones (`reference`), whose D_T is then relative
    to its own D_F. `noise` determines which cells are unfinished beyond it, and is estimated from
    `means` if not given. `InputError` if the estimator is unknown, or is `pooled` and a model
    has too few targets for it.
    """
    return effective_with_draws(means, resamples, estimator=estimator, noise=noise)[0]


def effective_with_draws(
    means: pd.DataFrame,
    resamples: Resamples,
    *,
    estimator: str = DEFAULT,
    noise: Mapping[str, Noise] | None = None,
    spread: bool = True,
) -> tuple[pd.DataFrame, TransferDraws]:
    """`effective_table`, and D_T of its rows in every resample, from which its intervals are made.

    spread: whether to compute the columns estimators_*; simulations skip them.

    The draws are NaN for an estimator in `CAUTIONS`, and where the noise is unknown.
    """
    estimator_named(estimator)
    found = ladders(means)
    rise = beyond_noise(means, pooled_noise(means) if noise is None else noise)
    lower = means["log_loss"].to_numpy(dtype=float) - rise
    lower_ladders = ladders(means.assign(log_loss=lower)) if rise.any() else {}
    parts: list[dict[str, object]] = []
    estimates: list[Estimate] = []
    for ladder, drawn_ladder, group in _groups(means, found, resamples):
        places = group.index.to_numpy()
        drawn = resamples.log_loss[:, places]  # (R, sources)
        losses = group["log_loss"].to_numpy(dtype=float)
        resampled = None
        if estimator not in CAUTIONS and drawn_ladder is not None and np.isfinite(drawn).all():
            size = float(group["size_bytes"].iloc[0])
            resampled = resampled_estimate(ladder, drawn_ladder, losses, drawn, size, estimator)
        part = columns_of(group, ladder, estimator, resampled, resamples.confidence)
        unknown = np.full(drawn.shape, np.nan)
        estimates.append(resampled or Estimate(unknown, np.zeros(drawn.shape, dtype=np.int8)))
        part["finetune_bytes"] = group["size_bytes"].to_numpy()  # what other tables know it by
        if spread:
            part |= spread_of([answered(group, losses, ladder, name) for name in BELIEVED])
        part["unfinished"] = group["unfinished"].to_numpy(dtype=float)
        if estimator not in CAUTIONS and lower_ladders:
            key = (str(group["model"].iloc[0]), str(group["target"].iloc[0]))
            part |= if_trained_on(
                answered(group, losses, ladder, estimator),
                answered(group, losses, lower_ladders[key], estimator),
                answered(group, lower[places], ladder, estimator),
            )
        several = len(group) > 1
        part["leads"] = several & (np.arange(len(group)) == losses.argmin())
        part["leads_share"] = np.nan
        if several and np.isfinite(drawn).all():
            first = drawn.argmin(axis=1)
            part["leads_share"] = np.bincount(first, minlength=len(group)) / len(first)
        parts.append(part)
    table = stacked(parts, COLUMNS)
    order = table.sort_values(["model", "target", "finetune_bytes", "source"]).index.to_numpy()
    table = table.loc[order].reset_index(drop=True)
    if not estimates:
        none = np.empty((len(resamples.log_loss), 0))
        return table, TransferDraws(none, none.astype(np.int8))
    effective = np.hstack([one.effective_bytes for one in estimates])[:, order]
    place = np.hstack([one.range for one in estimates])[:, order]
    return table, TransferDraws(effective - table["finetune_bytes"].to_numpy(dtype=float), place)


def estimates_table(means: pd.DataFrame, resamples: Resamples) -> pd.DataFrame:
    """D_E and D_T of every estimator side by side: the long table, columns `ESTIMATES_COLUMNS`.

    Takes what `effective_table` takes. The rows of an estimator in `NOMINAL` have the sizes that
    labels state, D_F included, so that D_T = D_E - D_F holds in every row; join rows of different
    estimators on model, source, target and `size`. `caution` says why an estimator must not be
    used. `pooled` has no rows for a model with too few targets.
    """
    parts: list[dict[str, object]] = []
    for ladder, drawn_ladder, group in _groups(means, ladders(means), resamples):
        drawn = resamples.log_loss[:, group.index.to_numpy()]
        losses = group["log_loss"].to_numpy(dtype=float)
        size = float(group["size_bytes"].iloc[0])
        for name in ESTIMATORS:
            if name in POOLED and not pools(ladder):
                continue
            resampled = None
            # An interval would only lend credibility to a number that must not be used.
            if name not in CAUTIONS and drawn_ladder is not None and np.isfinite(drawn).all():
                resampled = resampled_estimate(ladder, drawn_ladder, losses, drawn, size, name)
            part = columns_of(group, ladder, name, resampled, resamples.confidence)
            parts.append({**part, "caution": CAUTIONS.get(name)})
    table = stacked(parts, ESTIMATES_COLUMNS)
    # Stable: sizes of one comparison stay together, estimators in their order.
    order = ["model", "target", "source"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def _groups(
    means: pd.DataFrame, found: dict[tuple[str, str], Ladder], resamples: Resamples
) -> Iterator[tuple[Ladder, Ladder | None, pd.DataFrame]]:
    """Ladder, resampled ladder and the rows of every (model, target, D_F) that has a ladder."""
    drawn = {}
    scratch = means[means["stage"] == Stage.SCRATCH].sort_values("size_bytes")
    for key, rungs in scratch.groupby(["model", "target"], sort=True).indices.items():
        log_loss = resamples.log_loss[:, None, scratch.index.to_numpy()[rungs]]
        # An axis for the sources: all of them, and all D_F, share one ladder.
        ladder = found[key].with_log_loss(log_loss)
        drawn[key] = ladder if np.isfinite(log_loss).all() else None
    keys = ["model", "target", "size_bytes"]
    transfer = means[means["stage"].isin([Stage.FINETUNE, Stage.ZEROSHOT])]
    for (model, target, _), group in transfer.groupby(keys, sort=True):
        key = (str(model), str(target))
        if key in found:
            yield found[key], drawn[key], group
