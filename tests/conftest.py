"""What several test folders need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread per process, as in a slot; a test may set its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Analyses are kept in the tests' own folder, and not in the user's."""
    monkeypatch.setenv("RAYDT_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "raydt-cache"))


@pytest.fixture
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture
def shared() -> Path:
    """The folder of real text beside the checkout; the test is skipped where it is absent."""
    path = Path(os.environ.get("RAYDT_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"no real text: {path} is absent")
    return path
