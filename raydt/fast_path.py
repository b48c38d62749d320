"""The door to `raydt/cpu`, the CPU's fast path: all of it can be switched off, or deleted.

Whoever has a faster way in that folder asks here for it, and goes by the plain formulas where the
answer is None: the folder is not there, or the environment has RAYDT_CPU_FAST_PATH=0. Nothing else
imports from it, and a test runs the core of the suite without it. What each part buys is a table
in docs/model.md, which benchmarks/fast_path.py makes.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_FOLDER = "raydt.cpu"
_is_on = os.environ.get("RAYDT_CPU_FAST_PATH") != "0"


def fast_path(part: str) -> ModuleType | None:
    """The module `part` of the folder; None where there is no fast path."""
    return _module(part) if _is_on else None


@contextmanager
def switched_off() -> Iterator[None]:
    """The plain formulas, in this process: to compare with."""
    global _is_on
    before, _is_on = _is_on, False
    try:
        yield
    finally:
        _is_on = before


@functools.cache
def _module(part: str) -> ModuleType | None:
    name = f"{_FOLDER}.{part}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in (_FOLDER, name):
            return None
        raise  # of something that the module itself needs
