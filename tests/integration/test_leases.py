"""Launches that exclude each other, by real processes on a disk and on object stores."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raydt.grid.journal import Attempt
from raydt.storage.folder import Folder, walk
from raydt.storage.opening import open_folder
from tests.grid.results import result_of
from tests.integration.tiny import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

LAUNCHES, ROUNDS = 8, 200
CELLS, PAUSES = 30, 10


class Driver:
    """See `lease_process`."""

    def __init__(self, machine: str, silent_seconds: float, beat_seconds: float) -> None:
        script = str(Path(__file__).with_name("lease_process.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, str(silent_seconds), str(beat_seconds), machine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def tell(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, words: str) -> str:
        self.tell(words)
        return self.answer()


@contextmanager
def drivers(
    number: int, silent_seconds: float = 60.0, beat_seconds: float = 10.0
) -> Iterator[list[Driver]]:
    found = [Driver(f"machine {n}", silent_seconds, beat_seconds) for n in range(number)]
    try:
        yield found
    finally:
        for each in found:
            each.process.send_signal(signal.SIGCONT)
            each.process.kill()
            each.process.wait()


@pytest.fixture(params=["disk", "s3", "gcs"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path)
    place: str = request.getfixturevalue(f"{request.param}_storage")
    return place


def test_of_eight_launches_at_once_one_runs(storage: str) -> None:
    """Over and over; in every second round the sweep was held before."""
    place = open_folder(storage)
    with drivers(LAUNCHES) as found:
        for round_ in range(ROUNDS):
            sweep = (place / f"sweep{round_ // 2}").uri
            for each in found:
                each.tell(f"take {sweep}")
            answers = [each.answer() for each in found]
            assert sorted(answers) == ["held", *["refused"] * (LAUNCHES - 1)], round_
            assert found[answers.index("held")].ask("release") == "released"


@pytest.mark.parametrize("storage", ["s3", "gcs"], indirect=True)
def test_a_driver_that_was_paused_past_its_lease_writes_nothing(storage: str) -> None:
    """Paused at another moment each time; what is there does not change when it wakes."""
    moment = random.Random(0)
    num_lost = 0
    for number in range(PAUSES):
        sweep = open_folder(storage) / f"sweep{number}"
        with drivers(2, silent_seconds=1.0, beat_seconds=0.2) as (slow, quick):
            assert slow.ask(f"take {sweep.uri}") == "held"
            begin_cells(sweep)
            assert slow.ask(f"decide {CELLS}") == "deciding"
            time.sleep(moment.uniform(0.0, 0.4))
            slow.process.send_signal(signal.SIGSTOP)
            while quick.ask(f"take {sweep.uri}") == "refused":
                time.sleep(0.1)  # the last beat is not old enough yet
            before = contents(sweep)
            slow.process.send_signal(signal.SIGCONT)
            came = slow.answer()
            after = contents(sweep)
            assert after == before
            num_lost += came == "lost"
            # And the other decides all that is left.
            assert quick.ask(f"decide {CELLS}") == "deciding"
            assert quick.answer() == "decided"
    assert num_lost > PAUSES // 2, "it was mostly done before it was paused"


def begin_cells(sweep: Folder) -> None:
    """Attempts of the launch that holds the sweep, every other one of which has ended."""
    launch_id = sweep.read_json("launch.json")["launch"]
    for number in range(CELLS):
        cell = sweep / "cells" / f"c{number:03d}"
        attempt = Attempt(cell, sweep, launch_id)
        attempt.begin(f"c{number:03d}", "f")
        if number % 2:
            attempt.end(result_of(f"c{number:03d}", fingerprint="f", attempt=attempt.attempt_id))


def contents(sweep: Folder) -> dict[str, bytes]:
    """All but who holds it, which the holder keeps fresh."""
    return {name: sweep.read(name) for name in walk(sweep) if name != "launch.json"}
