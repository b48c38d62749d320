from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT
from raydt.grid.ledger import cell_folder
from raydt.grid.result import write_result
from raydt.terminal.outcome import show_outcome
from raydt.terminal.plan import show_plan
from raydt.terminal.progress import Progress
from raydt.tracking.schema import Status
from tests.grid.results import report_of, result_of

SWEEP = Sweep(sources=("related",), targets=("alba",), sizes=("2k",), seeds=(0,), slots=2)


@pytest.fixture
def cells() -> list[Cell]:
    return build_grid(SWEEP)


def consoles() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=80, highlight=False), out


def test_a_line_per_cell_with_loss_and_what_is_left(cells: list[Cell]) -> None:
    console, out = consoles()
    progress = Progress(console)
    progress.begin(cells, cells, {cell.cell_id: 10.0 for cell in cells}, 2)
    progress.started(cells[0].cell_id)
    progress.ended(cells[0].cell_id, result_of(test_bpb=1.25))
    progress.started(cells[1].cell_id)
    diverged = result_of(status=Status.DIVERGED, reason="loss not finite")
    progress.ended(cells[1].cell_id, diverged)
    progress.blocked(cells[2])
    progress.end()
    lines = out.getvalue().splitlines()
    assert lines[0] == "Training 4 cells, 2 at a time"
    assert lines[1].startswith("[1/4] pretrain related s0")
    assert "1.250 bpb" in lines[1]
    assert "left" in lines[1]
    assert "diverged: loss not finite" in lines[2]
    assert "blocked" in lines[3]
    assert len(lines) == 4


def test_the_live_view_counts_and_fits_80_columns(cells: list[Cell]) -> None:
    console, out = consoles()
    progress = Progress(console)
    progress.begin(cells, cells[1:], {cell.cell_id: 10.0 for cell in cells}, 2)
    progress.started(cells[1].cell_id)
    progress.reported(cells[1].cell_id, report_of(12_000, val_bpb=1.5))
    out.seek(0)
    out.truncate()
    console.print(progress._render())
    shown = out.getvalue()
    assert "1 done" in shown
    assert "1 running" in shown
    assert "2 waiting" in shown
    assert "0 failed" in shown
    assert "12 kB" in shown
    assert "1.500" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_plan_says_what_is_done(tmp_path: Path) -> None:
    sweep = SWEEP.model_copy(update={"storage": str(tmp_path)})
    first = build_grid(sweep)[0]
    console, out = consoles()
    show_plan(sweep, console)
    assert "0 done, 4 to do" in out.getvalue()
    assert "assumed" in out.getvalue()
    write_result(cell_folder(sweep, first.cell_id), RESULT, result_of(first.cell_id))
    console, out = consoles()
    show_plan(sweep, console)
    assert "1 done, 3 to do" in out.getvalue()
    assert "measured on cells of this sweep" in out.getvalue()
    assert all(len(line) <= 80 for line in out.getvalue().splitlines())


def test_the_next_command_names_a_storage_that_is_not_the_default(tmp_path: Path) -> None:
    sweep = SWEEP.model_copy(update={"storage": str(tmp_path / "my runs")})
    console, out = consoles()
    statuses = {"a": Status.DONE, "b": Status.FAILED}
    show_outcome(sweep, statuses, 2, {"a": "no answer"}, console)
    shown = out.getvalue().replace("\n", "")
    assert "1 of 2 cells done, 1 failed" in shown
    assert "Not in MLflow yet: 1" in shown
    assert f"--storage '{tmp_path}/my runs'" in shown
