"""The answer in the store: what a person finds on the launch's page and beside each cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.reuse import analyzed
from raydt.tracking import schema


def test_the_launch_tells_the_answer_and_cells_their_transfer(
    store: Any, make_cell: Any, tmp_path: Path
) -> None:
    ladder = ((8_000, 2.0), (32_000, 1.5), (128_000, 1.2))
    cells = [make_cell("scratch", None, "de", size, loss=loss) for size, loss in ladder]
    cells.append(make_cell("finetune", "en", "de", 8_000, loss=1.7))
    cells.append(make_cell("finetune", "zh", "de", 8_000, loss=1.0))  # off the ladder: a bound
    store.write("told", cells)
    analysis, _ = analyzed(store.uri, "told", tmp_path / "report")
    assert analysis.logged, analysis.notes
    launch = store.client.get_run(analysis.launch_run_id)
    row = analysis.effective.set_index("source").loc["en"]
    name = f"D_T/de {row['size']} from en"
    assert launch.data.metrics == {name: round(row["transferred_bytes"])}
    note = launch.data.tags[schema.TAG_NOTE]
    assert analysis.answer.headline in note
    assert "| de |" in note
    runs = {
        run.data.params["source"]: run.data.metrics
        for run in store.client.search_runs([analysis.experiment_id], "params.stage = 'finetune'")
    }
    assert runs["en"][schema.METRIC_TRANSFERRED_BYTES] == round(row["transferred_bytes"])
    assert runs["en"][schema.METRIC_EFFECTIVE_BYTES] == round(row["effective_bytes"])
    assert schema.METRIC_TRANSFERRED_BYTES not in runs["zh"], "a bound is no number"
    # What was written makes no new analysis.
    assert analyzed(store.uri, "told", tmp_path / "report")[1]
