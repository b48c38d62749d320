"""Columns of the table of D_E: estimates for the cells of one model, target and D_F."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.estimators.interpolated import log_loss_at
from analysis.estimators.reference import nominal_bytes
from analysis.estimators.registry import ESTIMATORS, NOMINAL
from analysis.ladder import Ladder
from analysis.uncertainty.intervals import Interval, censored_interval


@dataclass(frozen=True)
class Answers:
    """The estimates for the cells of one D_F; sizes in the estimator's units."""

    finetune_bytes: float
    effective_bytes: Floats  # (S,)
    range: npt.NDArray[np.int8]

    @property
    def transferred_bytes(self) -> Floats:
        """D_T = D_E - D_F."""
        return self.effective_bytes - self.finetune_bytes


def answered(group: pd.DataFrame, log_loss: Floats, ladder: Ladder, name: str) -> Answers:
    """The estimates of the estimator `name` for the cells of one D_F at these losses, (S,)."""
    ladder, finetune_bytes = _sizes_of(name, group, ladder)
    answer = ESTIMATORS[name](ladder, log_loss, finetune_bytes)
    return Answers(finetune_bytes, answer.effective_bytes, answer.range)


def _sizes_of(name: str, group: pd.DataFrame, ladder: Ladder) -> tuple[Ladder, float]:
    """The ladder and D_F in the sizes that an estimator is given."""
    finetune_bytes = float(group["size_bytes"].iloc[0])
    if name not in NOMINAL:
        return ladder, finetune_bytes
    pairs = zip(ladder.labels, ladder.num_bytes, strict=True)
    nominal = np.array([nominal_bytes(label, size) for label, size in pairs])
    label = str(group["size"].iloc[0])
    return ladder.with_num_bytes(nominal), nominal_bytes(label, finetune_bytes)


def columns_of(
    group: pd.DataFrame,
    ladder: Ladder,
    name: str,
    resampled: Estimate | None,
    confidence: float,
) -> dict[str, object]:
    """Columns of the cells of one model, target and D_F."""
    losses = group["log_loss"].to_numpy(dtype=float)
    answers = answered(group, losses, ladder, name)
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


def stacked(parts: list[dict[str, object]], columns: dict[str, str]) -> pd.DataFrame:
    """The parts stacked: a scalar applies to all rows of its part."""
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


def spread_of(answers: list[Answers]) -> dict[str, object]:
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


def if_trained_on(now: Answers, ladder_on: Answers, cells_on: Answers) -> dict[str, object]:
    """The range of D_T after longer training: the low end with a longer trained ladder, the high
    end with longer trained cells.

    One at a time, since both at once would partly cancel. An end that does not move D_T in its own
    direction is left out.
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
