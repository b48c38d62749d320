"""The CPU's fast path has one door, and nothing changes but time where it is shut or walled up."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# What a cell computes, from bytes to an outcome.
CORE = (
    "tests/model",
    "tests/training/optimizer",
    "tests/training/test_average.py",
    "tests/training/test_evaluate.py",
    "tests/training/test_training.py",
    "tests/test_layers.py::test_every_folder_is_a_room",
)


def test_the_core_of_the_suite_passes_where_the_folder_is_deleted(
    root: Path, tmp_path: Path
) -> None:
    for part in ("raydt", "analysis", "tests"):
        shutil.copytree(
            root / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for file in ("pyproject.toml", "ARCHITECTURE.md"):
        shutil.copy(root / file, tmp_path)
    for part in ("raydt", "tests"):
        shutil.rmtree(tmp_path / part / "cpu", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CORE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_only_the_door_names_the_folder(root: Path) -> None:
    naming = [
        path.relative_to(root / "raydt").as_posix()
        for path in sorted((root / "raydt").rglob("*.py"))
        if any(
            isinstance(node, ast.Constant) and node.value == "raydt.cpu"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    ]
    assert naming == ["fast_path.py"]


@pytest.mark.parametrize(("switch", "found"), [("0", "False"), ("1", "True")])
def test_the_environment_switches_it_off(switch: str, found: str, root: Path) -> None:
    if not (root / "raydt" / "cpu").exists():
        pytest.skip("the folder was deleted: nothing to switch")
    program = (
        "from raydt.fast_path import fast_path, switched_off\n"
        "with switched_off():\n"
        "    assert fast_path('heap') is None\n"
        "print(fast_path('heap') is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(root), "RAYDT_CPU_FAST_PATH": switch},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == found


def test_no_private_function_of_torch_is_called(root: Path) -> None:
    """They change without notice: one that is worth it needs a test of its own.

    `torch._foreach_*` are documented, and tested here with what uses them.
    """
    private = []
    for path in sorted((root / "raydt").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            name = ast.unparse(node)
            is_private = any(
                part.startswith("_") and not part.startswith(("__", "_foreach_"))
                for part in name.split(".")[1:]
            )
            if name.startswith("torch.") and (is_private or name.startswith("torch.ops.")):
                private.append(f"{path.relative_to(root)}: {name}")
    assert private == []
