"""Told that the time is up, a launch waits for a checkpoint of every cell that runs, then ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.grid.ledger import Ledger, cell_folder
from raydt.grid.shutdown import is_shutting_down
from raydt.orchestration.shutdown import checkpoint_on_signal

CELL = "pretrain/related/20k/nano/s0"


def told(sweep: Sweep, said: list[str]) -> None:
    with checkpoint_on_signal(sweep, {}, "launch", said.append):
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(60)


def test_a_launch_ends_once_its_cells_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep.model_validate({"storage": str(tmp_path), "name": "tiny"})
    cell = cell_folder(sweep, CELL)
    cell.write_json("lease.json", {"attempt": "1", "launch": "launch", "time": 0.0})
    cell.write_json("attempts/1/checkpoints/step-1.json", {})
    running = Ledger({}, frozenset(), frozenset({CELL}), frozenset({CELL}))
    monkeypatch.setattr(Ledger, "read", lambda *_: running)

    def worker() -> None:
        while not is_shutting_down(sweep.folder, "launch"):
            time.sleep(0.01)
        cell.write_json("attempts/1/checkpoints/step-2.json", {})

    thread = threading.Thread(target=worker)
    thread.start()
    said: list[str] = []
    before = signal.getsignal(signal.SIGUSR2)
    with pytest.raises(KeyboardInterrupt):
        told(sweep, said)
    thread.join()
    assert said == ["Received SIGUSR2: waiting for a checkpoint of each running cell (1)"]
    assert signal.getsignal(signal.SIGUSR2) == before
    assert not (tmp_path / "tiny" / "leaving.json").exists(), "for the next launch"
    names = [
        path.name
        for path in (
            tmp_path / "tiny" / "cells" / CELL / "attempts" / "1" / "checkpoints"
        ).iterdir()
    ]
    assert sorted(names) == ["step-1.json", "step-2.json"]


def test_a_launch_without_a_running_cell_ends_at_once(tmp_path: Path) -> None:
    sweep = Sweep.model_validate({"storage": str(tmp_path), "name": "tiny"})
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        told(sweep, said)
    assert said == ["Received SIGUSR2: waiting for a checkpoint of each running cell (0)"]
