"""Resampled D_T of every row of the table of effective data, for the transfer laws."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.estimators.curve import interpolation_error
from analysis.estimators.registry import BELIEVED, DEFAULT, ESTIMATORS, estimator_named
from analysis.ladder import GROUP, Ladder, ladders
from analysis.laws.draws import TransferDraws
from raydt.tracking.schema import Stage


def transfer_draws(
    effective: pd.DataFrame, means: pd.DataFrame, log_loss: Floats, *, estimator: str = DEFAULT
) -> TransferDraws:
    """D_T of every row of `effective` in every resample.

    effective: columns of `analysis.effective`; means: of `cell_means`; log_loss: (R, cells) of
    `draw_means`. Within a resample all rows of a target share its ladder, and all rows of a source
    its pretrain. NaN where the noise is unknown. `InputError` if the estimator is unknown.
    """
    estimator_named(estimator)
    found = ladders(means)
    position = {key: place for place, key in enumerate(means[GROUP].itertuples(index=False))}
    rungs: dict[tuple[str, str], list[int]] = {}
    scratch = means.reset_index(drop=True)
    scratch = scratch[scratch["stage"] == Stage.SCRATCH].sort_values("size_bytes")
    for key, rows in scratch.groupby(["model", "target"], sort=True).groups.items():
        rungs[key] = list(rows)
    drawn = {
        key: found[key].with_log_loss(log_loss[:, None, places]) for key, places in rungs.items()
    }
    transferred = np.full((len(log_loss), len(effective)), np.nan)
    place = np.zeros(transferred.shape, dtype=np.int8)
    columns = ["model", "stage", "source", "target", "finetune_bytes"]
    at = np.array([position[row] for row in effective[columns].itertuples(index=False, name=None)])
    centre = means["log_loss"].to_numpy(dtype=float)
    for (model, target, size), rows in effective.groupby(
        ["model", "target", "finetune_bytes"], sort=True
    ).indices.items():
        ladder, losses = drawn[model, target], log_loss[:, at[rows]]
        if np.isfinite(losses).all() and np.isfinite(ladder.log_loss).all():
            answer = resampled_estimate(
                found[model, target], ladder, centre[at[rows]], losses, float(size), estimator
            )
            transferred[:, rows] = answer.effective_bytes - float(size)
            place[:, rows] = answer.range
    return TransferDraws(transferred, place)


def resampled_estimate(
    ladder: Ladder,
    drawn: Ladder,
    log_loss: Floats,
    drawn_log_loss: Floats,
    finetune_bytes: float,
    estimator: str,
) -> Estimate:
    """D_E (R, S) of resampled losses (R, S) on a resampled ladder (R, 1, K), of one target and D_F.

    Includes the interpolation error between rungs (`interpolation_error`), the same for all losses
    of a resample, because seeds do not average it out.
    """
    answer = ESTIMATORS[estimator](drawn, drawn_log_loss, finetune_bytes)
    if estimator not in BELIEVED:
        return answer
    error = interpolation_error(ladder, log_loss)
    # Seeded by the ladder itself: the same for all D_F of a target, different between targets.
    seed = np.frombuffer(ladder.log_loss.tobytes(), dtype=np.uint32)
    normal = np.random.default_rng(seed).standard_normal((len(drawn_log_loss), 1))
    moved = np.clip(
        answer.effective_bytes * np.exp(error * normal), ladder.num_bytes[0], ladder.num_bytes[-1]
    )
    inside = answer.range == Range.INSIDE
    return Estimate(np.where(inside, moved, answer.effective_bytes), answer.range)
