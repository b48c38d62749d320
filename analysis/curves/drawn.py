"""Mean curves of one target and size, as a figure needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.curves.crossover import Points
from analysis.curves.curve import Curve, curve_of, log_losses_at
from raydt.tracking.schema import Stage, Status

MOST_DRAWN = 6  # targets: a figure each
_NUM_PLACES = 120


@dataclass(frozen=True, eq=False)
class DrawnCurves:
    """Losses of one model, target and size: scratch, and finetuned by source.

    Each side is (bytes seen, nats per byte), both (P,), the geometric mean over seeds.
    """

    model: str
    target: str
    size: str
    finetune_bytes: int
    scratch: tuple[Floats, Floats]
    tuned: dict[str, tuple[Floats, Floats]]


def drawn_curves(
    cells: pd.DataFrame, points: Mapping[str, Points], crossings: pd.DataFrame
) -> list[DrawnCurves]:
    """The largest size of each model and target in a table of crossovers, at most `MOST_DRAWN`."""
    done = cells[cells["status"] == Status.DONE]
    found: list[DrawnCurves] = []
    for (model, target), rows in crossings.groupby(["model", "target"], sort=True):
        size = rows["finetune_bytes"].max()
        alike = done[
            (done["model"] == model) & (done["target"] == target) & (done["size_bytes"] == size)
        ]
        scratch = _mean(alike[alike["stage"] == Stage.SCRATCH], points)
        tuned = {
            str(source): mean
            for source, mine in alike[alike["stage"] == Stage.FINETUNE].groupby("source")
            if (mean := _mean(mine, points)) is not None
        }
        if scratch is not None and len(found) < MOST_DRAWN:
            label = str(rows.loc[rows["finetune_bytes"] == size, "size"].iloc[0])
            found.append(DrawnCurves(str(model), str(target), label, int(size), scratch, tuned))
    return found


def _mean(rows: pd.DataFrame, points: Mapping[str, Points]) -> tuple[Floats, Floats] | None:
    curves: Sequence[Curve] = [c for run in rows["run_id"] if (c := curve_of(points.get(run, ())))]
    if not curves:
        return None
    first = min(float(c.num_bytes[c.num_bytes > 0][0]) for c in curves)
    places = np.geomspace(first, max(c.end_bytes for c in curves), _NUM_PLACES)
    # No mean before every seed has been evaluated.
    losses = np.exp(log_losses_at(curves, places).mean(axis=0))
    return places[np.isfinite(losses)], losses[np.isfinite(losses)]
