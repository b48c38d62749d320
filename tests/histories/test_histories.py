"""Ten thousand orders in which writes, crashes, slow workers and second launches can fall.

pytest tests/histories -m "integration or not integration"
HISTORY=1234 pytest tests/histories -k one_history     # again; a failure prints its story
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from raydt.cpus import num_cpus
from raydt.tracking.store import open_store
from tests.histories.history import History
from tests.histories.sqlite_mlflow import SqliteStore
from tests.histories.wiring import wire
from tests.histories.world import Faults

_MEMORY = Path("/dev/shm")
_AT_ONCE = 250
_WITH_SQLITE = 10


@pytest.fixture
def cache() -> Iterator[Path]:
    """A folder for what machines keep to themselves, where writing costs nothing."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    wire(monkeypatch)


def histories(cache: Path, seeds: range, faults: Faults | None = None) -> int:
    """How many were made, none of which broke a rule; `faults` instead of those a seed draws."""
    for seed in seeds:
        History(seed, cache / str(seed), faults).run()
    return len(seeds)


@pytest.mark.usefixtures("world")
def test_a_few_hundred_histories(cache: Path) -> None:
    histories(cache, range(250))


@pytest.mark.long
@pytest.mark.usefixtures("world")
@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_ten_thousand_histories(cache: Path) -> None:
    seeds = [range(first, first + _AT_ONCE) for first in range(250, 10_250, _AT_ONCE)]
    context = multiprocessing.get_context("fork")  # with the world in its place
    with ProcessPoolExecutor(num_cpus(), context) as pool:
        assert sum(pool.map(partial(histories, cache), seeds)) == 10_000


@pytest.mark.usefixtures("world")
@pytest.mark.integration
def test_histories_with_mlflow_on_sqlite(cache: Path) -> None:
    empty = cache / "empty.db"
    open_store(f"sqlite:///{empty}")
    for seed in range(_WITH_SQLITE):
        History(
            seed,
            cache / str(seed),
            make_store=lambda world, seed=seed: SqliteStore(
                world, empty, cache / "stores" / f"{seed}.db"
            ),
        ).run()


@pytest.mark.usefixtures("world")
@pytest.mark.skipif("HISTORY" not in os.environ, reason="HISTORY names no seed")
def test_one_history(cache: Path) -> None:
    History(int(os.environ["HISTORY"]), cache).run()
