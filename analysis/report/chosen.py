"""Selects the figures of a large grid: as many as a reader looks at.

A grid of ten languages and two models made seventy figures, one of fifty languages would make
hundreds, and nobody looks at the fortieth ladder. The tables have all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis.wording import counted

MOST_MODELS = 4
MOST_SIZES = 6
MOST_TARGETS = 6  # of a model

T = TypeVar("T")


@dataclass(frozen=True)
class Chosen:
    """models and sizes (D_F in bytes): of the maps; targets: by model, of ladders and laws; note:
    what is not drawn, or ""."""

    models: list[str]
    sizes: list[int]
    targets: dict[str, list[str]]
    note: str


def chosen(effective: pd.DataFrame, ladders: Collection[tuple[str, str]]) -> Chosen:
    """Everything, or an even selection from the first to the last.

    Targets are ordered by how much they gain, the mean log of D_E / D_F, so both extremes and what
    lies between are selected. `effective` has the columns of `analysis.effective.COLUMNS`;
    `ladders` are (model, target).
    """
    models = sorted({model for model, _ in ladders} | set(effective["model"]))
    sizes = sorted(int(size) for size in effective["finetune_bytes"].unique())
    taken = _spread(models, MOST_MODELS)
    targets, most = {}, 0
    for model in taken:
        every = _ordered([target for one, target in ladders if one == model], effective, model)
        targets[model] = _spread(every, MOST_TARGETS)
        most = max(most, len(every))
    left_out = [
        f"{MOST_TARGETS} of {counted(most, 'target')} of each model, from the one that gains most "
        "to the one that gains least"
        if most > MOST_TARGETS
        else "",
        f"{MOST_SIZES} of {counted(len(sizes), 'size')}" if len(sizes) > MOST_SIZES else "",
        f"{MOST_MODELS} of {counted(len(models), 'model')}" if len(models) > MOST_MODELS else "",
    ]
    said = "; ".join(filter(None, left_out))
    return Chosen(
        taken,
        _spread(sizes, MOST_SIZES),
        targets,
        f"Figures show {said}. The tables are complete." if said else "",
    )


def source_order(effective: pd.DataFrame, model: str) -> list[str]:
    """The sources of a model, those that give most first: by the mean of log D_E relative to all
    sources of the same target and size. One order for every map of the model."""
    mine = effective[effective["model"] == model]
    log = np.log(mine["effective_bytes"])
    beyond = log - log.groupby([mine["target"], mine["finetune_bytes"]]).transform("mean")
    effect = beyond.groupby(mine["source"]).mean()
    return sorted(effect.index, key=lambda source: (-effect[source], source))


def _ordered(targets: list[str], effective: pd.DataFrame, model: str) -> list[str]:
    """Targets of a model, the one that gains most first."""
    mine = effective[(effective["model"] == model) & (effective["finetune_bytes"] > 0)]
    worth = np.log(mine["effective_bytes"] / mine["finetune_bytes"]).groupby(mine["target"]).mean()
    return sorted(targets, key=lambda target: (-float(worth.get(target, -np.inf)), target))


def _spread(every: Sequence[T], most: int) -> list[T]:
    """At most `most` of them, in order, including the first and the last."""
    if len(every) <= most:
        return list(every)
    places = np.linspace(0, len(every) - 1, most).round().astype(int)
    return [every[place] for place in places.tolist()]
