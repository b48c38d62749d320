"""A real MLflow server that goes away in the middle and comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.mlflow_server import start_server, stop
from tests.integration.tiny import (
    LONGER,
    NUM_CELLS,
    attempt_of,
    finished,
    grid,
    results,
    wait_for,
)
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_a_server_that_dies_stops_no_training_and_loses_no_number(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    port = free_port()
    server = start_server(tmp_path, port)
    uri = f"http://127.0.0.1:{port}"
    try:
        process = grid(tmp_path, "--tracking-uri", uri)
        wait_for(lambda: len(results(tmp_path)) >= 2, process)
    finally:
        stop(server)
    code, out, err = finished(process)
    assert code == 0, err
    assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
    assert "Not in MLflow yet" in out
    assert "Traceback" not in err
    server = start_server(tmp_path, port)
    try:
        code, out, err = finished(grid(tmp_path, "--tracking-uri", uri))
        assert code == 0, err
        assert "Nothing to train" in out
        assert "Not in MLflow yet" not in out
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("tiny")
        runs = client.search_runs([experiment.experiment_id], "tags.`raydt.kind` = 'cell'")
        losses = {run.data.tags["raydt.cell_id"]: run.data.metrics["test/loss"] for run in runs}
        assert len(runs) == NUM_CELLS
        assert losses == {c: r["test_loss"] for c, r in results(tmp_path).items()}
    finally:
        stop(server)


def test_a_server_that_is_back_before_the_end_misses_nothing(tmp_path: Path) -> None:
    # Away for as long as two cells take, not for a minute: how long is nothing to the recorder,
    # which tries again every few seconds, and once more at the end. Cells are long enough that the
    # server is back, which takes some seconds, before the last of them.
    from mlflow.tracking import MlflowClient

    port = free_port()
    server = start_server(tmp_path, port)
    uri = f"http://127.0.0.1:{port}"
    seeds = [str(seed) for seed in range(4)]
    try:
        process = grid(tmp_path, "--tracking-uri", uri, *LONGER, "--seeds", *seeds)
        wait_for(lambda: len(results(tmp_path)) >= 2, process)
    finally:
        stop(server)
    wait_for(lambda: len(results(tmp_path)) >= 4, process)
    server = start_server(tmp_path, port)
    try:
        code, out, err = finished(process)
        assert code == 0, err
        assert "Not in MLflow yet" not in out
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("tiny")
        runs = client.search_runs([experiment.experiment_id], "tags.`raydt.kind` = 'cell'")
        done = results(tmp_path)
        assert len(done) == len(runs) == NUM_CELLS * len(seeds)
        for run in runs:
            result = done[run.data.tags["raydt.cell_id"]]
            assert run.data.metrics["test/loss"] == result["test_loss"]
            journal = attempt_of(tmp_path, result) / "journal.jsonl"
            rows = [json.loads(line) for line in journal.read_text().splitlines()]
            history = client.get_metric_history(run.info.run_id, "val/loss")
            reported = [row["val_loss"] for row in rows if row["event"] == "report"]
            assert [metric.value for metric in history] == reported, "none lost, none doubled"
    finally:
        stop(server)
