"""What is wrong with the words of a command that takes no sweep: all of it, in raydt's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.cli import main, script_main


def errors(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return [line.removeprefix("error ") for line in captured.err.splitlines()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "analyze --confidence x --estimatr y",
            [
                "--confidence: expected a number, got 'x'",
                "--estimatr: unknown option (did you mean --estimator?)",
            ],
        ),
        (
            "analyze a b --confidence --estimator law",
            [
                "--confidence: expected a value, got nothing",
                "command line: expected options, and no more than NAME, got b",
            ],
        ),
        ("corpora extra", ["command line: expected options only, got extra"]),
        (
            "prepare --jobs 1.5",
            ["--jobs: expected an integer, got '1.5'", "--corpus: expected a value, got nothing"],
        ),
        ("prepare --corpus", ["--corpus: expected a value, got nothing"]),
        (
            "prepare --corpus c --languages",
            ["--languages: expected at least one value, got nothing"],
        ),
        ("import", ["FILE: expected a file, got nothing"]),
        ("import x.csv --size", ["--size: expected a value, got nothing"]),
        ("retry", ["PATTERN: expected a value, got nothing"]),
        ("rm --yes=3", ["--yes: expected no value, got '3'"]),
        (
            "logs -x",
            [
                "-x: unknown option (`raydt logs --help` lists them)",
                "NAME: expected a value, got nothing",
            ],
        ),
        ("submit", ["SCRIPT: expected a value, got nothing"]),
        ("run --recorded", ["--recorded: expected a value, got nothing"]),
    ],
)
def test_all_problems_in_raydts_words(
    words: str, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert errors(capsys, *words.split()) == said


def test_so_are_those_of_a_scripts_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--trials --at 3x --out --budget some --slots x"
    assert script_main("sweeps/hparams.py", words.split()) == 2
    found = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    own = ["error --at", "error --budget", "error --trials", "error --out"]
    assert sorted(found) == sorted([*own, "error slots"])


def test_all_cells_are_shown_and_not_trained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: object) -> int:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr("raydt.commands.grid.train", never)
    assert script_main("sweeps/grid.py", ["--all"]) == 0
    assert capsys.readouterr().out.count("→") == 168 - 12


def test_unknown_columns_are_passed_over_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("stage,target,size,loss,colour,weight\nscratch,de,8k,1,red,3\n")
    assert main(("import", str(file), "--dry-run")) == 0
    assert "Note: ignored columns: colour, weight." in capsys.readouterr().out
