"""A sweep as a command line means it, for tests."""

from __future__ import annotations

import pytest

from raydt.commands.sweep_parser import SweepParser
from raydt.config.read import Typed, read_sweep
from raydt.config.sweep import Sweep
from raydt.errors import InputError


def typed(*words: str) -> Typed:
    """The words, taken apart."""
    parser = SweepParser("test", "")
    parser.add_sweep_options()
    taken_apart: Typed = parser.read(words).typed
    return taken_apart


def read(*words: str) -> Sweep:
    """The sweep that the words mean."""
    return read_sweep(typed(*words))


def problems(*words: str) -> list[str]:
    """All that is wrong with the words, which is something."""
    with pytest.raises(InputError) as caught:
        read(*words)
    return [str(problem) for problem in caught.value.problems]
