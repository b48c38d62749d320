"""The table of D_E and D_T: one row for each source, target, size and model."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.estimators.answer import Range
from analysis.estimators.interpolated import log_loss_at
from analysis.estimators.reference import nominal_bytes
from analysis.estimators.registry import CAUTIONS, ESTIMATORS, NOMINAL, estimator_named
from analysis.ladder import Ladder, ladders
from analysis.uncertainty.intervals import Interval, censored_interval
from analysis.uncertainty.noise import Noise, pooled_noise
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
    "estimators_low_bytes": "float64",  # smallest and largest D_T over all estimators that are to
    "estimators_high_bytes": "float64",  # be believed: how far their choice moves the answer
    "estimators_low_range": "str",
    "estimators_high_range": "str",
    "unfinished": "float64",  # fall of log loss after another doubling of bytes, mean over seeds
    "unfinished_low_bytes": "float64",  # D_T if the scratch ladder had another doubling of bytes,
    "unfinished_high_bytes": "float64",  # and if these cells had it; NaN where it would not move
    "unfinished_low_range": "str",  # by more than the noise
    "unfinished_high_range": "str",
    "leads": "bool",  # the lowest loss of all sources at this model, target and size
    "leads_share": "float64",  # share of resamples in which it leads; NaN without several seeds
}

# The table `estimates`: every estimator's answer side by side.
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
    """Resampled means of log loss, (R, cells), columns in the order of the means they belong to."""

    log_loss: Floats
    confidence: float


def effective_table(
    means: pd.DataFrame,
    resamples: Resamples,
    *,
    estimator: str = "loglog",
    noise: Mapping[str, Noise] | None = None,
) -> pd.DataFrame:
    """D_E and D_T of every finetune and zeroshot cell group whose target has a ladder.

    Takes the table of `cell_means` and its resamples; returns the columns of `COLUMNS`. Groups
    whose target has no ladder are left out here and named by `analysis.alarms`. `finetune_bytes`
    are true bytes also where the estimator counts in nominal ones (`reference`), whose D_T is then
    less its own D_F. `noise` decides which cells are unfinished beyond it, and is estimated from
    `means` if it is not given. `InputError` if the estimator is unknown.
    """
    estimator_named(estimator)
    believed = [name for name in ESTIMATORS if name not in CAUTIONS]
    found = ladders(means)
    lower = means["log_loss"] - beyond_noise(means, pooled_noise(means) if noise is None else noise)
    lower_ladders = ladders(means.assign(log_loss=lower))
    rows: list[dict[str, object]] = []
    for ladder, drawn_ladder, group in _groups(means, found, resamples):
        drawn = resamples.log_loss[:, group.index.to_numpy()]  # (R, sources)
        several = len(group) > 1
        leader = int(group["log_loss"].to_numpy(dtype=float).argmin())
        for position, record in enumerate(group.to_dict("records")):
            row = _row(record, ladder, estimator, drawn_ladder, drawn[:, position], resamples)
            row["finetune_bytes"] = record["size_bytes"]  # what other tables know the cell by
            others = [_answered(record, ladder, name) for name in believed]
            row |= _spread(others)
            row["unfinished"] = record["unfinished"]
            if estimator not in CAUTIONS:
                now = _answered(record, ladder, estimator)
                lower_ladder = lower_ladders[str(record["model"]), str(record["target"])]
                trained_on = {**record, "log_loss": lower[group.index[position]]}
                row |= _if_trained_on(
                    now,
                    _answered(record, lower_ladder, estimator),
                    _answered(trained_on, ladder, estimator),
                )
            row["leads"] = several and position == leader
            if several and np.isfinite(drawn).all():
                row["leads_share"] = float((drawn.argmin(axis=1) == position).mean())
            rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["model", "target", "finetune_bytes", "source"], ignore_index=True)


def estimates_table(means: pd.DataFrame, resamples: Resamples) -> pd.DataFrame:
    """D_E and D_T of every estimator side by side: the long table, columns `ESTIMATES_COLUMNS`.

    Takes what `effective_table` takes. The rows of an estimator in `NOMINAL` have the sizes that
    labels name, D_F included, so that D_T = D_E - D_F holds in every row; match rows of different
    estimators by model, source, target and `size`. `caution` says why an estimator is not to be
    used.
    """
    rows: list[dict[str, object]] = []
    for ladder, drawn_ladder, group in _groups(means, ladders(means), resamples):
        drawn = resamples.log_loss[:, group.index.to_numpy()]
        for position, record in enumerate(group.to_dict("records")):
            for name in ESTIMATORS:
                row = _row(record, ladder, name, drawn_ladder, drawn[:, position], resamples)
                rows.append({**row, "caution": CAUTIONS.get(name)})
    table = pd.DataFrame(rows, columns=list(ESTIMATES_COLUMNS)).astype(ESTIMATES_COLUMNS)
    # Stable: sizes of one comparison stay together, estimators in their order.
    order = ["model", "target", "source"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def _groups(
    means: pd.DataFrame, found: dict[tuple[str, str], Ladder], resamples: Resamples
) -> Iterator[tuple[Ladder, Ladder | None, pd.DataFrame]]:
    """Ladder, resampled ladder and the rows of every (model, target, D_F) that has a ladder."""
    drawn = {key: _drawn_ladder(means, resamples, one, key) for key, one in found.items()}
    keys = ["model", "target", "size_bytes"]
    transfer = means[means["stage"].isin([Stage.FINETUNE, Stage.ZEROSHOT])]
    for (model, target, _), group in transfer.groupby(keys, sort=True):
        key = (str(model), str(target))
        if key in found:
            yield found[key], drawn[key], group


def _drawn_ladder(
    means: pd.DataFrame, resamples: Resamples, ladder: Ladder, key: tuple[str, str]
) -> Ladder | None:
    mine = means[
        (means["stage"] == Stage.SCRATCH) & (means["model"] == key[0]) & (means["target"] == key[1])
    ].sort_values("size_bytes")
    log_loss = resamples.log_loss[:, mine.index.to_numpy()]
    return ladder.with_log_loss(log_loss) if np.isfinite(log_loss).all() else None


@dataclass(frozen=True)
class _Answer:
    """What an estimator says of one cell group; sizes as the estimator counts them."""

    finetune_bytes: float
    effective_bytes: float
    range: Range


def _answered(record: dict[Hashable, Any], ladder: Ladder, name: str) -> _Answer:
    ladder, finetune_bytes = _sizes_of(name, record, ladder)
    answer = ESTIMATORS[name](ladder, np.asarray(float(record["log_loss"])), finetune_bytes)
    return _Answer(finetune_bytes, float(answer.effective_bytes), Range(int(answer.range)))


def _sizes_of(name: str, record: dict[Hashable, Any], ladder: Ladder) -> tuple[Ladder, float]:
    """The ladder and D_F in the sizes that an estimator is given."""
    finetune_bytes = float(record["size_bytes"])
    if name not in NOMINAL:
        return ladder, finetune_bytes
    pairs = zip(ladder.labels, ladder.num_bytes, strict=True)
    nominal = np.array([nominal_bytes(label, size) for label, size in pairs])
    return ladder.with_num_bytes(nominal), nominal_bytes(str(record["size"]), finetune_bytes)


def _row(
    record: dict[Hashable, Any],
    ladder: Ladder,
    name: str,
    drawn_ladder: Ladder | None,
    drawn: Floats,
    resamples: Resamples,
) -> dict[str, object]:
    answer = _answered(record, ladder, name)
    log_loss, true_bytes = float(record["log_loss"]), float(record["size_bytes"])
    observed = ladder.log_loss[ladder.num_bytes == true_bytes]
    row: dict[str, object] = {
        **{key: record[key] for key in ("model", "stage", "source", "target", "size")},
        "finetune_bytes": int(answer.finetune_bytes),
        "estimator": name,
        "effective_bytes": answer.effective_bytes,
        "transferred_bytes": answer.effective_bytes - answer.finetune_bytes,
        "range": answer.range.word,
        "loss": float(np.exp(log_loss)),
        "scratch_loss": float(np.exp(log_loss_at(ladder, true_bytes))),
        "scratch_loss_observed": float(np.exp(observed[0])) if len(observed) else float("nan"),
        "num_seeds": record["num_seeds"],
        "ladder_rungs": len(ladder.num_bytes),
        "ladder_low_bytes": float(ladder.num_bytes[0]),
        "ladder_high_bytes": float(ladder.num_bytes[-1]),
    }
    # An interval around a number that is not to be believed would only dress it up.
    if name not in CAUTIONS and drawn_ladder is not None and np.isfinite(drawn).all():
        resampled = ESTIMATORS[name](drawn_ladder, drawn, true_bytes)
        interval = censored_interval(resampled, ladder.num_bytes, resamples.confidence)
        row |= _interval_columns(interval, true_bytes, resamples.confidence)
    return row


def _spread(answers: list[_Answer]) -> dict[str, object]:
    """The smallest and the largest D_T of several estimators; one off the ladder is the end."""
    ordered = sorted(answers, key=lambda one: (one.range, one.effective_bytes))
    ends: dict[str, object] = {}
    for end, one in (("low", ordered[0]), ("high", ordered[-1])):
        ends[f"estimators_{end}_bytes"] = one.effective_bytes - one.finetune_bytes
        ends[f"estimators_{end}_range"] = one.range.word
    return ends


def _if_trained_on(now: _Answer, ladder_on: _Answer, cells_on: _Answer) -> dict[str, object]:
    """What D_T may be: down to that of the ladder trained on, up to that of the cells trained on.

    One end at a time, since both at once would partly cancel. An end that does not move the answer
    in its own direction is left out.
    """
    place = (now.range, now.effective_bytes)
    ends: dict[str, object] = {}
    if (ladder_on.range, ladder_on.effective_bytes) < place:
        ends["unfinished_low_bytes"] = ladder_on.effective_bytes - now.finetune_bytes
        ends["unfinished_low_range"] = ladder_on.range.word
    if (cells_on.range, cells_on.effective_bytes) > place:
        ends["unfinished_high_bytes"] = cells_on.effective_bytes - now.finetune_bytes
        ends["unfinished_high_range"] = cells_on.range.word
    return ends


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
