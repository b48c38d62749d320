"""An analysis is taken up again only where nothing has changed, and never when something has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import reuse
from analysis.reuse import analyzed
from raydt.cli import main
from raydt.tracking import schema


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAYDT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "analyses"


def test_the_second_time_it_is_there_until_something_changes(
    store: Any,
    make_cell: Any,
    change: Any,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = [
        make_cell("scratch", None, "de", size, loss=loss)
        for size, loss in ((8_000, 2.0), (32_000, 1.5))
    ]
    cells.append(make_cell("finetune", "en", "de", 8_000, loss=1.7))
    store.write("again", cells)
    out = tmp_path / "report"

    def run(**options: Any) -> tuple[Any, bool]:
        return analyzed(store.uri, "again", out, log_to_store=False, **options)

    first, reused = run()
    assert not reused
    again, reused = run()
    assert reused
    pd.testing.assert_frame_equal(again.effective, first.effective)
    assert (again.alarms, again.report_path) == (first.alarms, first.report_path)

    # Options, the report, a run, the plan and the source: each makes it anew, once.
    assert not run(confidence=0.8)[1]
    assert not run()[1]  # the report on disk was that of the other confidence
    first.report_path.write_text("edited")
    assert not run()[1]
    assert run()[1]
    tuned = next(
        run_
        for run_ in reuse.read_sweep(store.uri, "again").cells
        if run_.params["stage"] == "finetune"
    )
    store.client.log_metric(tuned.run_id, schema.METRIC_TEST_LOSS, 1.6)
    changed, reused = run()
    assert not reused
    assert changed.effective["loss"].tolist() == [pytest.approx(1.6)]
    assert run()[1]
    store.cell("again", change(cells[0], seed=1))
    assert not run()[1]
    store.launch("again", cells)
    assert not run()[1]
    assert run()[1]
    monkeypatch.setattr(reuse, "_sources", lambda: [Path(__file__)])
    assert not run()[1]

    # What the claims read of prepared corpora is a fact like the others.
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    assert not run(corpora_dir=corpora)[1]
    (corpora / "manifest.json").write_text('{"language": "en"}')
    assert not run(corpora_dir=corpora)[1]
    assert run(corpora_dir=corpora)[1]


def test_what_was_found_is_told_before_anything_is_written(
    store: Any, make_cell: Any, cache: Path, tmp_path: Path
) -> None:
    sizes = ((8_000, 2.0), (32_000, 1.5))
    store.write(
        "early", [make_cell("scratch", None, "de", size, loss=loss) for size, loss in sizes]
    )
    out = tmp_path / "report"
    told: list[tuple[str, bool]] = []

    def hears(found: Any) -> None:
        told.append((found.answer.headline, out.exists()))

    for _ in range(2):
        done, unchanged = analyzed(store.uri, "early", out, on_computed=hears, log_to_store=False)
        assert told == [(done.answer.headline, False)]
    assert unchanged, "what was told before is for the caller to tell again"


def test_an_entry_that_is_broken_is_made_anew_and_old_ones_go(
    store: Any, make_cell: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("broken-cache", [make_cell("scratch", None, "de", 8_000)])
    monkeypatch.setattr(reuse, "KEPT_ENTRIES", 2)
    for confidence in (0.5, 0.6, 0.7):
        folder = tmp_path / str(confidence)
        analyzed(store.uri, "broken-cache", folder, log_to_store=False, confidence=confidence)
    entries = list(cache.glob("*"))
    assert len(entries) == 2
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:100])
    folder = tmp_path / "0.7"
    again = {"log_to_store": False, "confidence": 0.7}
    assert not analyzed(store.uri, "broken-cache", folder, **again)[1]
    assert analyzed(store.uri, "broken-cache", folder, **again)[1]


def test_reading_a_sqlite_store_needs_neither_mlflow_nor_figures() -> None:
    program = (
        "import sys, analysis.reuse, analysis.table\n"
        "found = {'mlflow', 'matplotlib', 'sqlalchemy', 'torch', 'ray'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_cache_that_others_can_write_to_is_not_unpickled(
    store: Any, make_cell: Any, cache: Path, tmp_path: Path
) -> None:
    store.write("open", [make_cell("scratch", None, "de", size) for size in (8_000, 32_000)])

    def reused() -> bool:
        return analyzed(store.uri, "open", tmp_path / "report", log_to_store=False)[1]

    assert not reused()
    assert reused()
    cache.chmod(0o777)
    assert not reused()
    cache.chmod(0o700)
    assert reused()


def test_the_command_reads_the_grids_of_every_launch(
    store: Any, make_cell: Any, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = ((8_000, 2.0), (32_000, 1.5))
    cells = [make_cell("scratch", None, "de", size, loss=loss) for size, loss in losses]
    store.write("grown", [*cells, make_cell("finetune", "en", "de", 8_000, loss=1.7)])
    store.launch("grown", [make_cell("scratch", None, "de", 128_000)])
    words = ["analyze", "grown", "--store", store.uri, "--out", str(tmp_path / "report")]
    for more, counted in (([], "0 of 1 cells done"), (["--every-launch"], "3 of 4 cells done")):
        assert main([*words, *more]) == 0
        assert f"grown · {counted}" in capsys.readouterr().out
