"""One launch at a time on file systems without locks, and where locks lie."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from raydt.errors import RunError
from raydt.grid import lease
from raydt.grid.lease import LaunchLease, RunningLaunch
from raydt.locks import locked
from raydt.storage.local import LocalFolder


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without flock."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "_DEAD_AFTER_SECONDS", 0.5)


def take(folder: Path) -> LaunchLease:
    return LaunchLease(LocalFolder(folder), on_lost=lambda: None)


@pytest.mark.usefixtures("no_locks", "quick")
def test_without_locks_the_record_decides(tmp_path: Path) -> None:
    with (
        take(tmp_path),
        pytest.raises(RunError, match="another launch of this sweep is running"),
        take(tmp_path),
    ):
        pytest.fail("two at once")
    with take(tmp_path):
        pass  # the one before has said that it ended


@pytest.mark.usefixtures("no_locks")
def test_a_file_stands_for_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with locked(path), pytest.raises(filelock.Timeout), locked(path, timeout=0):
        pytest.fail("two at once")
    with locked(path, timeout=0):
        pass


@pytest.mark.usefixtures("quick")
def test_a_lock_that_lies_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A process of this machine that is at work, and whose lock nobody sees.
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        folder = LocalFolder(tmp_path)
        with take(tmp_path) as held:
            record = RunningLaunch.model_validate_json(folder.read("launch.json"))
            monkeypatch.setattr(fcntl, "flock", lambda *_: None)
            beats = iter(range(1, 10_000))

            def read_and_beat(_: object) -> bytes:
                update = {"pid": other.pid, "beats": next(beats)}
                return record.model_copy(update=update).model_dump_json().encode()

            with monkeypatch.context() as beating:
                beating.setattr(lease, "_read", read_and_beat)
                with pytest.raises(RunError, match="another launch"):
                    LaunchLease(folder, on_lost=lambda: None).take()
            assert held.launch_id == record.launch
    finally:
        other.kill()
        other.wait()
