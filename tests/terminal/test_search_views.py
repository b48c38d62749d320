"""What a search whose trials end by themselves shows."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from raydt.terminal.search_outcome import show_found, table_text
from raydt.terminal.search_plan import show_search_plan
from raydt.terminal.search_progress import SearchProgress
from raydt.tracking.schema import Stage
from tests.tuning.test_search_converged import plan_of, run, search_of


def consoles() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=120, highlight=False), out


def test_the_plan_says_what_is_expected_and_what_at_most(tmp_path: Path) -> None:
    console, out = consoles()
    plan = plan_of(tmp_path)
    show_search_plan(plan, console)
    text = " ".join(out.getvalue().split())
    assert "bytes expected, at most" in text
    assert "converges after 25 epochs" in text
    assert "budget bytes" not in text
    assert "--budget" not in text
    show_search_plan(replace(plan, budget_bytes=90_000_000), console)
    assert "at most 90M by --budget" in " ".join(out.getvalue().split())


def test_the_live_view_and_the_outcome(tmp_path: Path) -> None:
    console, out = consoles()
    plan = replace(plan_of(tmp_path), stages=(Stage.SCRATCH,))
    search = search_of(plan)
    run(search, at_most=12)
    progress = SearchProgress(console)
    progress.begin(search)
    trial = search.next()
    assert trial is not None
    search.started(trial)
    progress.started(trial)
    progress.reported(trial, (2_000, 1.5))
    console.print(progress._render())
    assert "of about" in out.getvalue()
    assert "12 runs done before" in out.getvalue()
    search = search_of(plan)
    run(search)
    stages = [search.found[Stage.SCRATCH]]
    show_found(plan, stages, search.bytes_trained, "hparams.toml", {}, console)
    assert "bytes trained, of at most" in out.getvalue()
    # Bytes that were seen on fresh seeds, and no cap.
    rows = table_text(plan, stages).splitlines()
    assert rows[0].split()[-1] == "bytes"
    assert not rows[2].rstrip().endswith(" 200k")
