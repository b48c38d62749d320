"""docs/controlled.md says what its commands say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raydt.corpora.controlled.__main__ import main
from raydt.corpora.controlled.catalog import LANGUAGES, language_surface
from raydt.corpora.controlled.scripts import SCRIPTS

PAGE = (Path(__file__).parents[3] / "docs" / "controlled.md").read_text()
SAMPLES = re.findall(
    r"```\n\$ python -m raydt\.corpora\.controlled *([^\n]*)\n(.*?)\n```", PAGE, flags=re.DOTALL
)


@pytest.mark.parametrize(("names", "shown"), SAMPLES)
def test_samples_are_what_the_command_prints(
    names: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(names.split()) == 0
    assert capsys.readouterr().out.rstrip() == shown


def test_the_page_has_samples_and_all_names() -> None:
    assert len(SAMPLES) >= 4
    assert all(name in PAGE for name in LANGUAGES)
    assert all(script.capitalize() in PAGE for script in SCRIPTS)


def test_the_words_of_the_pair_are_theirs() -> None:
    rows = re.findall(r"^\| \w+ \| (\w+) \| (\w+) \| .+ \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) >= 5
    lusa, hispa = (language_surface(name, 0).words for name in ("lusa", "hispa"))
    assert set(rows) - {("lusa", "hispa")} <= set(zip(lusa, hispa, strict=True))
