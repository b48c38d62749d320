"""`--hparams FILE`: over the defaults and `--sweep`, under the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweep_words import problems, read

GOOD = '[protocol.scratch]\nlearning_rate = 0.3\nbudget_bytes = "9k"\n[found]\nmodel = "nano"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "hparams.toml"
    path.write_text(text)
    return str(path)


def test_later_wins(tmp_path: Path) -> None:
    hparams = written(tmp_path, GOOD)
    sweep = tmp_path / "sweep.toml"
    sweep.write_text("[protocol.scratch]\nlearning_rate = 0.1\nweight_decay = 0.7\n")
    recipe = read("--sweep", str(sweep), "--hparams", hparams).protocol.scratch
    assert (recipe.learning_rate, recipe.weight_decay) == (0.3, 0.7)
    assert recipe.budget_bytes.num_bytes == 9_000
    typed = read("--hparams", hparams, "--protocol.scratch.learning-rate", "0.5").protocol.scratch
    assert (typed.learning_rate, typed.budget_bytes.num_bytes) == (0.5, 9_000)
    assert typed.clip_norm == 1.0


def test_a_file_for_another_model_is_refused(tmp_path: Path) -> None:
    (problem,) = problems("--hparams", written(tmp_path, GOOD), "--models", "micro")
    assert "the model of the sweep, micro, got some for nano" in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("protocol = [", "valid TOML"),
        ("", "found.model"),
        ('[found]\nmodel = "nano"\n', "protocol: expected tables such as"),
        (GOOD.replace("0.3", "-1"), "protocol.scratch.learning_rate: expected more than 0, got -1"),
        (
            GOOD.replace("0.3", "inf"),
            "protocol.scratch.learning_rate: expected a finite number, got inf",
        ),
        (
            GOOD.replace("learning_rate", "learning_rte"),
            "protocol.scratch.learning_rte: unknown field (did you mean learning_rate?)",
        ),
        (GOOD + "[more]\n", "more: unknown table (it has the tables protocol and found)"),
        (
            GOOD.replace("[protocol.scratch]", "[protocol]\nscratch = 3\n[x]"),
            "protocol.scratch: expected a table",
        ),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, said: str, tmp_path: Path) -> None:
    found = problems("--hparams", written(tmp_path, text))
    assert any(said in problem for problem in found), found


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (problem,) = problems("--hparams", str(tmp_path / "none.toml"))
    assert problem == f"--hparams {tmp_path / 'none.toml'}: expected a TOML file, got no file"


def test_problems_of_both_files_and_the_options_are_said_together(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.toml"
    sweep.write_text("sede = 3\n")
    found = problems(
        "--sweep", str(sweep), "--hparams", written(tmp_path, "x = ["), "--patince", "3"
    )
    assert len(found) == 3
