"""D_T of the pairs of a grid that were not measured, predicted from those that were.

For each model and D_F separately, on log(D_E / D_F) (`analysis.completion.kernel`). A prediction is
not a measurement: it is in a separate table, with an interval that includes the pair's own effect,
and with the leave-one-out accuracy of the measured pairs beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.grid import finetuned
from analysis.claims.predictors import distances
from analysis.completion.kernel import (
    MIN_PAIRS,
    Fit,
    Languages,
    fit,
    languages_of,
)

PREDICTED_COLUMNS = (
    "model",
    "source",
    "target",
    "size",
    "finetune_bytes",
    "predicted",  # always True: no row of this table was measured
    "effective_bytes",  # a bound off the ladder, like a measured one
    "transferred_bytes",
    "range",
    "confidence",
    "effective_low_bytes",
    "effective_high_bytes",
    "transferred_low_bytes",
    "transferred_high_bytes",
    "low_range",
    "high_range",
    "num_pairs",  # measured at this model and D_F
)
LEFT_OUT_COLUMNS = (
    "model",
    "size",
    "finetune_bytes",
    "num_pairs",
    # Leave-one-out, of log(D_E / D_F); 1: exact, 0: no better than the overall mean, negative:
    # worse.
    "r2",
    "r2_sources",  # by the mean of the source's other targets
    "r2_targets",  # by the mean of the target's other sources
    "r2_two_way",  # by source and target effects alone, without shrinkage
    "held",  # share of measured pairs inside the interval predicted from the others
    "confidence",
    "num_bounds",  # pairs whose D_E is a bound, which is used as its value
)
ALL_SIZES = "all sizes"


@dataclass(frozen=True)
class Completed:
    """predicted: columns `PREDICTED_COLUMNS`, one row per pair and D_F that was not measured;
    left_out: columns `LEFT_OUT_COLUMNS`, one row per model and D_F and one for all sizes of a
    model."""

    predicted: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=list(PREDICTED_COLUMNS))
    )
    left_out: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=list(LEFT_OUT_COLUMNS))
    )


def completed(effective: pd.DataFrame, confidence: float) -> Completed:
    """From the table of effective data: sources and targets are those with a measured pair at the
    model and D_F. Nothing is predicted with fewer than `MIN_PAIRS`, or if no source or no target
    has two; if no pair is missing, only the leave-one-out accuracy is returned."""
    predicted: list[dict[str, object]] = []
    judged: list[dict[str, object]] = []
    for model in sorted(effective["model"].unique()):
        of_model = finetuned(effective, model).rows
        residuals: list[_Residuals] = []
        for size, rows in of_model.groupby("finetune_bytes", sort=True):
            sources, targets = rows["source"].nunique(), rows["target"].nunique()
            if len(rows) < MIN_PAIRS or sources < 2 or targets < 2:
                continue
            pairs, values, languages = _matrix(rows)
            fitted = fit(values, languages)
            residuals.append(_residuals(values, languages, fitted, rows, confidence))
            about = {"model": model, "size": rows["size"].iloc[0], "finetune_bytes": int(size)}
            judged.append(about | _judged([residuals[-1]], confidence))
            middle, ends = fitted.predicted(), fitted.interval(confidence)
            edges = rows.groupby("target")[["ladder_low_bytes", "ladder_high_bytes"]].first()
            for place in np.flatnonzero(np.isnan(values)):
                source, target = pairs[place]
                predicted.append(
                    about
                    | {"source": source, "target": target, "predicted": True}
                    | _bytes(
                        (middle[place], ends[0][place], ends[1][place]),
                        float(size),
                        *edges.loc[target],
                    )
                    | {"confidence": confidence, "num_pairs": len(rows)}
                )
        if len(residuals) > 1:
            whole = {"model": model, "size": ALL_SIZES, "finetune_bytes": 0}
            judged.append(whole | _judged(residuals, confidence))
    return Completed(
        pd.DataFrame(predicted, columns=list(PREDICTED_COLUMNS)),
        pd.DataFrame(judged, columns=list(LEFT_OUT_COLUMNS)),
    )


def _matrix(rows: pd.DataFrame) -> tuple[list[tuple[str, str]], Floats, Languages]:
    """All pairs of sources and targets at one D_F, their values (NaN if missing), and languages."""
    measured = {
        (str(row.source), str(row.target)): float(row.log_ratio)
        for row in rows[["source", "target", "log_ratio"]].itertuples()
    }
    sources, targets = (sorted({pair[end] for pair in measured}) for end in (0, 1))
    pairs = [(source, target) for source in sources for target in targets if source != target]
    values = np.array([measured.get(pair, np.nan) for pair in pairs])
    return pairs, values, languages_of(pairs, known_distances({*sources, *targets}))


def known_distances(names: set[str]) -> dict[tuple[str, str], float]:
    """The preregistered distance of every two languages for which it is known."""
    table = distances(names)
    return {
        (str(one), str(other)): float(table.loc[one, other])
        for one in table.index
        for other in table.columns
        if np.isfinite(table.loc[one, other])
    }


@dataclass(frozen=True)
class _Residuals:
    """Leave-one-out residuals of the measured pairs of one D_F: value minus prediction."""

    total: Floats  # by the mean of the others
    by: dict[str, Floats]
    held: npt.NDArray[np.bool_]
    num_bounds: int


def _residuals(
    values: Floats,
    languages: Languages,
    fitted: Fit,
    rows: pd.DataFrame,
    confidence: float,
) -> _Residuals:
    there = np.isfinite(values)
    y, source, target = values[there], languages.source[there], languages.target[there]
    low, high = fitted.left_interval(confidence)
    mean = _mean_of_others(y, np.zeros(len(y)))
    by = {
        "r2": y - fitted.left_out(),
        "r2_sources": y - _mean_of_others(y, source, mean),
        "r2_targets": y - _mean_of_others(y, target, mean),
        "r2_two_way": y - _two_way_of_others(y, source, target, mean),
    }
    held = (low <= y) & (y <= high)
    return _Residuals(y - mean, by, held, int((rows["range"] != "inside").sum()))


def _judged(residuals: Sequence[_Residuals], confidence: float) -> dict[str, object]:
    total = float(sum((one.total**2).sum() for one in residuals))
    found: dict[str, object] = {
        name: 1 - float(sum((one.by[name] ** 2).sum() for one in residuals)) / total
        if total > 0
        else np.nan
        for name in residuals[0].by
    }
    held = np.concatenate([one.held for one in residuals])
    return found | {
        "num_pairs": len(held),
        "held": float(held.mean()),
        "confidence": confidence,
        "num_bounds": sum(one.num_bounds for one in residuals),
    }


def _mean_of_others(y: Floats, group: np.ndarray, otherwise: Floats | None = None) -> Floats:
    """For each element the mean of the others in its group; `otherwise` if it is alone."""
    same = (group[:, None] == group).astype(float)
    np.fill_diagonal(same, 0.0)
    number = same.sum(axis=1)
    mean = same @ y / np.maximum(number, 1)
    return np.asarray(mean if otherwise is None else np.where(number > 0, mean, otherwise))


def _two_way_of_others(
    y: Floats, source: np.ndarray, target: np.ndarray, otherwise: Floats
) -> Floats:
    """Leave-one-out predictions of additive least squares; `otherwise` where not identified.

    The leave-one-out residual of a least squares fit is e / (1 - h), with leverage h.
    """
    design = np.hstack(
        [np.ones((len(y), 1)), np.eye(source.max() + 1)[source], np.eye(target.max() + 1)[target]]
    )
    hat = design @ np.linalg.pinv(design)
    left = 1 - np.diag(hat)
    told = left > 1e-8  # else the pair alone determines an effect
    return np.asarray(np.where(told, y - (y - hat @ y) / np.where(told, left, 1.0), otherwise))


def _bytes(
    log_ratios: tuple[float, float, float], finetune_bytes: float, low: float, high: float
) -> dict[str, object]:
    """D_E and D_T from a log ratio and both ends of its interval, clipped to the ladder."""
    found: dict[str, object] = {}
    for name, ratio in zip(("", "_low", "_high"), log_ratios, strict=True):
        effective = finetune_bytes * float(np.exp(ratio))
        word = "below" if effective < low else "above" if effective > high else "inside"
        effective = min(max(effective, low), high)
        found[f"effective{name}_bytes"] = effective
        found[f"transferred{name}_bytes"] = effective - finetune_bytes
        found["range" if not name else f"{name[1:]}_range"] = word
    return found
