"""A lease that allows one launch of a sweep at a time, on any storage, and shows whether it is
alive.

`launch.json` names the launch that holds the sweep. It is only changed by `Folder.swap`: taking,
refreshing and releasing the lease are each a conditional write. Of two writes at the same time one
succeeds, and a launch that was paused too long finds another launch in the file.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel

from raydt.errors import RunError
from raydt.locks import NO_LOCKS
from raydt.storage.folder import Folder
from raydt.storage.typed import typed

_LAUNCH = "launch.json"
_WHAT = "the holder of the sweep (remove this file only while no launch is running)"
_LOCK = "launch.lock"
_HEARTBEAT_SECONDS = 10.0
# A launch whose record has not changed for this long is considered dead. On the same machine a dead
# launch is recognised at once, by its lock and its process id.
_DEAD_AFTER_SECONDS = 60.0
_POLL_SECONDS = 1.0


class LeaseLostError(RunError):
    """Another launch has taken over the sweep, or another attempt the cell."""


class _LeaseHolder(BaseModel):
    launch: str  # the id of the launch that holds the sweep


class RunningLaunch(_LeaseHolder):
    """The launch that holds or last held a sweep: `launch.json`."""

    host: str
    pid: int
    machine: str = ""  # see `_this_machine`
    started: float  # in seconds since 1970, as is `beat`
    beat: float = 0.0  # time of the last heartbeat
    beats: int = 0  # number of heartbeats
    ended: bool = False


class LaunchLease:
    """The lease that the driver of a launch holds from start to end.

    On a disk it is a lock of the operating system, which ends with the process, and the record. An
    object store has no locks: there, a launch is dead if its record has not changed for a minute by
    the waiting machine's clock.
    """

    def __init__(
        self,
        sweep: Folder,
        on_lost: Callable[[], None],
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.launch_id = f"{int(time.time() * 1000)}-{uuid.uuid4().hex[:8]}"
        # Whether an earlier launch was interrupted and may still believe that it holds the sweep:
        # see `raydt.grid.fence` and `has_fenced`.
        self.was_cut_off = False
        self._sweep = sweep
        self._on_lost = on_lost
        self._report = report
        self._lock: FileLock | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._heartbeat, name="lease", daemon=True)

    def __enter__(self) -> LaunchLease:
        path = self._sweep.local_path
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / _LOCK, fallback_to_soft=False)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise self._already_running() from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                self._lock = None  # no locks: the record decides, as in an object store
        try:
            self.take()
        except BaseException:
            self._release()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        try:
            # A launch that took over an interrupted one and did not fence it leaves this to the
            # next launch, by ending as if it was interrupted itself.
            self.beat(ended=not self.was_cut_off)
        finally:
            self._release()

    def has_fenced(self) -> None:
        """Record that earlier launches can no longer write results."""
        self.was_cut_off = False

    def check_held(self) -> None:
        """Raise `LeaseLostError` if another launch has taken over the sweep."""
        check_launch(self._sweep, self.launch_id)

    def take(self) -> None:
        """Write this launch into the record; `RunError` if another launch is running."""
        there = _read(self._sweep)
        while True:
            before = self._record(there)
            if before is not None and not self._is_over(before, there):
                raise self._already_running()
            now = time.time()
            record = RunningLaunch(
                launch=self.launch_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                machine=_this_machine(),
                started=now,
                beat=now,
            )
            if self._sweep.swap(_LAUNCH, there, _bytes(record)):
                self.was_cut_off = before is not None and not before.ended
                return
            there = _read(self._sweep)
            after = self._record(there)
            if after is not None and (before is None or after.launch != before.launch):
                raise self._already_running()  # another one was faster

    def beat(self, ended: bool = False) -> bool:
        """Record that this launch is alive, or has ended; False if another launch holds the
        sweep."""
        there = _read(self._sweep)
        record = self._record(there)
        if record is None or record.launch != self.launch_id:
            return False
        update = {"beat": time.time(), "beats": record.beats + 1, "ended": ended}
        return self._sweep.swap(_LAUNCH, there, _bytes(record.model_copy(update=update)))

    def _is_over(self, before: RunningLaunch, there: bytes | None) -> bool:
        """Whether a launch has ended or is dead. If that is not known at once, its record is
        watched for changes: machines' clocks differ, so only ours is used."""
        if before.ended:
            return True
        is_here = before.machine == _this_machine()
        if is_here and not _runs(before.pid):
            return True
        is_ours = before.pid == os.getpid()
        if self._lock is not None and (not before.machine or (is_here and is_ours)):
            return True
        if self._lock is not None:
            # Its lock is free, so it is dead if locks work here, and between machines. Watch for a
            # heartbeat to be sure. A process with its id on this machine may be another one.
            seconds = 2.5 * _HEARTBEAT_SECONDS
        elif 0 <= time.time() - before.beat < _DEAD_AFTER_SECONDS:
            return False
        else:
            seconds = _DEAD_AFTER_SECONDS
        self._report(
            f"The last launch (pid {before.pid} on {before.host}) did not end properly: waiting "
            f"{seconds:.0f} s to see whether it is still running"
        )
        return self._is_unchanged(there, seconds)

    def _record(self, there: bytes | None) -> RunningLaunch | None:
        return None if there is None else _launch_of(self._sweep, there)

    def _is_unchanged(self, there: bytes | None, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(_POLL_SECONDS, seconds / 10))
            if _read(self._sweep) != there:
                return False
        return True

    def _already_running(self) -> RunError:
        launch = running_launch(self._sweep)
        who = f" (pid {launch.pid} on {launch.host})" if launch else ""
        return RunError(
            f"sweep in {self._sweep.uri}: another launch of this sweep is running{who}; "
            "wait until it ends, or stop it"
        )

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _heartbeat(self) -> None:
        while not self._ending.wait(_HEARTBEAT_SECONDS):
            try:
                is_held = self.beat()
            except OSError:
                continue  # the storage is unreachable or full: try again at the next beat
            except RunError:
                is_held = False  # the record is damaged
            if not is_held:
                self._on_lost()
                return


