"""Attempts, leases and launches, on a real disk and with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raydt.errors import RunError
from raydt.grid.fence import fence
from raydt.grid.journal import (
    Attempt,
    CancelledError,
    attempts,
    cancel,
    decide,
    holder,
    outcome_of,
    read_journal,
    set_aside,
    uncancel,
)
from raydt.grid.journal_rows import EndRow, ReportRow, ResumeRow, StartRow
from raydt.grid.lease import (
    LaunchLease,
    LeaseLostError,
    RunningLaunch,
    check_launch,
    is_alive,
    running_launch,
)
from raydt.grid.result import read_result, write_result
from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from raydt.tracking.schema import Status
from tests.grid.results import report_of, result_of


@pytest.fixture
def sweep(tmp_path: Path) -> Folder:
    """A sweep's folder, held by launch `L1`."""
    folder = open_folder(tmp_path)
    folder.write_json("launch.json", {"launch": "L1"})
    return folder


def never() -> None:
    raise AssertionError("the lease was not lost")


def test_an_attempt_from_beginning_to_end(sweep: Folder) -> None:
    cell = sweep / "cells/a"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    lease = holder(cell)
    assert lease is not None
    assert lease.attempt == attempt.attempt_id
    attempt.write(report_of())
    assert outcome_of(cell) is None
    outcome = result_of(attempt=attempt.attempt_id)
    attempt.end(outcome)
    assert outcome_of(cell) == outcome
    rows = read_journal(cell, attempt.attempt_id)
    assert [type(row) for row in rows] == [StartRow, ReportRow, EndRow]


def test_an_attempt_that_lost_its_lease_writes_nothing(sweep: Folder) -> None:
    cell = sweep / "cells/a"
    old, new = Attempt(cell, sweep, "L1"), Attempt(cell, sweep, "L1")
    old.begin("a", "f")
    new.begin("a", "f")
    with pytest.raises(LeaseLostError, match=new.attempt_id):
        old.write(report_of())
    with pytest.raises(LeaseLostError):
        old.end(result_of())
    assert [type(row) for row in read_journal(cell, old.attempt_id)] == [StartRow]
    assert outcome_of(cell) is None
    new.end(result_of())
    assert outcome_of(cell) == result_of()
    assert set(attempts(cell)) == {old.attempt_id, new.attempt_id}


def test_attempts_of_a_launch_that_is_over_end(sweep: Folder) -> None:
    cell = sweep / "cells/a"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    sweep.write_json("launch.json", {"launch": "L2"})
    with pytest.raises(LeaseLostError, match="L2"):
        attempt.write(report_of())
    with pytest.raises(LeaseLostError, match="L2"):
        Attempt(cell, sweep, "L1").begin("a", "f")


def test_a_cancelled_cell_ends_at_its_next_report(sweep: Folder) -> None:
    cell = sweep / "cells/a"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    cancel(cell)
    with pytest.raises(CancelledError):
        attempt.write(report_of())
    uncancel(cell)
    attempt.write(report_of())


def test_reports_of_before_a_cut_are_carried_over(sweep: Folder) -> None:
    cell = sweep / "cells/a"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    before, after = report_of(8, time=1.0), report_of(16)
    resumed = ResumeRow(bytes_seen=12, damaged=())
    attempt.resume(resumed, [before])
    attempt.write(after)
    rows = read_journal(cell, attempt.attempt_id)
    assert isinstance(rows[0], StartRow)
    assert rows[1:] == [resumed, before, after]


def test_a_journal_without_its_cut_line_and_with_a_damaged_one(sweep: Folder) -> None:
    cell = sweep / "cells/a"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    attempt.folder.append("journal.jsonl", b'{"event": "rep')
    assert [type(row) for row in read_journal(cell, attempt.attempt_id)] == [StartRow]
    attempt.folder.append("journal.jsonl", b"\n{}\n")
    with pytest.raises(RunError, match=r"journal\.jsonl:2: expected a row of a journal"):
        read_journal(cell, attempt.attempt_id)
    assert read_journal(cell, "absent") == []


def test_a_result_set_aside_is_kept(sweep: Folder) -> None:
    cell = sweep / "cells/a"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    ended = result_of(attempt=attempt.attempt_id, status=Status.DIVERGED)
    attempt.end(ended)
    write_result(cell, "result.json", ended)
    set_aside(cell, ended)
    assert read_result(cell, "result.json") is None
    assert outcome_of(cell) is None, "it would be taken for the next attempt's"
    assert read_result(cell, f"previous/{attempt.attempt_id}.json") == ended


def test_one_launch_at_a_time(tmp_path: Path) -> None:
    sweep = open_folder(tmp_path)
    with LaunchLease(sweep, never) as first:
        assert is_alive(running_launch(sweep))
        with pytest.raises(RunError, match=f"pid {os.getpid()} on "):
            LaunchLease(sweep, never).__enter__()
        first.check_held()
    assert not is_alive(running_launch(sweep))
    with LaunchLease(sweep, never) as second:
        assert second.launch_id != first.launch_id
        with pytest.raises(RunError):
            first.check_held()


