"""The table of D_E and D_T: one row for each source, target, size and model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimators import Estimator, Range, estimator_named, log_loss_at
from analysis.ladder import Floats, Ladder, ladders
from analysis.uncertainty import Interval, censored_interval
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
    "scratch_loss": "float64",  # at D_F as the monotone ladder has it; NaN off the ladder
    "scratch_loss_observed": "float64",  # the mean of that rung itself; NaN where there is none
    "num_seeds": "int64",  # runs behind `loss`
    "ladder_rungs": "int64",
    "ladder_low_bytes": "float64",
    "ladder_high_bytes": "float64",
    "confidence": "float64",  # NaN, like the next six, where there is no interval
    "effective_low_bytes": "float64",
    "effective_high_bytes": "float64",
    "transferred_low_bytes": "float64",
    "transferred_high_bytes": "float64",
    "low_range": "str",  # of the interval's low end: inside | below | above, or missing
    "high_range": "str",
    "leads": "bool",  # the lowest loss of all sources at this model, target and size
    "leads_share": "float64",  # share of resamples in which it leads; NaN without several seeds
}


@dataclass(frozen=True)
class Resamples:
    """Resampled means of log loss, (R, cells), columns in the order of the means they belong to."""

    log_loss: Floats
    confidence: float


def effective_table(
    means: pd.DataFrame, resamples: Resamples, *, estimator: str = "loglog"
) -> pd.DataFrame:
    """D_E and D_T of every finetune and zeroshot cell group whose target has a ladder.

    Takes the table of `cell_means` and its resamples; returns the columns of `COLUMNS`. Groups
    whose target has no ladder are left out here and named by `analysis.alarms`. `InputError` if
    the estimator is unknown.
    """
    estimate = estimator_named(estimator)
    found = ladders(means)
    rows: list[dict[str, object]] = []
    keys = ["model", "target", "size_bytes"]
    transfer = means[means["stage"].isin([Stage.FINETUNE, Stage.ZEROSHOT])]
    for (model, target, _), group in transfer.groupby(keys, sort=True):
        ladder = found.get((str(model), str(target)))
        finetune_bytes = float(group["size_bytes"].iloc[0])
        if ladder is None:
            continue
        drawn_ladder = _drawn_ladder(means, resamples, ladder, (str(model), str(target)))
        drawn = resamples.log_loss[:, group.index.to_numpy()]  # (R, sources)
        leader = int(group["log_loss"].to_numpy(dtype=float).argmin())
        for position, record in enumerate(group.to_dict("records")):
            row = _row(record, ladder, estimate, finetune_bytes)
            row["estimator"] = estimator
            row["leads"] = len(group) > 1 and position == leader
            if np.isfinite(drawn).all():
                row["leads_share"] = (
                    float((drawn.argmin(axis=1) == position).mean())
                    if len(group) > 1
                    else float("nan")
                )
                if drawn_ladder is not None:
                    resampled = estimate(drawn_ladder, drawn[:, position], finetune_bytes)
                    interval = censored_interval(resampled, ladder.num_bytes, resamples.confidence)
                    row |= _interval_columns(interval, finetune_bytes, resamples.confidence)
            rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["model", "target", "finetune_bytes", "source"], ignore_index=True)


def _drawn_ladder(
    means: pd.DataFrame, resamples: Resamples, ladder: Ladder, key: tuple[str, str]
) -> Ladder | None:
    mine = means[
        (means["stage"] == Stage.SCRATCH) & (means["model"] == key[0]) & (means["target"] == key[1])
    ].sort_values("size_bytes")
    log_loss = resamples.log_loss[:, mine.index.to_numpy()]
    return ladder.with_log_loss(log_loss) if np.isfinite(log_loss).all() else None


def _row(
    record: dict[Hashable, Any],
    ladder: Ladder,
    estimate: Estimator,
    finetune_bytes: float,
) -> dict[str, object]:
    log_loss = float(record["log_loss"])
    answer = estimate(ladder, np.asarray(log_loss), finetune_bytes)
    effective = float(answer.effective_bytes)
    observed = ladder.log_loss[ladder.num_bytes == finetune_bytes]
    return {
        **{name: record[name] for name in ("model", "stage", "source", "target", "size")},
        "finetune_bytes": int(finetune_bytes),
        "effective_bytes": effective,
        "transferred_bytes": effective - finetune_bytes,
        "range": Range(int(answer.range)).word,
        "loss": float(np.exp(log_loss)),
        "scratch_loss": float(np.exp(log_loss_at(ladder, finetune_bytes))),
        "scratch_loss_observed": float(np.exp(observed[0])) if len(observed) else float("nan"),
        "num_seeds": record["num_seeds"],
        "ladder_rungs": len(ladder.num_bytes),
        "ladder_low_bytes": float(ladder.num_bytes[0]),
        "ladder_high_bytes": float(ladder.num_bytes[-1]),
    }


def _interval_columns(
    interval: Interval, finetune_bytes: float, confidence: float
) -> dict[str, object]:
    return {
        "confidence": confidence,
        "effective_low_bytes": interval.low_bytes,
        "effective_high_bytes": interval.high_bytes,
        "transferred_low_bytes": interval.low_bytes - finetune_bytes,
        "transferred_high_bytes": interval.high_bytes - finetune_bytes,
        "low_range": interval.low_range.word,
        "high_range": interval.high_range.word,
    }
