"""What goes wrong on real machines, done to real processes: the grid ends as if nothing had."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.integration.mlflow_server import start_server, stop
from tests.integration.tiny import NUM_CELLS, finished, grid, one_run_per_cell, results, wait_for
from tests.ports import free_port
from tests.small_disk import mounted_disk

pytestmark = pytest.mark.integration

# Cells of a few seconds, that keep checkpoints all the time, so that a kill falls inside one.
LONGER = (
    "--protocol.pretrain.epochs 20 --protocol.scratch.epochs 30 --protocol.finetune.epochs 30 "
    "--protocol.tolerance 0 --protocol.patience 50 "
    "--checkpoint-seconds 0.05"
).split()

# Longer than a launch is silent for before it is taken for dead (`raydt.grid.lease`).
STOPPED_SECONDS = float(os.environ.get("RAYDT_TEST_STOPPED_SECONDS", "70"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The test losses of the longer grid when nothing happens to it."""
    storage = tmp_path_factory.mktemp("undisturbed")
    code, _, err = finished(grid(storage, *LONGER))
    assert code == 0, err
    return losses(storage)


def losses(storage: Path) -> dict[str, float]:
    return {cell_id: result["test_loss"] for cell_id, result in results(storage).items()}


def journals(storage: Path, cell_id: str) -> list[list[dict]]:
    """The journals of all attempts at a cell, oldest first."""
    paths = sorted((storage / "tiny" / "cells" / cell_id / "attempts").glob("*/journal.jsonl"))
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]


def has_checkpoint(storage: Path, cell_id: str) -> bool:
    folder = storage / "tiny" / "cells" / cell_id / "attempts"
    return any(folder.glob("*/checkpoints/*.json"))


PRETRAIN = "pretrain/related/20k/nano/s0"


def assert_as_if_nothing_had_happened(storage: Path, undisturbed: dict[str, float]) -> None:
    """All cells done, to the bit; each once in the store, with every report once."""
    from mlflow.tracking import MlflowClient

    assert losses(storage) == undisturbed
    assert one_run_per_cell(storage) == undisturbed
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    for run in client.search_runs([experiment.experiment_id], "tags.`raydt.kind` = 'cell'"):
        cell_id = run.data.tags["raydt.cell_id"]
        result = results(storage)[cell_id]
        folder = storage / "tiny" / "cells" / cell_id / "attempts" / result["attempt"]
        rows = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
        reported = [(r["bytes_seen"], r["val_loss"]) for r in rows if r["event"] == "report"]
        assert len(dict(reported)) == len(reported), f"{cell_id} reported twice"
        history = client.get_metric_history(run.info.run_id, "val/loss")
        assert [(metric.step, metric.value) for metric in history] == reported
    assert not list((storage / "tiny" / "cells").rglob("checkpoints/*.json")), "left behind"


def trial_at(driver: int, cell_id: str, storage: Path) -> psutil.Process:
    """The process that trains a cell: it alone has the cell's journal as its own lately, so it is
    found by what every trial actor is called, the busiest one."""
    actors = [
        child
        for child in psutil.Process(driver).children(recursive=True)
        if child.name().startswith("ray::ImplicitFunc")
    ]
    assert actors, "no trial actor"
    for actor in actors:
        actor.cpu_percent()
    time.sleep(0.5)
    return max(actors, key=lambda actor: actor.cpu_percent())


def test_a_killed_trial_goes_on_where_it_was(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    process = grid(tmp_path, *LONGER, "--slots", "1")
    wait_for(lambda: has_checkpoint(tmp_path, PRETRAIN), process)
    trial_at(process.pid, PRETRAIN, tmp_path).kill()
    code, _, err = finished(process)
    assert code == 0, err
    assert_as_if_nothing_had_happened(tmp_path, undisturbed)
    tried = [journals(tmp_path, cell_id) for cell_id in results(tmp_path)]
    again = [attempts for attempts in tried if len(attempts) > 1]
    assert len(again) == 1, "one cell was cut off, and only that one began again"
    events = [row["event"] for row in again[0][-1]]
    assert events[:2] == ["start", "resume"], "it did not begin from nothing"


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "stopped"])
def test_a_worker_that_is_hit_between_two_cells(
    tmp_path: Path, undisturbed: dict[str, float], is_killed: bool
) -> None:
    process = grid(tmp_path, *LONGER, "--slots", "1")
    wait_for(lambda: len(results(tmp_path)) >= 2, process)
    actor = trial_at(process.pid, PRETRAIN, tmp_path)
    if is_killed:
        actor.kill()
    else:
        actor.suspend()
        time.sleep(STOPPED_SECONDS)
        actor.resume()
    code, _, err = finished(process)
    assert code == 0, err
    assert_as_if_nothing_had_happened(tmp_path, undisturbed)


