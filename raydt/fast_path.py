"""Access to `raydt/cpu`, the CPU's optional fast path, which can be switched off or deleted.

Callers ask here for a faster implementation and use the plain formulas if the answer is None:
the folder is missing, or the environment has RAYDT_CPU_FAST_PATH=0. Nothing else imports from the
folder, and a test runs the core of the suite without it. docs/model.md has a table of the gains,
made by benchmarks/fast_path.py.
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
    """Return the module `part` of `raydt/cpu`, or None without a fast path."""
    return _module(part) if _is_on else None


@contextmanager
def switched_off() -> Iterator[None]:
    """Use the plain formulas in this process, for comparisons."""
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
        raise  # a dependency of the module is missing, not the module