def test_a_launch_that_was_killed_is_known_to_be_dead(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from raydt.grid.lease import LaunchLease\n"
        "from raydt.storage.opening import open_folder\n"
        "with LaunchLease(open_folder(sys.argv[1]), lambda: None):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    sweep = open_folder(tmp_path)
    assert is_alive(running_launch(sweep))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_alive(running_launch(sweep))
    with LaunchLease(sweep, never):
        pass


def test_a_launch_elsewhere_is_dead_when_it_was_silent_for_long() -> None:
    launch = RunningLaunch(launch="x", host="another", pid=1, started=0.0, beat=time.time())
    assert is_alive(launch)
    assert not is_alive(launch.model_copy(update={"beat": time.time() - 3600}))
    assert not is_alive(launch.model_copy(update={"ended": True}))


def test_leases_hold_in_an_object_store(s3_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydt.grid.lease._HEARTBEAT_SECONDS", 0.01)
    lost: list[str] = []
    with LaunchLease(s3_folder, lambda: lost.append("first")) as first:
        with pytest.raises(RunError, match="another launch of this sweep is running"):
            LaunchLease(s3_folder, never).__enter__()
        cell = s3_folder / "cells/a"
        attempt = Attempt(cell, s3_folder, first.launch_id)
        attempt.begin("a", "f")
        # Another driver that thought this one dead.
        usurper = RunningLaunch(launch="L2", host="another", pid=1, started=0)
        while not s3_folder.swap(
            "launch.json", s3_folder.read("launch.json"), usurper.model_dump_json().encode()
        ):
            pass
        deadline = time.monotonic() + 30
        while not lost and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(LeaseLostError):
            attempt.write(report_of())
    assert lost == ["first"]
    assert json.loads(s3_folder.read("launch.json"))["launch"] == "L2", "not taken back at the end"


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_driver_that_slept_decides_nothing_after_it_was_taken_over(
    sweep: Folder, is_removed: bool
) -> None:
    """It had looked whether it holds the sweep, and was paused before its write; a person may have
    removed the cell meanwhile."""
    cell = sweep / "cells/a"
    old = Attempt(cell, sweep, "L1")
    old.begin("a", "f")
    outcome = result_of(attempt=old.attempt_id)
    looks: list[str] = []

    def paused_after_the_last_look() -> None:
        check_launch(sweep, "L1")
        looks.append("L1")
        if len(looks) < 2:
            return  # before its mark that the cell is open
        sweep.write_json("launch.json", {"launch": "L2"})
        assert fence([cell], "L2", sweep) == 1
        if is_removed:
            (sweep / "cells").remove("a")

    with pytest.raises(LeaseLostError):
        decide(cell, outcome, "L1", paused_after_the_last_look)
    assert looks == ["L1", "L1"]
    assert not (is_removed and cell.names()), "who lost the sweep left something"
    assert read_result(cell, "result.json") is None
    new = Attempt(cell, sweep, "L2")
    new.begin("a", "f")
    mine = result_of(attempt=new.attempt_id)
    assert decide(cell, mine, "L2", lambda: check_launch(sweep, "L2")) == mine
    assert decide(cell, outcome, "L3", never) == mine, "what is decided stays"


def test_a_result_that_was_set_aside_is_not_written_by_who_slept_since_before(
    sweep: Folder,
) -> None:
    cell = sweep / "cells/a"
    attempt = Attempt(cell, sweep, "L1")
    attempt.begin("a", "f")
    failed = result_of(attempt=attempt.attempt_id, status=Status.FAILED)
    looks: list[str] = []

    def paused() -> None:
        looks.append("L1")
        if len(looks) < 2:
            return  # before its mark that the cell is open
        if sweep.read_json("launch.json")["launch"] == "L2":
            raise LeaseLostError("L2")
        decide(cell, failed, "L1", lambda: None)
        set_aside(cell, failed)
        sweep.write_json("launch.json", {"launch": "L2"})

    with pytest.raises(LeaseLostError):
        decide(cell, failed, "L1", paused)
    assert read_result(cell, "result.json") is None
    assert holder(cell) is None


def test_an_attempt_that_slept_does_not_take_the_cell_from_another(
    sweep: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = sweep / "cells/a"
    slow, quick = Attempt(cell, sweep, "L1"), Attempt(cell, sweep, "L1")

    def asleep(folder: Folder) -> bool:
        monkeypatch.undo()
        quick.begin("a", "f")
        return False

    monkeypatch.setattr("raydt.grid.journal.is_cancelled", asleep)
    with pytest.raises(LeaseLostError, match="another attempt"):
        slow.begin("a", "f")
    lease = holder(cell)
    assert lease is not None
    assert lease.attempt == quick.attempt_id


def test_a_launch_that_beats_by_another_clock_is_not_taken_over(
    s3_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydt.grid.lease._DEAD_AFTER_SECONDS", 30.0)
    monkeypatch.setattr("raydt.grid.lease._HEARTBEAT_SECONDS", 0.05)
    with LaunchLease(s3_folder, never):
        # As on another machine of the same name, whose clock is two minutes off.
        monkeypatch.setattr("raydt.grid.lease._this_machine", lambda: "another")
        now = time.time
        for skew in (-120, 120):
            monkeypatch.setattr("time.time", lambda skew=skew: now() + skew)
            with pytest.raises(RunError, match="another launch of this sweep is running"):
                LaunchLease(s3_folder, never).__enter__()


def test_a_silent_launch_is_taken_over(s3_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydt.grid.lease._DEAD_AFTER_SECONDS", 0.2)
    dead = RunningLaunch(launch="L0", host="another", pid=1, started=0, beat=time.time() - 1)
    assert s3_folder.swap("launch.json", None, dead.model_dump_json().encode())
    said: list[str] = []
    # One that ends before it has fenced (its text is not there, say) leaves it to the next.
    for number in (1, 2):
        with LaunchLease(s3_folder, never, said.append) as lease:
            assert lease.was_cut_off
        assert len(said) == number
        time.sleep(0.3)
    with LaunchLease(s3_folder, never, said.append) as lease:
        assert lease.was_cut_off
        lease.has_fenced()
    said.clear()
    with LaunchLease(s3_folder, never, said.append) as lease:
        assert not lease.was_cut_off
    assert said == []
