"""Ten thousand orders in which writes, crashes, slow workers and second launches can fall.

pytest tests/histories -m "integration or not integration"
HISTORY=1234 pytest tests/histories -k one_history     # again, with its story
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.histories.history import History
from tests.histories.wiring import wire


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    wire(monkeypatch)


def histories(cache: Path, seeds: range) -> None:
    for seed in seeds:
        History(seed, cache / str(seed)).run()


@pytest.mark.usefixtures("world")
def test_a_few_hundred_histories(tmp_path: Path) -> None:
    histories(tmp_path, range(300))


@pytest.mark.usefixtures("world")
@pytest.mark.integration
def test_ten_thousand_histories(tmp_path: Path) -> None:
    histories(tmp_path, range(300, 10_300))


@pytest.mark.usefixtures("world")
@pytest.mark.skipif("HISTORY" not in os.environ, reason="HISTORY names no seed")
def test_one_history(tmp_path: Path) -> None:
    History(int(os.environ["HISTORY"]), tmp_path).run()
