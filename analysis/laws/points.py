"""Points of the transfer laws, from the table of effective data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri

from analysis.arrays import Floats
from raydt.errors import bad

ALL = "all"  # replaces a model, source or target that a law spans


def one_estimator(effective: pd.DataFrame) -> pd.DataFrame:
    """The table itself, rows numbered; `InputError` if it holds D_T of several estimators."""
    names = sorted(effective["estimator"].unique())
    if len(names) > 1:
        raise bad("effective data for a law", "D_T of one estimator", ", ".join(names))
    return effective.reset_index(drop=True)


def error_log(rows: pd.DataFrame) -> Floats:
    """Standard error of log D_E from its interval (n,), NaN without an interval.

    An end off the ladder says little about the error: such a row gets the median of the rows of its
    D_F whose intervals are inside, or the widest of all inside if its D_F has none. Low values at
    the lowest rung are the ones whose intervals leave the ladder, so giving them larger errors than
    their neighbours would weight points by their outcome.
    """
    size = rows["finetune_bytes"].to_numpy(dtype=float)
    low = size + rows["transferred_low_bytes"].to_numpy(dtype=float)
    high = size + rows["transferred_high_bytes"].to_numpy(dtype=float)
    normal = ndtri((1 + rows["confidence"].to_numpy(dtype=float)) / 2)
    error = np.log(high / low) / (2 * normal)
    inside = ((rows["low_range"] == "inside") & (rows["high_range"] == "inside")).to_numpy(
        dtype=bool
    )
    if np.isfinite(error).any():
        whole = pd.Series(np.where(inside, error, np.nan))
        middle = whole.groupby(size).transform("median").to_numpy()
        widest = np.nanmax(whole) if inside.any() else np.nanmax(error)
        error = np.where(inside, error, np.where(np.isfinite(middle), middle, widest))
    return np.asarray(error)


def by_model(
    effective: pd.DataFrame, parameters: Mapping[str, int] | None
) -> Iterator[tuple[str, pd.DataFrame, Floats | None]]:
    """Rows of every model, and last those of all models with their N, if several N are known.

    `InputError` if `parameters` lacks a model.
    """
    for model, rows in effective.groupby("model", sort=True):
        yield str(model), rows, None
    models: Sequence[str] = sorted(effective["model"].unique())
    if parameters is None or len(models) < 2:
        return
    lacking = [model for model in models if model not in parameters]
    if lacking:
        raise bad("parameters", "a number for every model", f"none for {', '.join(lacking)}")
    if len({parameters[model] for model in models}) > 1:
        yield ALL, effective, effective["model"].map(parameters).to_numpy(dtype=float)
