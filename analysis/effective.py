"""The table of D_E and D_T: one row for each source, target, size and model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.estimators.interpolated import log_loss_at
from analysis.estimators.reference import nominal_bytes
from analysis.estimators.registry import (
    BELIEVED,
    CAUTIONS,
    DEFAULT,
    ESTIMATORS,
    NOMINAL,
    estimator_named,
)
from analysis.ladder import Ladder, ladders
from analysis.laws.draws import TransferDraws
from analysis.uncertainty.intervals import Interval, censored_interval
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
    estimator: str = DEFAULT,
    noise: Mapping[str, Noise] | None = None,
) -> pd.DataFrame:
    """D_E and D_T of every finetune and zeroshot cell group whose target has a ladder.

    Takes the table of `cell_means` and its resamples; returns the columns of `COLUMNS`. Groups
    whose target has no ladder are left out here and named by `analysis.alarms`. `finetune_bytes`
    are true bytes also where the estimator counts in nominal ones (`reference`), whose D_T is then
    less its own D_F. `noise` decides which cells are unfinished beyond it, and is estimated from
    `means` if it is not given. `InputError` if the estimator is unknown.
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
    """`effective_table`, and D_T of its rows in every resample, of which its intervals are made.

    spread: whether the columns estimators_* are wanted; simulations save them.

    The draws of an estimator in `CAUTIONS`, and where there is no noise to draw from, are NaN.
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
        part = _part(group, ladder, estimator, resampled, resamples.confidence)
        unknown = np.full(drawn.shape, np.nan)
        estimates.append(resampled or Estimate(unknown, np.zeros(drawn.shape, dtype=np.int8)))
        part["finetune_bytes"] = group["size_bytes"].to_numpy()  # what other tables know it by
        if spread:
            part |= _spread([_answered(group, losses, ladder, name) for name in BELIEVED])
        part["unfinished"] = group["unfinished"].to_numpy(dtype=float)
        if estimator not in CAUTIONS and lower_ladders:
            key = (str(group["model"].iloc[0]), str(group["target"].iloc[0]))
            part |= _if_trained_on(
                _answered(group, losses, ladder, estimator),
                _answered(group, losses, lower_ladders[key], estimator),
                _answered(group, lower[places], ladder, estimator),
            )
        several = len(group) > 1
        part["leads"] = several & (np.arange(len(group)) == losses.argmin())
        part["leads_share"] = np.nan
        if several and np.isfinite(drawn).all():
            first = drawn.argmin(axis=1)
            part["leads_share"] = np.bincount(first, minlength=len(group)) / len(first)
        parts.append(part)
    table = _stacked(parts, COLUMNS)
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
    labels name, D_F included, so that D_T = D_E - D_F holds in every row; match rows of different
    estimators by model, source, target and `size`. `caution` says why an estimator is not to be
    used.
    """
    parts: list[dict[str, object]] = []
    for ladder, drawn_ladder, group in _groups(means, ladders(means), resamples):
        drawn = resamples.log_loss[:, group.index.to_numpy()]
        losses = group["log_loss"].to_numpy(dtype=float)
        size = float(group["size_bytes"].iloc[0])
        for name in ESTIMATORS:
            resampled = None
            # An interval around a number that is not to be believed would only dress it up.
            if name not in CAUTIONS and drawn_ladder is not None and np.isfinite(drawn).all():
                resampled = resampled_estimate(ladder, drawn_ladder, losses, drawn, size, name)
            part = _part(group, ladder, name, resampled, resamples.confidence)
            parts.append({**part, "caution": CAUTIONS.get(name)})
    table = _stacked(parts, ESTIMATES_COLUMNS)
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
        # An axis for the sources: one ladder serves all of them, and all D_F.
        ladder = found[key].with_log_loss(log_loss)
        drawn[key] = ladder if np.isfinite(log_loss).all() else None
    keys = ["model", "target", "size_bytes"]
    transfer = means[means["stage"].isin([Stage.FINETUNE, Stage.ZEROSHOT])]
    for (model, target, _), group in transfer.groupby(keys, sort=True):
        key = (str(model), str(target))
        if key in found:
            yield found[key], drawn[key], group


@dataclass(frozen=True)
class _Answers:
    """What an estimator says of the cells of one D_F; sizes as the estimator counts them."""

    finetune_bytes: float
    effective_bytes: Floats  # (S,)
    range: npt.NDArray[np.int8]

    @property
    def transferred_bytes(self) -> Floats:
        """D_T = D_E - D_F."""
        return self.effective_bytes - self.finetune_bytes


def _answered(group: pd.DataFrame, log_loss: Floats, ladder: Ladder, name: str) -> _Answers:
    ladder, finetune_bytes = _sizes_of(name, group, ladder)
    answer = ESTIMATORS[name](ladder, log_loss, finetune_bytes)
    return _Answers(finetune_bytes, answer.effective_bytes, answer.range)


