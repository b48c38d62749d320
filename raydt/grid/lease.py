"""One launch of a sweep at a time, on any storage, and a way to see whether it is still at work."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable

from filelock import FileLock, Timeout
from pydantic import BaseModel

from raydt.errors import RunError
from raydt.storage.folder import Folder

_LAUNCH = "launch.json"
_LOCK = "launch.lock"
_SECONDS_BETWEEN_BEATS = 10.0
# A launch that has not been heard of for so long is taken to be dead. On one machine a dead launch
# is known at once, by its lock and its process id.
_SILENT_SECONDS = 60.0
_OF_BEATS = {"beat", "ended"}  # told in a file of their own
_SETTLING_SECONDS = 2.0  # on a storage without locks, for two that begin at once to see each other


class RunningLaunch(BaseModel):
    """What a launch says of itself: who it is (`launch.json`), and when it was last at work."""

    launch: str  # its id
    host: str
    pid: int
    started: float  # in seconds since 1970, as is `beat`
    beat: float = 0.0
    ended: bool = False


class LaunchLease:
    """Held by the driver of a launch from beginning to end.

    On a disk it is a lock of the operating system, which ends with its process, and a file that
    says whose it is. An object store has no locks: there the file is written, looked at again
    after a moment, and kept fresh; a launch that finds another's name in it has lost, stops, and
    writes no result any more.
    """

    def __init__(self, sweep: Folder, on_lost: Callable[[], None]) -> None:
        self.launch_id = f"{int(time.time() * 1000)}-{uuid.uuid4().hex[:8]}"
        self._sweep = sweep
        self._on_lost = on_lost
        self._lock: FileLock | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._started = time.time()

    def __enter__(self) -> LaunchLease:
        path = self._sweep.local_path
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / _LOCK)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise self._refused() from None
        elif is_alive(running_launch(self._sweep)):
            raise self._refused()
        self._take()
        if path is None:
            time.sleep(_SETTLING_SECONDS)
            self.check_held()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._beat(ended=True)
        if self._lock is not None:
            self._lock.release()

    def check_held(self) -> None:
        """`RunError` if another launch has taken the sweep."""
        if holding_launch(self._sweep) != self.launch_id:
            raise self._refused()

    def _refused(self) -> RunError:
        launch = running_launch(self._sweep)
        who = f" (pid {launch.pid} on {launch.host})" if launch else ""
        return RunError(
            f"sweep in {self._sweep.uri}: another launch of this sweep is running{who}; "
            "wait until it ends, or stop it"
        )

    def _take(self) -> None:
        self._beat()
        launch = RunningLaunch(
            launch=self.launch_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=self._started,
        )
        self._sweep.write_json(_LAUNCH, launch.model_dump(exclude=_OF_BEATS))

    def _beat(self, ended: bool = False) -> None:
        # In a file of its own: a beat that comes late must not take the lease back.
        self._sweep.write_json(_beats(self.launch_id), {"beat": time.time(), "ended": ended})

    def _keep(self) -> None:
        while not self._ending.wait(_SECONDS_BETWEEN_BEATS):
            try:
                self.check_held()
            except RunError:
                self._on_lost()
                return
            except OSError:
                continue  # the storage is away; silence for long enough loses the lease by itself
            try:
                self._beat()
            except OSError:
                continue  # a full disk, or the same


def holding_launch(sweep: Folder) -> str | None:
    """The id of the launch that holds a sweep, at work or not."""
    launch = sweep.read_json(_LAUNCH)
    return None if launch is None else str(launch["launch"])


def running_launch(sweep: Folder) -> RunningLaunch | None:
    """What the last launch of a sweep says of itself; None if there was none."""
    launch = sweep.read_json(_LAUNCH)
    if launch is None:
        return None
    beats = sweep.read_json(_beats(launch["launch"])) or {}
    return RunningLaunch.model_validate({**launch, **beats})


def _beats(launch_id: str) -> str:
    return f"launches/{launch_id}.json"


def is_alive(launch: RunningLaunch | None) -> bool:
    """Whether a launch is at work, as far as this machine can tell."""
    if launch is None or launch.ended:
        return False
    if launch.host == socket.gethostname() and not _runs(launch.pid):
        return False
    return time.time() - launch.beat < _SILENT_SECONDS


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
