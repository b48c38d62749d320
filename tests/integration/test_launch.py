"""A tiny grid through real Ray and a real SQLite store: run, killed, run again, analyzed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.tiny import (
    NUM_CELLS,
    attempt_of,
    finished,
    grid,
    one_run_per_cell,
    results,
    wait_for,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The storage of a run from start to end, and what it printed on stderr."""
    storage = tmp_path_factory.mktemp("undisturbed")
    code, out, err = finished(grid(storage))
    assert code == 0, err
    assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
    return storage, err


def test_every_cell_is_done_and_said_a_line_at_a_time(undisturbed: tuple[Path, str]) -> None:
    storage, err = undisturbed
    done = results(storage)
    assert len(done) == NUM_CELLS
    assert all(result["status"] == "done" for result in done.values())
    lines = err.splitlines()
    assert lines[0].startswith("Preparing controlled")
    assert lines[1] == f"Training {NUM_CELLS} cells, 2 at a time"
    # Nothing but ours: Ray and MLflow are silent.
    assert len(lines) == 2 + NUM_CELLS, err
    assert all(line.startswith(f"[{i}/{NUM_CELLS}] ") for i, line in enumerate(lines[2:], start=1))


def test_a_finetune_starts_from_its_own_pretrain(undisturbed: tuple[Path, str]) -> None:
    storage, _ = undisturbed
    done = results(storage)
    for cell_id, result in done.items():
        stage, languages, *_ = cell_id.split("/")
        if stage == "finetune":
            parent = done[f"pretrain/{languages.split('-')[0]}/20k/nano/s0"]
            journal = attempt_of(storage, result) / "journal.jsonl"
            started = json.loads(journal.read_text().splitlines()[0])["time"]
            assert started >= parent["time"]
            # It was tested on what the pretrain was tested on.
            rise = result["source_loss"] - parent["test_loss"]
            assert result["source_loss_rise"] == rise
        else:
            assert result["source_loss"] is None


def test_the_store_holds_what_the_journals_hold(undisturbed: tuple[Path, str]) -> None:
    from mlflow.tracking import MlflowClient

    storage, _ = undisturbed
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    launches = [run for run in runs if run.data.tags["raydt.kind"] == "launch"]
    cells = {r.data.tags["raydt.cell_id"]: r for r in runs if r.data.tags["raydt.kind"] == "cell"}
    assert len(launches) == 1
    assert launches[0].info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(launches[0].info.run_id)} == {
        "plan.json",
        "sweep.json",
    }
    done = results(storage)
    assert cells.keys() == done.keys()
    for cell_id, run in cells.items():
        result = done[cell_id]
        assert run.info.status == "FINISHED"
        assert run.data.tags["raydt.status"] == "done"
        assert run.data.tags["raydt.fingerprint"] == result["fingerprint"]
        assert run.data.tags["mlflow.parentRunId"] == launches[0].info.run_id
        assert run.data.metrics["test/loss"] == result["test_loss"]
        assert run.data.metrics.get("source/loss_rise") == result["source_loss_rise"]
        # It begins with its journal, a moment after the attempt; how long after hangs on the load.
        assert run.info.end_time == int(result["time"] * 1000)
        took_seconds = (run.info.end_time - run.info.start_time) / 1000
        assert 0 < took_seconds <= result["seconds"] + 0.002
        journal = attempt_of(storage, result) / "journal.jsonl"
        rows = [json.loads(line) for line in journal.read_text().splitlines()]
        reports = [row for row in rows if row["event"] == "report"]
        metrics = {"val_loss": "val/loss", "bytes_per_second": "throughput/bytes_per_second"}
        for field, name in metrics.items():
            history = client.get_metric_history(run.info.run_id, name)
            reported = [row[field] for row in reports if row[field] is not None]
            assert [metric.value for metric in history] == reported
    assert cells["scratch/alba/8k/nano/s0"].info.run_name == "scratch→alba 8k s0"
    params = cells["finetune/related-alba/8k/nano/s0"].data.params
    assert (params["source"], params["target"], params["size_bytes"]) == ("related", "alba", "8000")


def test_the_same_command_again_trains_nothing(undisturbed: tuple[Path, str]) -> None:
    storage, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in (storage / "tiny" / "cells").rglob("*.*")}
    code, out, err = finished(grid(storage))
    assert code == 0, err
    assert f"Nothing to train: all {NUM_CELLS} cells" in out
    assert "Training" not in err
    after = {path: path.stat().st_mtime_ns for path in (storage / "tiny" / "cells").rglob("*.*")}
    assert after == before


