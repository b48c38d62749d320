"""`--until` and `--budget`: what is wrong with them is said at once, and nothing is begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.cli import main, script_main
from raydt.config.sweep import Sweep
from raydt.grid.ledger import record_sweep
from raydt.units import parse_seconds

GRID = "sweeps/grid.py"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--until", "1"], "--until: expected a factor of more than 1"),
        (["--until", "0.5"], "--until: expected a factor of more than 1"),
        (["--until", "narrow"], "--until: expected a factor of more than 1"),
        (["--until", "inf"], "--until: expected a factor of more than 1"),
        (["--until", "1.5", "--budget", "0m"], "--budget: expected a time above 0"),
        (["--until", "1.5", "--budget", "soon"], "--budget: expected a time such as 90s"),
        (["--budget", "30m"], "--budget: expected --until as well"),
        (["--until", "1.5", "--seeds", "0"], "--until: expected at least two --seeds"),
    ],
)
@pytest.mark.parametrize("look", [[], ["--dry-run"]])
def test_what_is_wrong_is_said_and_nothing_is_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str, look: list[str]
) -> None:
    assert script_main(GRID, [*words, *look, "--storage", str(tmp_path / "runs")]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_it_is_said_beside_what_is_wrong_with_the_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--until", "1", "--sizes", "none", "--storage", str(tmp_path)]
    assert script_main(GRID, words) == 2
    err = capsys.readouterr().err
    assert "--until" in err
    assert "sizes" in err


def test_refine_needs_a_factor_and_a_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["refine", "nothing", "--storage", str(tmp_path)]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "--until: expected a factor of more than 1, such as 1.5, got nothing" in err
    assert "(no sweep), got 'nothing'" in err


def test_the_plan_says_that_nothing_is_known_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_sweep(Sweep(storage=str(tmp_path)))
    words = ["refine", "demo", "--until", "1.5", "--dry-run", "--storage", str(tmp_path)]
    assert main(words) == 0
    assert "their noise is not known yet" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("2 min", 120), ("1d", 86400)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds
