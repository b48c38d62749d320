"""Two public tables of losses, where they are present: they import, analyse, and their reports say
what cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.cli import main

# An import is a few transactions a cell: 770 of them take a minute of CPU.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


def imported_and_analysed(
    file: Path, folder: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[str, str]:
    """What the import and the analysis print."""
    storage = str(folder / "runs")
    if not file.exists():
        pytest.skip(f"{file} is not there")
    assert main(["import", str(file), "--sizes", "nominal", "--storage", storage, *words]) == 0
    said = capsys.readouterr().out
    assert main(["analyze", "--storage", storage, "--out", str(folder / "report")]) == 0
    assert (folder / "report" / "report.html").exists()
    return said, " ".join(capsys.readouterr().out.split())


def test_open_lm(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shared / "field" / "open_lm_losses.csv"
    said, report = imported_and_analysed(file, tmp_path, capsys)
    assert "170 cells" in said
    assert "One seed" in report
    assert "is not monotone" in report
    assert "has one rung" in report


def test_gemstones(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shared / "field" / "gemstones_losses.jsonl"
    words = "--column loss=final_loss --column size_bytes=tokens --column model=run_name".split()
    words += "--set stage=scratch --set target=en".split()
    said, report = imported_and_analysed(file, tmp_path, capsys, *words)
    assert "770 cells" in said
    assert "ignored columns: step" in said
    assert "One seed" in report
    assert "is not monotone" in report
