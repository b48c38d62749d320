"""Crossovers of a sweep from the validation curves in its store, all that a report has of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.curves.crossover import crossovers
from analysis.curves.drawn import DrawnCurves, drawn_curves
from analysis.store.curves import read_curves


@dataclass(frozen=True)
class Crossed:
    """crossings: columns of `analysis.curves.crossover.CROSSOVER_COLUMNS`; note: what a reader must
    know of how they were read, "" if nothing."""

    crossings: pd.DataFrame
    drawn: list[DrawnCurves]
    note: str


def stored_crossovers(
    store_uri: str,
    experiment_id: str,
    run_ids: Collection[str],
    cells: pd.DataFrame,
    confidence: float,
    flops_per_byte: Mapping[str, float],
) -> Crossed:
    """Crossovers of cells from the curves of `run_ids`.

    Some hundred thousand evaluations are read here and not passed on. `InputError` where the store
    cannot be read.
    """
    points, note = read_curves(store_uri, experiment_id, run_ids)
    crossings = crossovers(cells, points, confidence, flops_per_byte)
    return Crossed(crossings, drawn_curves(cells, points, crossings), note)
