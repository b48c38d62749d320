"""How far the finetunes of each source deviate from the transfer law of their target."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.laws.additive import Points, fitted
from analysis.laws.draws import PLACES, TransferDraws
from analysis.laws.points import error_log


def trajectories(
    rows: pd.DataFrame, number: Floats | None, sources: Floats, draws: TransferDraws | None
) -> tuple[Floats, Floats, tuple[Floats, Floats] | None, int]:
    """Deviations of log k and of alpha from the law of a target, each (S,) over `sources`; those of
    the draws, each (R, S), or None without draws; and the number of points used. `rows` are the
    target's rows of the effective table, `number` their N (parameters of the model).
    """
    none = np.full(len(sources), np.nan)
    size = rows["finetune_bytes"].to_numpy(dtype=float)
    place = rows["range"].map(PLACES).to_numpy(dtype=np.int8)
    used = (size > 0) & ~np.isin(size, size[place != 0])
    logs = np.log(size[used])
    if len(np.unique(logs)) < 2:
        return none, none, None, 0
    columns = [np.ones(len(logs)), logs - logs.mean()]
    if number is not None and len(np.unique(number[used])) > 1:
        columns.append(np.log(number[used]) - np.log(number[used]).mean())
    ratio = rows["transferred_bytes"].to_numpy(dtype=float)[used] / size[used]
    error = error_log(rows)[used]
    error = error if np.isfinite(error).all() and (error > 0).all() else np.ones(len(logs))
    points = Points(
        np.stack(columns, axis=-1),
        logs,
        np.log1p(ratio)[None],
        np.zeros((1, len(logs)), dtype=np.int8),
        error,
        np.ones((1, len(logs))),
    )
    law = fitted(points)
    mean, gradient = points.expected(int(law.sign[0]), law.coefficients[:1])
    outcomes = points.outcome
    drawn = None
    if draws is not None:
        drawn = np.log(np.maximum(1 + draws.transferred_bytes[:, used] / size[used], 1e-12))
        if np.isfinite(drawn).all():
            outcomes = np.concatenate([outcomes, drawn])
        else:
            drawn = None
    residual = outcomes - mean
    level = np.full((len(outcomes), len(sources)), np.nan)
    slope = np.full_like(level, np.nan)
    names = rows["source"].to_numpy()[used]
    weight = gradient[0] ** 2 / error**2
    pulled = residual * gradient[0] / error**2
    for at, source in enumerate(sources):
        mine = names == source
        total = float(weight[mine].sum())
        if total <= 0:
            continue
        level[:, at] = pulled[:, mine].sum(axis=1) / total
        centred = logs[mine] - float((weight[mine] * logs[mine]).sum()) / total
        spread = float((weight[mine] * centred**2).sum())
        if spread > 1e-12 * total:
            slope[:, at] = (pulled[:, mine] @ centred) / spread
    moved = None if drawn is None else (level[1:], slope[1:])
    return level[0], slope[0], moved, int(used.sum())
