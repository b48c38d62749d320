"""The guides in `docs/places`: the same headings in each, commands that there are, lines that may
be uncommented, and what README's table names."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from raydt.cli import COMMANDS

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((ROOT / "docs" / "places").glob("*.md"))
HEADINGS = ["Start", "Submit", "Watch", "Fetch", "Stop", "Cost", "Access"]
MPS = "CUDA_MPS_LOG_DIRECTORY=/tmp/nvidia-mps-log nvidia-cuda-mps-control -d"


def commands(page: Path) -> list[str]:
    """Of its blocks and its sentences, each in a line, without comments."""
    text = page.read_text()
    blocks = re.findall(r"```text\n(.*?)```", text, flags=re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    inline = [" ".join(each.split()) for each in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    return [re.split(r"\s+#", line)[0].strip() for line in [*lines, *inline]]


def words_behind(program: str) -> list[list[str]]:
    """Those of each of its commands on any page, also of one that is handed to another; a name
    alone is none."""
    found = []
    for page in PAGES:
        for command in commands(page):
            for part in re.findall(rf"(?:^|['\s]){program} ([a-z-][^']+)", command):
                found.append([word for word in shlex.split(part) if word != "..."])
    return [words for words in found if len(words) > 1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_has_the_same_headings(page: Path) -> None:
    found = re.findall(r"^## (.+)$", page.read_text(), flags=re.M)
    assert found[: len(HEADINGS)] == HEADINGS
    assert set(found[len(HEADINGS) :]) <= {"What was tested"}


def test_every_command_of_raydt_parses() -> None:
    found = words_behind("raydt")
    assert {words[0] for words in found} >= {
        "submit",
        "logs",
        "status",
        "analyze",
        "stop",
        "resume",
    }
    for name, *words in found:
        command = COMMANDS[name]
        parser = import_module(f"raydt.commands.{command.module}").make_parser(name, command.about)
        parser.read(words)


def test_every_sweep_parses() -> None:
    grid = import_module("raydt.commands.grid").make_parser("sweeps/grid.py", "")
    found = words_behind(r"\S*sweeps/grid.py")
    assert len(found) >= 4
    for words in found:
        grid.read([word for word in words if word != "--"])


def test_every_command_of_ray_parses() -> None:
    found = words_behind("ray")
    assert {words[0] for words in found} >= {"up", "down", "exec", "attach", "dashboard"}
    for words in found:
        if words[0] == "exec":
            words.append("a command, which stands between quotes")
    program = """
import json, sys
from ray.scripts.scripts import cli
for name, *words in json.loads(sys.argv[1]):
    cli.commands[name].make_context(name, words)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(found)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-1000:]


def test_the_table_of_the_readme_names_every_page_and_file() -> None:
    rows = re.findall(
        r"^\| \[.+\]\((docs/places/.+?)\) \| (.+?) \|", (ROOT / "README.md").read_text(), re.M
    )
    assert sorted(ROOT / page for page, _ in rows) == PAGES
    named = {name for _, files in rows for name in re.findall(r"`(.+?)`", files)}
    there = {f"cluster/{path.name}" for path in (ROOT / "cluster").iterdir()} | {"cluster.yaml"}
    assert named == there - {"cluster/setup.sh"}, "all but what the others share"


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster/gcp.yaml"])
def test_mps_is_a_line_to_uncomment(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text.count(f"  # - {MPS}\n") == 1
    on = yaml.safe_load(text.replace(f"# - {MPS}", f"- {MPS}"))
    stop, mps, *_, start = on["worker_start_ray_commands"]
    assert (stop, mps) == ("ray stop", MPS)
    assert "ray start" in start, "and Ray after it"
