"""What `--help` shows: in groups, the most wanted first, and within the terminal."""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module

import pytest

from raydt.cli import COMMANDS, SCRIPTS, main, script_main
from raydt.config.fields import FIELDS
from raydt.config.protocol import RECIPES


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    name, *options = words
    start = partial(script_main, name, options) if name in SCRIPTS else partial(main, words)
    with pytest.raises(SystemExit) as ended:
        start()
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True, params=[80, 120])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def options(text: str) -> list[str]:
    return re.findall(r"^  (?:-\w, )?(--\S+)", text, re.MULTILINE)


def test_help_shows_what_most_people_want_in_the_order_they_want_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, "sweeps/grid.py", "--help")
    groups = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert groups == [
        "Look first",
        "Narrow the intervals",
        "What to measure",
        "Where it goes",
        "How it runs",
        "From files",
        "Help",
    ]
    found = options(text)
    assert set(found) == {
        *(field.option for field in FIELDS if len(field.path) == 1),
        *"--dry-run --all --until --budget --sweep --hparams --help --help-all".split(),
    }
    assert len(found) == len(set(found))
    first = "--dry-run --all --until --budget --corpus --sources --targets --sizes"
    assert found[:8] == first.split()
    assert found.index("--models") < found.index("--name") < found.index("--slots")
    assert "--test-bytes 64k" in " ".join(text.split()), "an example of what --help-all has"


def test_help_all_shows_every_field_once_and_what_stages_share_once_for_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = options(shown(capsys, "sweeps/grid.py", "--help-all"))
    stages = {field.path[-1] for field in FIELDS if len(field.path) == 3}
    expected = [field.spellings[0] for field in FIELDS if len(field.path) < 3]
    expected += ["--STAGE." + name.replace("_", "-") for name in stages]
    expected += "--dry-run --all --until --budget --sweep --hparams --help --help-all".split()
    assert sorted(found) == sorted(expected)
    assert len(FIELDS) == len(expected) - 8 + (len(RECIPES) - 1) * len(stages)


def test_defaults_are_shown_and_two_where_the_demo_has_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = " ".join(shown(capsys, "plan", "--help-all").split())
    for default in (
        "[related alba brio lusa hispa unrelated]",
        "[2k]",
        "[400k of controlled languages, else 800k]",
        "[600]",
        "[0.01; on text of your own 0.003]",
        "[8k; on text of your own auto]",
        "[4 in pretrain, 2 in scratch and finetune; on text of your own 2]",
    ):
        assert default in text


@pytest.mark.parametrize(
    "words",
    [
        *([name, "--help"] for name in (*COMMANDS, *SCRIPTS)),
        *([name, "--help-all"] for name in ("plan", "run", "hparams", *SCRIPTS)),
    ],
    ids=" ".join,
)
def test_help_fits_the_terminal(
    words: list[str], columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, *words)
    assert max(map(len, text.splitlines())) <= columns
    assert "==SUPPRESS==" not in text


def test_the_overview_has_every_command_and_fits(
    columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert re.findall(r"^  ([a-z]\S*)", text, re.MULTILINE) == list(COMMANDS)
    assert max(map(len, text.splitlines())) <= columns
    assert main([]) == 2
    assert capsys.readouterr().err == text


def test_a_misspelt_command_is_told_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["statsu"]) == 2
    assert "(did you mean status?); found 'statsu'" in capsys.readouterr().err


def test_every_command_has_its_module() -> None:
    for command in (*COMMANDS.values(), *SCRIPTS.values()):
        module = import_module(f"raydt.commands.{command.module}")
        assert callable(module.make_parser)
        assert callable(module.run)
