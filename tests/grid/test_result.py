"""What stands on a storage is read and written as it always was, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydt.errors import RunError
from raydt.grid.journal import Attempt, holder, read_journal
from raydt.grid.journal_rows import EndRow, ErrorRow, ReportRow, ResumeRow, StartRow, line_of
from raydt.grid.lease import running_launch
from raydt.grid.result import read_result, write_result
from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from raydt.tracking.recorded import Place, read_state
from raydt.tracking.schema import Status
from tests.grid.results import result_of

# Of a cell that is done, as `json.dumps(..., indent=1)` of it stands in a store.
DONE = {
    "cell_id": "scratch/alba/2k/nano/s0",
    "fingerprint": "ab" * 32,
    "attempt": "1764000000000-0123abcd",
    "model": "nano",
    "time": 1764000001.25,
    "status": "done",
    "reason": None,
    "stopped": "converged",
    "test_loss": 1.5,
    "test_bpb": 2.1640425613334453,
    "test_loss_stderr": 0.015,
    "unseen_share": None,
    "best_val_loss": 1.4375,
    "best_bytes_seen": 30000,
    "bytes_seen": 32000,
    "unfinished": 0.001,
    "training_seconds": 0.75,
    "precision": "float32",
    "weights_sha256": "cd" * 32,
    "seconds": 1.125,
}
# Of a finetune that was tested on its source, too.
_TESTED = {"source_loss": 1.75, "source_bpb": 2.524, "source_loss_rise": -0.125}
_BEFORE = list(DONE).index("best_val_loss")
FORGETFUL = dict([*list(DONE.items())[:_BEFORE], *_TESTED.items(), *list(DONE.items())[_BEFORE:]])
# Of one whose process died: the driver wrote it, and it says less.
FAILED = {
    "cell_id": "scratch/alba/2k/nano/s0",
    "fingerprint": "ab" * 32,
    "attempt": "1764000000000-none",
    "model": "nano",
    "time": 1764000001.25,
    "status": "failed",
    "reason": "its process was killed, or died for lack of memory",
    "bytes_seen": 0,
    "training_seconds": 0.0,
}
# Of another version, which said less and something more.
OTHER = {**FAILED, "status": "diverged", "val_loss_at_end": 2.5}
LINES = [
    '{"event": "start", "time": 1764000000.5, "launch": "L1", "cell_id": "a", "fingerprint": "ff"}',
    '{"event": "start", "time": 1764000000.5, "launch": "L1", "cell_id": "a", "fingerprint": "ff", '
    '"data": [{"language": "de", "split": "val", "digest": "0a", "num_bytes": 8, '
    '"num_documents": 1, "source_type": "local", "source": "{}"}]}',
    '{"event": "resume", "time": 1764000000.75, "bytes_seen": 4096, "damaged": ["step-9.json"]}',
    '{"event": "report", "time": 1764000001.0, "bytes_seen": 4096, "train_loss": null, '
    '"val_loss": 2.25, "bytes_per_second": null, "mfu": null, "mfu_of_matmul": null, '
    '"val_bpb": 3.25}',
    '{"event": "report", "time": 1764000001.5, "bytes_seen": 8192, "train_loss": NaN, '
    '"val_loss": NaN, "bytes_per_second": 400000.0, "mfu": 0.5, '
    '"mfu_of_matmul": 0.625, "val_bpb": NaN}',
    '{"event": "report", "time": 1764000001.5, "bytes_seen": 8192, "train_loss": 2.5, '
    '"val_loss": 2.25, "bytes_per_second": 400000.0, "mfu": null, "mfu_of_matmul": null, '
    '"val_bpb": 3.25, "system": {"cpu_utilization_percentage": 12.5}}',
    '{"event": "error", "time": 1764000002.0, "traceback": "Traceback: no", "windows_at_once": 16}',
    '{"event": "end", "time": 1764000002.5, "status": "done"}',
]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return open_folder(tmp_path)


@pytest.mark.parametrize("said", [DONE, FORGETFUL, FAILED, OTHER])
def test_a_result_is_written_as_it_was_read(folder: Folder, said: dict) -> None:
    folder.write_json("result.json", said)
    before = folder.read("result.json")
    result = read_result(folder, "result.json")
    assert result is not None
    assert (result.status, result.bytes_seen) == (Status(said["status"]), said["bytes_seen"])
    write_result(folder, "result.json", result)
    assert folder.read("result.json") == before


def test_a_damaged_result_is_named(folder: Folder) -> None:
    assert read_result(folder, "result.json") is None
    folder.write_json("result.json", {**DONE, "bytes_seen": "many"})
    with pytest.raises(
        RunError, match=r"result\.json: expected the result of a cell, .* \(bytes_seen: "
    ):
        read_result(folder, "result.json")


def test_a_journal_is_written_as_it_was_read(folder: Folder) -> None:
    text = "".join(f"{line}\n" for line in LINES)
    (folder / "attempts" / "1").append("journal.jsonl", text.encode())
    rows = read_journal(folder, "1")
    kinds = [StartRow, StartRow, ResumeRow, ReportRow, ReportRow, ReportRow, ErrorRow, EndRow]
    assert [type(row) for row in rows] == kinds
    assert b"".join(line_of(row) for row in rows).decode() == text


def test_a_report_of_an_earlier_version_says_nothing_of_the_hardware(folder: Folder) -> None:
    (first,) = [json.loads(line) for line in LINES[3:4]]
    del first["mfu"], first["mfu_of_matmul"]
    (folder / "attempts" / "1").append("journal.jsonl", f"{json.dumps(first)}\n".encode())
    (row,) = read_journal(folder, "1")
    assert isinstance(row, ReportRow)
    assert (row.mfu, row.mfu_of_matmul) == (None, None)


def test_who_holds_a_cell_and_a_sweep(folder: Folder) -> None:
    launch = {"launch": "L1", "host": "here", "pid": 7, "started": 1764000000.5}
    folder.write_json("launch.json", launch)
    found = running_launch(folder)
    assert found is not None
    assert found.model_dump() == {
        **launch,
        "machine": "",
        "beat": 0.0,
        "beats": 0,
        "ended": False,
    }
    attempt = Attempt(folder / "cells/a", folder, "L1")
    attempt.begin("a", "ff")
    lease = json.loads((folder / "cells/a").read("lease.json"))
    assert list(lease) == ["attempt", "launch", "time"]
    assert (lease["attempt"], lease["launch"]) == (attempt.attempt_id, "L1")
    held = holder(folder / "cells/a")
    assert held is not None
    assert held.time == lease["time"]


def test_how_far_a_cell_is_recorded(folder: Folder) -> None:
    said = {
        "store_uri": "sqlite:///x.db",
        "experiment": "1@2",
        "run_id": None,
        "attempt": "1",
        "num_reports": 3,
        "ended": False,
    }
    folder.write_json("mlflow.json", said)
    before = folder.read("mlflow.json")
    state = read_state(folder)
    assert state is not None
    Place(folder).put(state)
    assert folder.read("mlflow.json") == before
    folder.write_json("mlflow.json", {"ended": True})
    assert read_state(folder) is None, "what is not known is written anew"
    # Of one with a model it says which.
    with_model = state.model_copy(update={"model_id": "m-1"})
    Place(folder).put(with_model)
    assert read_state(folder) == with_model


def test_results_for_tests_say_no_more_than_they_are_given(folder: Folder) -> None:
    write_result(folder, "result.json", result_of(reason="no"))
    assert "precision" not in folder.read_json("result.json")