def _sizes_of(name: str, group: pd.DataFrame, ladder: Ladder) -> tuple[Ladder, float]:
    """The ladder and D_F in the sizes that an estimator is given."""
    finetune_bytes = float(group["size_bytes"].iloc[0])
    if name not in NOMINAL:
        return ladder, finetune_bytes
    pairs = zip(ladder.labels, ladder.num_bytes, strict=True)
    nominal = np.array([nominal_bytes(label, size) for label, size in pairs])
    label = str(group["size"].iloc[0])
    return ladder.with_num_bytes(nominal), nominal_bytes(label, finetune_bytes)


def _part(
    group: pd.DataFrame,
    ladder: Ladder,
    name: str,
    resampled: Estimate | None,
    confidence: float,
) -> dict[str, object]:
    """Columns of the cells of one model, target and D_F."""
    losses = group["log_loss"].to_numpy(dtype=float)
    answers = _answered(group, losses, ladder, name)
    true_bytes = float(group["size_bytes"].iloc[0])
    observed = ladder.log_loss[ladder.num_bytes == true_bytes]
    part: dict[str, object] = {
        **{key: group[key].to_numpy() for key in ("model", "stage", "source", "target", "size")},
        "finetune_bytes": int(answers.finetune_bytes),
        "estimator": name,
        "effective_bytes": answers.effective_bytes,
        "transferred_bytes": answers.transferred_bytes,
        "range": _words(answers.range),
        "loss": np.exp(losses),
        "scratch_loss": float(np.exp(log_loss_at(ladder, true_bytes))),
        "scratch_loss_observed": float(np.exp(observed[0])) if len(observed) else float("nan"),
        "num_seeds": group["num_seeds"].to_numpy(),
        "ladder_rungs": len(ladder.num_bytes),
        "ladder_low_bytes": float(ladder.num_bytes[0]),
        "ladder_high_bytes": float(ladder.num_bytes[-1]),
    }
    if resampled is not None:
        ends = [
            censored_interval(Estimate(values, places), ladder.num_bytes, confidence)
            for values, places in zip(resampled.effective_bytes.T, resampled.range.T, strict=True)
        ]
        part |= _interval_columns(ends, true_bytes, confidence)
    return part


def _stacked(parts: list[dict[str, object]], columns: dict[str, str]) -> pd.DataFrame:
    """The parts under one another: a scalar stands for all rows of its part."""
    lengths = [len(np.asarray(part["source"])) for part in parts]
    table = {}
    for name, kind in columns.items():
        missing = None if kind == "str" else np.nan
        values = [
            np.broadcast_to(np.asarray(part.get(name, missing), dtype=_held(kind)), length)
            for part, length in zip(parts, lengths, strict=True)
        ]
        whole = np.concatenate(values) if values else np.empty(0)
        table[name] = pd.Series(whole, dtype=kind)
    return pd.DataFrame(table)


def _held(kind: str) -> str:
    return "object" if kind == "str" else kind


def _words(places: npt.NDArray[np.int8]) -> list[str]:
    return [Range(int(place)).word for place in places]


def _spread(answers: list[_Answers]) -> dict[str, object]:
    """The smallest and the largest D_T of several estimators; one off the ladder is the end."""
    places = np.stack([one.range for one in answers])  # (estimators, S)
    transferred = np.stack([one.transferred_bytes for one in answers])
    ordered = np.lexsort((transferred, places), axis=0)
    ends: dict[str, object] = {}
    for end, row in (("low", 0), ("high", -1)):
        at = ordered[row], np.arange(ordered.shape[1])
        ends[f"estimators_{end}_bytes"] = transferred[at]
        ends[f"estimators_{end}_range"] = _words(places[at])
    return ends


def _if_trained_on(now: _Answers, ladder_on: _Answers, cells_on: _Answers) -> dict[str, object]:
    """What D_T may be: down to that of the ladder trained on, up to that of the cells trained on.

    One end at a time, since both at once would partly cancel. An end that does not move the answer
    in its own direction is left out.
    """
    ends: dict[str, object] = {}
    for end, moved, sign in (("low", ladder_on, -1), ("high", cells_on, 1)):
        further = sign * (moved.range.astype(int) - now.range)
        beyond = sign * (moved.effective_bytes - now.effective_bytes) > 0
        taken = (further > 0) | ((further == 0) & beyond)
        ends[f"unfinished_{end}_bytes"] = np.where(taken, moved.transferred_bytes, np.nan)
        words = zip(taken, _words(moved.range), strict=True)
        ends[f"unfinished_{end}_range"] = [word if one else None for one, word in words]
    return ends


def _interval_columns(
    ends: list[Interval], finetune_bytes: float, confidence: float
) -> dict[str, object]:
    low, high = (
        np.array([getattr(one, f"{end}_bytes") for one in ends]) for end in ("low", "high")
    )
    return {
        "confidence": confidence,
        "effective_low_bytes": low,
        "effective_high_bytes": high,
        "transferred_low_bytes": low - finetune_bytes,
        "transferred_high_bytes": high - finetune_bytes,
        "low_range": [one.low_range.word for one in ends],
        "high_range": [one.high_range.word for one in ends],
    }
