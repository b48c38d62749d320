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
                "--confidence: a number; found 'x'",
                "--estimatr: an option (did you mean --estimator?); found no such option",
            ],
        ),
        (
            "analyze a b --confidence --estimator law",
            [
                "--confidence: a value; found nothing",
                "command line: options, and no more than NAME; found b",
            ],
        ),
        ("corpora extra", ["command line: options only; found extra"]),
        (
            "prepare --jobs 1.5",
            ["--jobs: an integer; found '1.5'", "--corpus: a value; found nothing"],
        ),
        ("prepare --corpus", ["--corpus: a value; found nothing"]),
        ("prepare --corpus c --languages", ["--languages: at least one value; found nothing"]),
        ("import", ["FILE: a file; found nothing"]),
        ("import x.csv --size", ["--size: a value; found nothing"]),
        ("retry", ["PATTERN: a value; found nothing"]),
        ("rm --yes=3", ["--yes: no value; found '3'"]),
        (
            "logs -x",
            [
                "-x: an option (`raydt logs --help` lists them); found no such option",
                "NAME: a value; found nothing",
            ],
        ),
        ("submit", ["SCRIPT: a value; found nothing"]),
        ("run --recorded", ["--recorded: a value; found nothing"]),
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
    assert "Note: columns that are not read: colour, weight." in capsys.readouterr().out
