"""Fixtures: stores and tables of planted sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.alarms.alarm import Alarm
from analysis.alarms.every import alarms
from analysis.effective import Resamples, effective_table
from analysis.ladder import cell_means, ladders
from analysis.laws.ladders import fit_ladders
from analysis.store.plan import NOT_DONE_COLUMNS
from analysis.table import COLUMNS, CellTable
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.units import format_bytes
from tests.analysis.planted import Cell, Planted, curve
from tests.analysis.planted_store import Store

# Columns of the tidy table that are fields of a `Cell`.
_AS_THEY_ARE = (
    "cell_id",
    "stage",
    "source",
    "target",
    "size_bytes",
    "seed",
    "model",
    "status",
    "reason",
    "stopped",
    "precision",
    "unfinished",
    "unseen_share",
    "source_loss",
    "source_loss_rise",
)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for the session; each test that writes takes a sweep name of its own."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="session")
def planted_sweep(store: Store, planted: Planted) -> str:
    """The sweep `planted`, complete, three seeds."""
    store.write("planted", planted.cells())
    return "planted"


@pytest.fixture
def tidy_table() -> Callable[[Iterable[Cell]], pd.DataFrame]:
    """Cells as the tidy table has them, without a store."""

    def made(cells: Iterable[Cell]) -> pd.DataFrame:
        rows = [
            {
                **{name: getattr(cell, name) for name in _AS_THEY_ARE},
                "size": format_bytes(cell.size_bytes),
                "test_loss": cell.loss,
            }
            for cell in cells
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    return made


@pytest.fixture
def raised(tidy_table: Callable[[Iterable[Cell]], pd.DataFrame]) -> Callable[..., list[Alarm]]:
    """The alarms of cells; `seen` gives columns of the tidy table by cell id."""

    def found(cells: Any, seen: dict[str, dict[str, float]] | None = None) -> list[Alarm]:
        table = tidy_table(cells)
        for cell_id, values in (seen or {}).items():
            for name, value in values.items():
                table.loc[table["cell_id"] == cell_id, name] = value
        means = cell_means(table)
        noise = pooled_noise(means)
        random = np.random.default_rng(0)
        drawn = draw_means(means, noise, num_resamples=100, random=random)
        effective = effective_table(means, Resamples(drawn, 0.9))
        by_target = ladders(means)
        _, laws = fit_ladders(by_target, {}, 0.9)
        none = pd.DataFrame(columns=NOT_DONE_COLUMNS)
        whole = CellTable(table, none, len(table), False, [], [])
        return alarms(whole, means, by_target, effective, laws, noise)

    return found


@pytest.fixture
def make_cell() -> Callable[..., Cell]:
    return Cell


@pytest.fixture
def change() -> Callable[..., Cell]:
    return replace


@pytest.fixture
def make_planted() -> Callable[..., Planted]:
    return Planted


@pytest.fixture
def planted_loss() -> Callable[..., float]:
    return curve
