"""Imports run one way (DESIGN.md): read from the source, so that lazy imports count too."""

from __future__ import annotations

import ast
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
    "raydt.errors",
    "raydt.fast_path",
    "raydt.units",
    "raydt.tracking",
    "raydt.tracking.schema",
    "raydt.tracking.uri",
    "analysis",
    "analysis.arrays",
    "analysis.quantiles",
    "analysis.wording",
}
# What each layer may import, besides itself and the leaves.
ALLOWED = {
    "raydt.config": {"raydt.storage"},
    "raydt.storage": set(),
    "raydt.grid": {"raydt.config", "raydt.storage"},
    "raydt.tuning": {"raydt.config", "raydt.grid", "raydt.storage"},
    # The rooms of corpora; the folder itself is the ground that they stand on.
    "raydt.corpora.controlled": {"raydt.corpora"},
    "raydt.corpora.sources": {"raydt.config", "raydt.corpora", "raydt.corpora.controlled"},
    "raydt.corpora.prepared": {"raydt.config", "raydt.corpora"},
    "raydt.corpora.preparing": {
        "raydt.corpora",
        "raydt.corpora.controlled",
        "raydt.corpora.prepared",
        "raydt.corpora.sources",
    },
    "raydt.corpora": set(),
    "raydt.model": {"raydt.config"},
    "raydt.cpu": set(),  # reached by raydt.fast_path alone, which is told its name
    "raydt.tracking": {"raydt.grid", "raydt.storage"},
    "raydt.terminal": {"raydt.config", "raydt.grid", "raydt.storage", "raydt.tuning"},
    "raydt.training": {"raydt.config", "raydt.corpora.prepared", "raydt.model"},
    "raydt.orchestration": {
        "raydt.storage",
        "raydt.config",
        "raydt.grid",
        "raydt.corpora",
        "raydt.corpora.prepared",
        "raydt.corpora.preparing",
        "raydt.corpora.sources",
        "raydt.model",
        "raydt.training",
        "raydt.tracking",
        "raydt.terminal",
        "raydt.tuning",
    },
    # The analysis, as its data flow.
    "analysis.store": set(),
    "analysis.table": {"analysis.store"},
    "analysis.ladder": set(),
    "analysis.laws": {"analysis.ladder"},
    "analysis.estimators": {"analysis.ladder", "analysis.laws"},
    "analysis.uncertainty": {"analysis.ladder", "analysis.laws", "analysis.estimators"},
    "analysis.effective": {"analysis.ladder", "analysis.estimators", "analysis.uncertainty"},
    "analysis.distances": set(),
    "analysis.claims": {"analysis.distances"},
    "analysis.unseen": set(),
    "analysis.alarms": {
        "analysis.table",
        "analysis.ladder",
        "analysis.uncertainty",
        "analysis.unseen",
    },
    "analysis.answer": set(),
    "analysis.result": {
        "analysis.table",
        "analysis.ladder",
        "analysis.laws",
        "analysis.uncertainty",
        "analysis.claims",
        "analysis.alarms",
        "analysis.answer",
    },
    "analysis.report": {
        "analysis.store",
        "analysis.ladder",
        "analysis.laws",
        "analysis.estimators",
        "analysis.claims",
        "analysis.unseen",
        "analysis.alarms",
        "analysis.result",
    },
    "analysis.analyze": {
        "analysis.store",
        "analysis.table",
        "analysis.ladder",
        "analysis.laws",
        "analysis.estimators",
        "analysis.uncertainty",
        "analysis.effective",
        "analysis.claims",
        "analysis.alarms",
        "analysis.answer",
        "analysis.result",
        "analysis.report",
    },
    "analysis.reuse": {"analysis.store", "analysis.result", "analysis.report", "analysis.analyze"},
    "analysis.coverage": {
        "analysis.ladder",
        "analysis.laws",
        "analysis.estimators",
        "analysis.uncertainty",
        "analysis.effective",
    },
}
# Within orchestration folders are layers too: what each may import, besides itself. The modules
# above them (launch, launch_search, start, preflight, sync, cells) may import all of them.
ROOMS = {
    "raydt.orchestration.cluster": set(),
    "raydt.orchestration.run": {"raydt.orchestration.cluster"},
    "raydt.orchestration.grid": {"raydt.orchestration.run"},
    "raydt.orchestration.search": {"raydt.orchestration.run"},
}
# What wires everything together, and may import it.
WIRING = ("raydt.cli", "raydt.__main__", "raydt.commands")
# Heavy libraries, and the only layers that may import them.
HEAVY = {
    "ray": {"raydt.orchestration"},
    "torch": {"raydt.cpu", "raydt.model", "raydt.training", "raydt.orchestration"},
    "mlflow": {"raydt.tracking", "analysis.store", "analysis.report", "analysis.analyze"},
}


# What can be deleted as it is.
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
    return next((name for name in ALLOWED if module == name or module.startswith(name + ".")), None)


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
            assert own in HEAVY[top], f"{module} imports {name}"
        # What has no layer and wires nothing is a leaf.
        if top not in ("raydt", "analysis") or name in LEAVES or is_wiring(module):
            continue
        assert own is not None, f"the leaf {module} imports {name}"
        assert layer(name) in ALLOWED[own] | {own}, f"{module} imports {name}"


def test_imports_have_no_circle() -> None:
    known = dict(modules())
    graph = {module: set(imported(path)) & known.keys() for module, path in known.items()}
    TopologicalSorter(graph).prepare()  # names a circle that it finds


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_orchestration_import_one_way(room: str) -> None:
    for module, path in modules():
        if module == room or module.startswith(f"{room}."):
            for name in imported(path):
                if name.startswith("raydt.orchestration."):
                    there = ".".join(name.split(".")[:3])
                    assert there in ROOMS[room] | {room}, f"{module} imports {name}"


def test_every_folder_has_a_layer() -> None:
    folders = {f"raydt.{path.parent.name}" for path in (ROOT / "raydt").glob("*/__init__.py")}
    corpora = (ROOT / "raydt" / "corpora").glob("*/__init__.py")
    folders |= {f"raydt.corpora.{path.parent.name}" for path in corpora}
    folders |= {
        f"analysis.{path.parent.name}" for path in (ROOT / "analysis").glob("*/__init__.py")
    }
    files = {f"analysis.{path.stem}" for path in (ROOT / "analysis").glob("[!_]*.py")}
    assert folders | files - LEAVES | OPTIONAL == set(ALLOWED) | {"raydt.commands"}
    inner = (ROOT / "raydt" / "orchestration").glob("*/__init__.py")
    assert {f"raydt.orchestration.{path.parent.name}" for path in inner} == set(ROOMS)


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
        "found = {'torch', 'ray', 'mlflow', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
