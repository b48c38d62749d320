"""What a report has of the validation curves in a sweep's store: crossovers, bilingual scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.curves.bilingual import bilingual_scores
from analysis.curves.crossover import crossovers
from analysis.curves.drawn import DrawnCurves, drawn_curves
from analysis.store.curves import read_curves


@dataclass(frozen=True)
class Crossed:
    """crossings: columns of `analysis.curves.crossover.CROSSOVER_COLUMNS`; bilingual: those of
    `analysis.curves.bilingual.BILINGUAL_COLUMNS`; note: what a reader must know about how they were
    read, or ""."""

    crossings: pd.DataFrame
    bilingual: pd.DataFrame
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
    """Crossovers and bilingual scores of cells from the curves of `run_ids`.

    Hundreds of thousands of evaluations are read here and not passed on. `InputError` if the store
    cannot be read.
    """
    points, note = read_curves(store_uri, experiment_id, run_ids)
    crossings = crossovers(cells, points, confidence, flops_per_byte)
    bilingual = bilingual_scores(cells, points, confidence)
    return Crossed(crossings, bilingual, drawn_curves(cells, points, crossings), note)
