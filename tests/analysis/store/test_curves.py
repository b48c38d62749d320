"""Validation curves out of a real store: from its tables, through its client, and into the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Metric

from analysis.analyze import analyze
from analysis.store.api import ApiReader
from analysis.store.curves import read_curves
from analysis.store.read import read_sweep
from raydt.tracking import schema
from raydt.tracking.schema import Stage
from tests.analysis.planted import Cell
from tests.analysis.planted_store import Store

STEPS = (1e3 * 1.5 ** np.arange(15)).astype(int)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A ladder of three rungs, a pretrain and its finetunes, two seeds, with their curves."""
    found = Store(tmp_path)
    cells = []
    for seed in (0, 1):
        pretrain = Cell(Stage.PRETRAIN, "en", None, 10**6, seed)
        cells.append(pretrain)
        for size in (2_000, 8_000, 32_000):
            cells.append(Cell(Stage.SCRATCH, None, "de", size, seed, loss=30 * size**-0.3))
            cells.append(Cell(Stage.FINETUNE, "en", "de", size, seed, loss=25 * size**-0.3))
    found.launch("sweep", cells)
    for number, cell in enumerate(cells):
        run_id = found.cell("sweep", cell)
        found.client.log_param(run_id, schema.PARAM_FLOPS_PER_BYTE, "1000000")
        if cell.stage is Stage.PRETRAIN:
            continue
        scale, power = (100.0, 0.5) if cell.stage is Stage.SCRATCH else (5.0, 0.2)
        losses = scale * STEPS.astype(float) ** -power * (1 + 0.01 * (number % 3))
        rows = zip(STEPS, losses, strict=True)
        found.client.log_batch(
            run_id, [Metric(schema.METRIC_VAL_LOSS, float(v), 0, int(s)) for s, v in rows]
        )
    return found


def test_the_tables_and_the_client_give_the_same(store: Store) -> None:
    runs = read_sweep(store.uri, "sweep")
    wanted = {r.run_id for r in runs.cells if r.params[schema.PARAM_STAGE] != Stage.PRETRAIN}
    points, note = read_curves(store.uri, runs.experiment_id, wanted)
    assert note == ""
    assert points.keys() == wanted
    assert all([b for b, _ in rows] == list(STEPS) for rows in points.values())
    client = ApiReader(store.client)
    assert dict(client.curves(runs.experiment_id, sorted(wanted)[:2])) == {
        run: points[run] for run in sorted(wanted)[:2]
    }


def test_the_page_says_when_scratch_is_ahead(store: Store, tmp_path: Path) -> None:
    found = analyze(store.uri, "sweep", tmp_path / "report", log_to_store=False)
    assert len(found.crossovers) == 3
    inside = found.crossovers[found.crossovers["scratch_ahead_range"] == "inside"]
    known = 20 ** (1 / 0.3)
    assert inside["scratch_ahead_bytes"].tolist() == pytest.approx([known] * 3, rel=0.1)
    assert inside["scratch_ahead_flops"].tolist() == pytest.approx([known * 1e6] * 3, rel=0.1)
    page = found.report_path.read_text()
    assert "Scratch, or pretrain and finetune?" in page
    assert "scratch ahead from" in page
    assert (tmp_path / "report" / "crossovers.csv").exists()
    (figure,) = (tmp_path / "report" / "figures").glob("crossover-*.svg")
    drawn = figure.read_text()
    assert "10¹⁰" in drawn
    assert "mathdefault" not in drawn, "TeX that nobody sets"


def test_a_store_without_curves_has_no_such_section(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cells = [
        Cell(stage, source, "de", size, loss=30 * size**-0.3)
        for size in (2_000, 8_000)
        for stage, source in ((Stage.SCRATCH, None), (Stage.FINETUNE, "en"))
    ]
    store.write("sweep", cells)
    found = analyze(store.uri, "sweep", tmp_path / "report", log_to_store=False)
    assert found.crossovers.empty
    assert "Scratch, or pretrain" not in found.report_path.read_text()
