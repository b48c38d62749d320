"""Joint cells of a store: scored from their curves, and no part of D_T."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Metric

from analysis.analyze import analyze
from raydt.tracking import schema
from raydt.tracking.schema import Stage
from tests.analysis.planted import Cell, Planted
from tests.analysis.planted_store import Store

STEPS = (1e3 * 1.2 ** np.arange(36)).astype(int)
ALONE = STEPS[STEPS < 100_000]
# How many times the bytes of the target alone: 2 - that is the score.
STRETCH = {"near": 1.2, "far": 2.6}


def write_curve(store: Store, run_id: str, steps: np.ndarray, scale: float) -> None:
    losses = 0.9 + scale * steps**-0.3
    points = zip(steps.tolist(), losses.tolist(), strict=True)
    metrics = [Metric(schema.METRIC_VAL_LOSS, loss, 0, step) for step, loss in points]
    store.client.log_batch(run_id, metrics)


def test_scores_are_read_off_curves_and_d_t_is_what_it_was(store: Store, tmp_path: Path) -> None:
    planted = Planted(seeds=(0, 1), finetune=(8_000,), targets=("de",))
    cells = planted.cells()
    joint = [
        Cell(Stage.JOINT, source, "de", 8_000, seed) for source in STRETCH for seed in planted.seeds
    ]
    store.write("apart", cells)
    without = analyze(store.uri, "apart", tmp_path / "apart", num_resamples=100)
    assert without.bilingual.empty
    launch = store.launch("together", [*cells, *joint])
    random = np.random.default_rng(0)
    runs = {}
    for cell in [*cells, *joint]:
        run_id = runs[cell.cell_id] = store.cell("together", cell)
        luck = float(np.exp(0.01 * random.standard_normal()))
        if cell.stage == Stage.SCRATCH and cell.size_bytes == 8_000:
            write_curve(store, run_id, ALONE, 20 * luck)
        elif cell.stage == Stage.JOINT:
            write_curve(store, run_id, STEPS, 20 * luck * STRETCH[str(cell.source)] ** 0.3)
    found = analyze(store.uri, "together", tmp_path / "report", num_resamples=100)
    scores = found.bilingual.set_index("source")
    for source, stretch in STRETCH.items():
        row = scores.loc[source]
        assert row["range"] == "inside"
        assert row["score"] == pytest.approx(2 - stretch, abs=0.15)
        assert row["low"] < 2 - stretch < row["high"]
        assert row["spared_share"] == pytest.approx(row["score"] / 2)
    pd.testing.assert_frame_equal(found.effective, without.effective)
    pd.testing.assert_frame_equal(found.means, without.means)
    assert found.num_done == found.table.num_expected == len(cells) + len(joint)

    near, far = (f"{scores.loc[name, 'score']:+.2f}" for name in STRETCH)
    (said,) = [each for each in found.answer.per_target if "bilingual" in each]
    assert said.startswith("Trained together from scratch, on 8k of de: ")
    assert said.index(f"near {near}") < said.index(f"far {far}")
    page = found.report_path.read_text(encoding="utf-8")
    assert "Trained together: the bilingual transfer score" in page
    assert f"{near} [" in page
    assert any(path.name == "bilingual.csv" for path in found.tables)
    assert any(path.name.startswith("bilingual-") for path in found.figures)
    for cell in joint:
        logged = store.client.get_run(runs[cell.cell_id]).data.metrics
        assert logged["BTS"] == pytest.approx(scores.loc[str(cell.source), "score"])
    metrics = store.client.get_run(launch).data.metrics
    assert metrics["BTS/de 8k with near"] == pytest.approx(scores.loc["near", "score"])