def test_a_killed_driver_goes_on_within_its_cells(
    tmp_path: Path, undisturbed: dict[str, float]
) -> None:
    process = grid(tmp_path, *LONGER)
    wait_for(lambda: has_checkpoint(tmp_path, PRETRAIN), process)
    os.kill(process.pid, signal.SIGKILL)
    finished(process)
    code, _, err = finished(grid(tmp_path, *LONGER))
    assert code == 0, err
    assert_as_if_nothing_had_happened(tmp_path, undisturbed)
    resumed = [
        cell_id
        for cell_id in results(tmp_path)
        for rows in journals(tmp_path, cell_id)
        if any(row["event"] == "resume" for row in rows)
    ]
    assert PRETRAIN in resumed


def test_a_server_that_comes_back_gets_everything_within_the_launch(
    tmp_path: Path, undisturbed: dict[str, float]
) -> None:
    from mlflow.tracking import MlflowClient

    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    server = start_server(tmp_path, port)
    try:
        process = grid(tmp_path, *LONGER, "--tracking-uri", uri, "--slots", "1")
        wait_for(lambda: len(results(tmp_path)) >= 1, process)
        stop(server)
        wait_for(lambda: len(results(tmp_path)) >= 4, process)
        server = start_server(tmp_path, port)
        code, out, err = finished(process)
        assert code == 0, err
        assert "Not in MLflow yet" not in out
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("tiny")
        runs = client.search_runs([experiment.experiment_id], "tags.`raydt.kind` = 'cell'")
        assert len(runs) == NUM_CELLS
        assert {r.data.tags["raydt.cell_id"]: r.data.metrics["test/loss"] for r in runs} == (
            undisturbed
        )
    finally:
        stop(server)


def test_a_locked_store_stops_no_training(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    process = grid(tmp_path, *LONGER)
    wait_for(lambda: len(results(tmp_path)) >= 1, process)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=60)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        wait_for(lambda: len(results(tmp_path)) == NUM_CELLS, process)
        connection.rollback()
    code, _, err = finished(process)
    assert code == 0, err
    again, _, err = finished(grid(tmp_path, *LONGER))
    assert again == 0, err
    assert_as_if_nothing_had_happened(tmp_path, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path / "disk", "24m") as disk:
        yield disk


def test_a_full_disk_fails_cells_and_loses_none(
    small_disk: Path, undisturbed: dict[str, float]
) -> None:
    process = grid(small_disk, *LONGER)
    wait_for(lambda: len(results(small_disk)) >= 2, process)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass  # now it is full
    code, out, err = finished(process)
    assert code == 1, out
    assert "Traceback" not in err
    assert "No space left" in err
    before = losses(small_disk)
    ballast.unlink()
    code, _, err = finished(grid(small_disk, *LONGER))
    assert code == 0, err
    assert before.items() <= losses(small_disk).items() or None in before.values()
    assert_as_if_nothing_had_happened(small_disk, undisturbed)


def test_a_pretrain_that_fails_for_good_blocks_its_own_children_alone(tmp_path: Path) -> None:
    code, _, err = finished(grid(tmp_path))
    assert code == 0, err
    calm = losses(tmp_path)
    pretrained = results(tmp_path)[PRETRAIN]
    weights = tmp_path / "tiny" / "cells" / PRETRAIN / "attempts" / pretrained["attempt"]
    (weights / "weights.safetensors").write_bytes(b"damaged")
    raydt = [sys.executable, "-m", "raydt"]
    where = ["--storage", str(tmp_path)]
    children = ["finetune/related-alba/2k*", "finetune/related-alba/8k*"]
    subprocess.run([*raydt, "retry", "--done-too", *children, *where], check=True)
    code, out, err = finished(grid(tmp_path))
    assert code == 1
    assert "2 failed" in out
    assert "SHA-256" in err
    assert "Traceback" not in err
    # As the message says: the parent is trained again, and so is all that was made from it.
    subprocess.run([*raydt, "retry", "--done-too", PRETRAIN, *where], check=True)
    code, _, err = finished(grid(tmp_path))
    assert code == 0, err
    assert losses(tmp_path) == calm
    assert one_run_per_cell(tmp_path) == calm