def test_another_protocol_under_the_same_name_is_refused(undisturbed: tuple[Path, str]) -> None:
    storage, _ = undisturbed
    code, _, err = finished(grid(storage, "--protocol.patience", "9"))
    assert code == 2
    assert "protocol.patience: expected 3, as in the existing sweep 'tiny'" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["kill -9", "Ctrl-C", "kill"]
)
def test_killed_in_the_middle_it_goes_on_and_ends_the_same(
    sign: signal.Signals, undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    process = grid(tmp_path)
    wait_for(lambda: len(results(tmp_path)) >= 3, process)
    os.kill(process.pid, sign)
    code, _, err = finished(process)
    assert code == (-9 if sign is signal.SIGKILL else 130), err
    if sign is not signal.SIGKILL:
        assert "run the same command to resume" in err
        assert "Traceback" not in err
    before = results(tmp_path)
    assert 3 <= len(before) < NUM_CELLS
    code, out, err = finished(grid(tmp_path))
    assert code == 0, err
    assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
    after = results(tmp_path)
    # What was done is as it was; what was cut ends as it would have.
    assert {cell_id: after[cell_id]["attempt"] for cell_id in before} == {
        cell_id: result["attempt"] for cell_id, result in before.items()
    }
    calm = results(undisturbed[0])
    assert {c: r["test_loss"] for c, r in after.items()} == {
        c: r["test_loss"] for c, r in calm.items()
    }
    assert one_run_per_cell(tmp_path) == {c: r["test_loss"] for c, r in after.items()}


def test_told_that_the_time_is_up_running_cells_write_a_checkpoint(tmp_path: Path) -> None:
    # Cells of less than half a minute would write none by themselves.
    longer = "--protocol.tolerance 0 --protocol.patience 1000 --protocol.pretrain.epochs 400"
    process = grid(tmp_path, *longer.split())
    journals = (tmp_path / "tiny" / "cells" / "pretrain").rglob
    wait_for(lambda: any('"report"' in p.read_text() for p in journals("journal.jsonl")), process)
    os.kill(process.pid, signal.SIGUSR2)
    code, _, err = finished(process)
    assert code == 130, err
    assert "Received SIGUSR2" in err
    assert "run the same command to resume" in err
    assert "Traceback" not in err
    assert list(journals("checkpoints/*.json"))
    assert not (tmp_path / "tiny" / "leaving.json").exists()


def test_a_store_that_was_deleted_is_filled_again(
    undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    storage, _ = undisturbed
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"
    code, out, err = finished(grid(storage, "--tracking-uri", elsewhere))
    assert code == 0, err
    assert "Nothing to train" in out
    (tmp_path / "mlflow.db").symlink_to(tmp_path / "other.db")
    calm = results(storage)
    assert one_run_per_cell(tmp_path) == {c: r["test_loss"] for c, r in calm.items()}


def test_a_second_launch_at_once_is_refused(tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "tiny").mkdir()
    with FileLock(tmp_path / "tiny" / "launch.lock"):
        code, _, err = finished(grid(tmp_path))
    assert code == 1
    assert "another launch of this sweep is running" in err
    assert "Traceback" not in err
    assert not (tmp_path / "tiny" / "cells").exists()


def test_a_diverged_parent_blocks_its_children_and_the_rest_goes_on(tmp_path: Path) -> None:
    wild = "--protocol.pretrain.learning-rate 1e30 --protocol.pretrain.embedding-learning-rate 1e30"
    code, out, err = finished(
        grid(tmp_path, *wild.split(), "--protocol.pretrain.clip-norm", "1e30")
    )
    assert code == 1
    assert "2 of 10 cells done" in out
    assert "2 diverged" in out
    assert "6 blocked" in out
    assert "not finite" in err
    assert "Traceback" not in err
    status = subprocess.run(
        [sys.executable, "-m", "raydt", "status", "--storage", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pretrain/related/20k/nano/s0: diverged: training loss not finite" in status.stdout


def test_nothing_listens_beyond_loopback_and_nothing_is_left_behind(tmp_path: Path) -> None:
    import psutil

    process = grid(tmp_path)
    wait_for(lambda: len(results(tmp_path)) >= 1, process)
    family = psutil.Process(process.pid).children(recursive=True)
    open_to_others = [
        (member.name(), connection.laddr)
        for member in [psutil.Process(process.pid), *family]
        for connection in member.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    ]
    code, _, err = finished(process)
    assert code == 0, err
    assert open_to_others == []
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []


def test_all_that_is_written_is_in_the_storage(undisturbed: tuple[Path, str]) -> None:
    # The storage was the working directory too.
    storage, _ = undisturbed
    names = {path.name for path in storage.iterdir() if not path.name.startswith("mlflow.db-")}
    assert names == {"corpora", "mlflow.db", "mlflow-artifacts", "tiny"}


def test_gpus_that_are_not_there_are_refused(tmp_path: Path) -> None:
    code, _, err = finished(grid(tmp_path, "--gpus-per-cell", "1"))
    assert code == 2
    assert "gpus_per_cell: expected one that torch" in err
    assert "Traceback" not in err
    assert not (tmp_path / "tiny" / "cells").exists()
