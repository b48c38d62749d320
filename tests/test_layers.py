"""Imports run one way, as the table of ARCHITECTURE.md says.

They are read from the source, so that lazy imports count too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = {
    "raydt",
    "raydt.cpus",
    "raydt.errors",
    "raydt.fast_path",
    "raydt.gpus",
    "raydt.locks",
    "raydt.units",
    "raydt.tracking",
    "raydt.tracking.schema",
    "raydt.tracking.schema_version",
    "raydt.tracking.server",
    "raydt.tracking.uri",
    "analysis",
    "analysis.arrays",
    "analysis.second_process",
    "analysis.quantiles",
    "analysis.wording",
}
ROW = re.compile(r"^\| `(?P<room>[a-z_.]+)` \| (?P<below>[^|]*)\|")


def module_of(room: str) -> str:
    return room if room.startswith("analysis") else f"raydt.{room}"


def read_table() -> dict[str, set[str]]:
    """What each room may import, besides itself and the leaves; from ARCHITECTURE.md."""
    rows = filter(None, map(ROW.match, (ROOT / "ARCHITECTURE.md").read_text().splitlines()))
    return {
        module_of(row["room"]): set(map(module_of, re.findall(r"`([a-z_.]+)`", row["below"])))
        for row in rows
    }


ALLOWED = read_table()
# What wires everything together, and may import it.
WIRING = ("raydt.cli", "raydt.__main__", "raydt.commands", "raydt.library")
# Heavy libraries, and the only rooms (with those inside) that may import them.
HEAVY = {
    "ray": ("raydt.orchestration",),
    "torch": (
        "raydt.model",
        "raydt.cpu",
        "raydt.training",
        "raydt.orchestration",
        "raydt.export",
        "raydt.probes",
    ),
    "mlflow": (
        "raydt.tracking",
        "raydt.losses",
        "analysis.store",
        "analysis.report",
        "analysis.analyze",
    ),
}
OPTIONAL = {"raydt.cpu"}


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("raydt", "analysis"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path


@cache
def names_of_modules() -> frozenset[str]:
    return frozenset(name for name, _ in modules())


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            # `from raydt.tracking import schema` imports a module too.
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in inner if name in names_of_modules())


def layer(module: str) -> str | None:
    """The innermost room that the module is in."""
    found = [name for name in ALLOWED if module == name or module.startswith(name + ".")]
    return max(found, key=len, default=None)


def is_wiring(module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in WIRING)


def test_a_command_knows_nothing_of_the_command_line_it_is_called_from() -> None:
    for module, path in modules():
        if module.startswith("raydt.commands"):
            assert not any(name.startswith("raydt.cli") for name in imported(path)), module


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: str(value))
def test_imports_run_one_way(module: str, path: Path) -> None:
    own = layer(module)
    for name in imported(path):
        top = name.partition(".")[0]
        if top in HEAVY:
            assert own is not None, f"{module} imports {name}"
            assert own.startswith(HEAVY[top]), f"{module} imports {name}"
        # What has no layer and wires nothing is a leaf.
        if top not in ("raydt", "analysis") or name in LEAVES or is_wiring(module):
            continue
        assert own is not None, f"the leaf {module} imports {name}"
        assert layer(name) in ALLOWED[own] | {own}, f"{module} imports {name}"


def test_imports_have_no_circle() -> None:
    known = dict(modules())
    graph = {module: set(imported(path)) & known.keys() for module, path in known.items()}
    TopologicalSorter(graph).prepare()  # names a circle that it finds


def test_the_table_says_no_more_than_is_so() -> None:
    """An edge that nobody uses would let a circle in unseen."""
    used: dict[str, set[str]] = {room: set() for room in ALLOWED}
    for module, path in modules():
        own = layer(module)
        if own is not None:
            used[own] |= {there for name in imported(path) if (there := layer(name)) is not None}
    for room, below in ALLOWED.items():
        assert below <= used[room], f"{room}: {below - used[room]}"


def test_every_folder_is_a_room() -> None:
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("raydt", "analysis")
        for path in (ROOT / package).rglob("__init__.py")
    }
    # Training is one room with two chambers: what is inside a room is held by the circle test.
    chambers = {name for name in folders if name.startswith("raydt.training.")}
    wiring = {name for name in folders if is_wiring(name)}
    files = {f"analysis.{path.stem}" for path in (ROOT / "analysis").glob("[!_]*.py")} - LEAVES
    rooms = folders - {"raydt", "analysis"} - chambers - wiring
    assert rooms | files | OPTIONAL == set(ALLOWED)


@pytest.mark.parametrize(
    "arguments",
    [
        ["raydt", "--help"],
        ["raydt", "plan"],
        ["raydt", "plan", "--help"],
        ["raydt", "run", "--help-all"],
        ["raydt", "status"],
        ["raydt", "submit", "--help"],
    ],
    ids=" ".join,
)
def test_light_commands_import_neither_torch_nor_ray(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = sys.argv[1:]\n"
        "from raydt.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas'}\n"
        # Which claims a grid can answer, the claims' own tests say.
        "heavy -= {'pandas'} if sys.argv[1:] == ['plan'] else set()\n"
        "found = heavy & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
