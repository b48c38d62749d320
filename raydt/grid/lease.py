"""One launch of a sweep at a time, on any storage, and a way to see whether it is still at work.

`launch.json` says who holds the sweep. It is only ever swapped (`Folder.swap`): taking it, keeping
it fresh and giving it back are each one conditional write on what was read before, so of two at
once one succeeds, and a launch that was away too long finds another's name in it.
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
_WHAT = "who holds the sweep (whose file goes only while no launch is running)"
_LOCK = "launch.lock"
_SECONDS_BETWEEN_BEATS = 10.0
# A launch whose record has not changed for so long is taken to be dead. On one machine a dead
# launch is known at once, by its lock and its process id.
_SILENT_SECONDS = 60.0
_SECONDS_BETWEEN_LOOKS = 1.0


class LeaseLostError(RunError):
    """Another launch has taken the sweep, or another attempt the cell."""


class _Held(BaseModel):
    launch: str  # the id of the launch that holds the sweep


class RunningLaunch(_Held):
    """What a launch says of itself: `launch.json`."""

    host: str
    pid: int
    machine: str = ""  # see `_this_machine`
    started: float  # in seconds since 1970, as is `beat`
    beat: float = 0.0  # when it was last at work
    beats: int = 0  # how often it has said so
    ended: bool = False


class LaunchLease:
    """Held by the driver of a launch from beginning to end.

    On a disk it is a lock of the operating system, which ends with its process, and the record. An
    object store has no locks: there a record that has not changed for a minute, by the clock of
    whoever waits, is a dead launch's.
    """

    def __init__(
        self,
        sweep: Folder,
        on_lost: Callable[[], None],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.launch_id = f"{int(time.time() * 1000)}-{uuid.uuid4().hex[:8]}"
        # Whether a launch before this one was cut off and may still believe that it holds the
        # sweep: see `raydt.grid.fence`, and `has_fenced`.
        self.was_cut_off = False
        self._sweep = sweep
        self._on_lost = on_lost
        self._say = say
        self._lock: FileLock | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> LaunchLease:
        path = self._sweep.local_path
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / _LOCK, fallback_to_soft=False)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise self._refused() from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                self._lock = None  # as in an object store: the record decides
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
            # One that found another cut off, and ended before it had fenced, leaves that to the
            # next: it ends as if cut off itself.
            self.beat(ended=not self.was_cut_off)
        finally:
            self._release()

    def has_fenced(self) -> None:
        """From now on no launch before this one decides anything."""
        self.was_cut_off = False

    def check_held(self) -> None:
        """`LeaseLostError` if another launch has taken the sweep."""
        check_launch(self._sweep, self.launch_id)

    def take(self) -> None:
        """Put this launch's name in the record; `RunError` if another's is there, and at work."""
        there = _read(self._sweep)
        while True:
            before = self._record(there)
            if before is not None and not self._is_over(before, there):
                raise self._refused()
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
                raise self._refused()  # another one was quicker

    def beat(self, ended: bool = False) -> bool:
        """Say that this launch is at work, or has ended; False if another's name is there."""
        there = _read(self._sweep)
        record = self._record(there)
        if record is None or record.launch != self.launch_id:
            return False
        update = {"beat": time.time(), "beats": record.beats + 1, "ended": ended}
        return self._sweep.swap(_LAUNCH, there, _bytes(record.model_copy(update=update)))

    def _is_over(self, before: RunningLaunch, there: bytes | None) -> bool:
        """Whether a launch has ended or is dead. Where that is not known at once its record is
        watched: clocks of machines differ, so the one that counts is ours."""
        if before.ended:
            return True
        is_here = before.machine == _this_machine()
        if is_here and not _runs(before.pid):
            return True
        is_ours = before.pid == os.getpid()
        if self._lock is not None and (not before.machine or (is_here and is_ours)):
            return True
        if self._lock is not None:
            # Its lock is free, so it is dead, if locks work here, and between machines: one that is
            # alive would beat. A process of its number on this machine may be another's.
            seconds = 2.5 * _SECONDS_BETWEEN_BEATS
        elif 0 <= time.time() - before.beat < _SILENT_SECONDS:
            return False
        else:
            seconds = _SILENT_SECONDS
        self._say(
            f"The last launch (pid {before.pid} on {before.host}) did not end: watching for "
            f"{seconds:.0f} s whether it is at work"
        )
        return self._stays(there, seconds)

    def _record(self, there: bytes | None) -> RunningLaunch | None:
        return None if there is None else _launch_of(self._sweep, there)

    def _stays(self, there: bytes | None, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(_SECONDS_BETWEEN_LOOKS, seconds / 10))
            if _read(self._sweep) != there:
                return False
        return True

    def _refused(self) -> RunError:
        launch = running_launch(self._sweep)
        who = f" (pid {launch.pid} on {launch.host})" if launch else ""
        return RunError(
            f"sweep in {self._sweep.uri}: another launch of this sweep is running{who}; "
            "wait until it ends, or stop it"
        )

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _keep(self) -> None:
        while not self._ending.wait(_SECONDS_BETWEEN_BEATS):
            try:
                is_held = self.beat()
            except OSError:
                continue  # the storage is away, or full; the next beat tells
            except RunError:
                is_held = False  # no record any more
            if not is_held:
                self._on_lost()
                return


def check_launch(sweep: Folder, launch_id: str) -> None:
    """`LeaseLostError` if a launch does not hold its sweep any more."""
    newest = holding_launch(sweep)
    if newest != launch_id:
        raise LeaseLostError(
            f"sweep in {sweep.uri}: another launch took over: expected {launch_id}, got {newest}"
        )


def holding_launch(sweep: Folder) -> str | None:
    """The id of the launch that holds a sweep, at work or not."""
    there = _read(sweep)
    return None if there is None else _held_by(sweep, there).launch


def running_launch(sweep: Folder) -> RunningLaunch | None:
    """What the last launch of a sweep says of itself; None if there was none."""
    there = _read(sweep)
    return None if there is None else _launch_of(sweep, there)


def is_alive(launch: RunningLaunch | None) -> bool:
    """Whether a launch is at work, as far as this machine and its clock can tell: for people. What
    must not run beside a launch takes a `LaunchLease`."""
    if launch is None or launch.ended:
        return False
    if launch.machine in ("", _this_machine()) and launch.host == socket.gethostname():
        return _runs(launch.pid)
    return time.time() - launch.beat < _SILENT_SECONDS


def _launch_of(sweep: Folder, data: bytes) -> RunningLaunch:
    return typed(RunningLaunch, data, f"{sweep.uri}/{_LAUNCH}", _WHAT)


def _held_by(sweep: Folder, data: bytes) -> _Held:
    return typed(_Held, data, f"{sweep.uri}/{_LAUNCH}", _WHAT)


def _read(sweep: Folder) -> bytes | None:
    try:
        return sweep.read(_LAUNCH)
    except FileNotFoundError:
        return None


def _bytes(record: RunningLaunch) -> bytes:
    return record.model_dump_json(indent=1).encode()


def _this_machine() -> str:
    """Tells this machine since it was started, and this container of it, from all others of the
    same name: where it is the same, a process id is the same process."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - no path, a name
    except OSError:
        parts.append(f"{uuid.getnode():x}")  # not Linux: its network card
    return "/".join(parts)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
