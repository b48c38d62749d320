"""Documents: links lead somewhere, commands parse, pictures are small and hold README's numbers.

What `tests/test_readme.py` runs is checked here too, and the guides of places by
`tests/cluster/test_places.py`.
"""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from raydt.cli import COMMANDS, SCRIPTS, Command

ROOT = Path(__file__).parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
FENCED = re.compile(r"^```.*?^```", flags=re.M | re.S)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def anchors(page: Path) -> set[str]:
    """Those that GitHub makes of the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), flags=re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).strip().replace(" ", "-") for head in plain}


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", FENCED.sub("", page.read_text("utf-8")))
    return [one or other for one, other in LINK.findall(text)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http:", "https:")):
            continue
        place, _, anchor = link.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def written(page: Path) -> list[tuple[str, Command, list[str]]]:
    """The commands of raydt in a page's blocks for a shell."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), flags=re.M | re.S)
    lines = [
        (line, language)
        for language, text in blocks
        for line in text.replace("\\\n", " ").splitlines()
        if language in ("", "bash", "text")
    ]
    found = []
    for line, language in lines:
        plain = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line)
        if not plain.startswith(("raydt ", "python ")):
            continue
        words = shlex.split(re.split(r" +(?:#|\||&&)", plain)[0])
        if words[:3] == ["python", "-m", "raydt"]:
            words = words[2:]
        if words[0] == "raydt" and words[1] in COMMANDS:
            found.append((f"raydt {words[1]}", COMMANDS[words[1]], words[2:]))
        elif words[1] in SCRIPTS:
            found.append((words[1], SCRIPTS[words[1]], words[2:]))
        else:
            is_other = words[0] == "python" or words[1] == "--version" or language == "text"
            assert is_other, line
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page: Path) -> None:
    for name, command, words in written(page):
        if not {"--help", "--help-all"} & set(words):
            parser = import_module(f"raydt.commands.{command.module}").make_parser(name, "")
            parser.read([word for word in words if word != "..."])


def test_enough_commands_are_found() -> None:
    """A pattern that finds none would let every page pass."""
    assert sum(len(written(page)) for page in PAGES) > 70


def test_pictures_are_small_and_hold_the_numbers_of_the_readme() -> None:
    pictures = [*(ROOT / "docs").rglob("*.svg"), *(ROOT / "docs").rglob("*.png")]
    assert sum(path.stat().st_size for path in pictures) < 1_000_000
    linked = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert {path.resolve() for path in pictures} <= linked
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    for theme in ("light", "dark"):
        picture = (ROOT / "docs" / "pictures" / f"transfer-{theme}.svg").read_text("utf-8")
        shown = re.findall(r"D_T = ([\d.]+) kB +\[([\d.]+) (k?)B, ([\d.]+) kB\]", picture)
        assert len(shown) == 2
        for amount, low, kilo, high in shown:
            assert f"+{amount}k [{low}{kilo}, {high}k]" in readme