def check_launch(sweep: Folder, launch_id: str) -> None:
    """Raise `LeaseLostError` if a launch no longer holds its sweep."""
    newest = holding_launch(sweep)
    if newest != launch_id:
        raise LeaseLostError(
            f"sweep in {sweep.uri}: another launch took over: expected {launch_id}, got {newest}"
        )


def holding_launch(sweep: Folder) -> str | None:
    """The id of the launch that holds a sweep, running or not."""
    there = _read(sweep)
    return None if there is None else _held_by(sweep, there).launch


def running_launch(sweep: Folder) -> RunningLaunch | None:
    """The record of the last launch of a sweep; None if there was none."""
    there = _read(sweep)
    return None if there is None else _launch_of(sweep, there)


def is_alive(launch: RunningLaunch | None) -> bool:
    """Whether a launch is running, as far as this machine and its clock can tell: for display only.
    Code that must not run beside a launch takes a `LaunchLease`."""
    if launch is None or launch.ended:
        return False
    if launch.machine in ("", _this_machine()) and launch.host == socket.gethostname():
        return _runs(launch.pid)
    return time.time() - launch.beat < _DEAD_AFTER_SECONDS


def _launch_of(sweep: Folder, data: bytes) -> RunningLaunch:
    return typed(RunningLaunch, data, f"{sweep.uri}/{_LAUNCH}", _WHAT)


def _held_by(sweep: Folder, data: bytes) -> _LeaseHolder:
    return typed(_LeaseHolder, data, f"{sweep.uri}/{_LAUNCH}", _WHAT)


def _read(sweep: Folder) -> bytes | None:
    try:
        return sweep.read(_LAUNCH)
    except FileNotFoundError:
        return None


def _bytes(record: RunningLaunch) -> bytes:
    return record.model_dump_json(indent=1).encode()


def _this_machine() -> str:
    """An id of this machine since its boot, and of this container: if it is the same, a process id
    means the same process."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - no path, a name
    except OSError:
        parts.append(f"{uuid.getnode():x}")  # not Linux: the address of the network card
    return "/".join(parts)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
