from __future__ import annotations

from pathlib import Path

from raydt.storage.local import LocalFolder
from raydt.tracking.store import open_store
from raydt.tracking.uri import sqlite_uri
from raydt.tracking.writer import Writer
from tests.grid.results import report_of, result_of

REPORT = report_of(
    2048, 2.25, time=100.0, train_loss=2.5, val_bpb=3.2, mfu=0.5, mfu_of_matmul=0.625
)


def test_what_a_report_says_are_metrics_at_their_bytes_and_what_it_does_not_say_is_none(
    tmp_path: Path,
) -> None:
    uri = sqlite_uri(tmp_path / "mlflow.db")
    client = open_store(uri)
    writer = Writer(client, uri, "tiny")
    writer.start_launch([], {}, "a note")
    changed = {
        "time": 101.0,
        "bytes_seen": 4096,
        "val_loss": 2.0,
        "mfu": None,
        "mfu_of_matmul": None,
    }
    later = REPORT.model_copy(update=changed)
    writer.sync(LocalFolder(tmp_path / "cell"), "a cell", {}, [REPORT, later], "1", None)
    (run,) = client.search_runs([writer.experiment_id], "attributes.run_name = 'a cell'")
    history = {}
    for name in run.data.metrics:
        metrics = client.get_metric_history(run.info.run_id, name)
        history[name] = [(metric.step, metric.value) for metric in metrics]
    assert history == {
        "train/loss": [(2048, 2.5), (4096, 2.5)],
        "val/loss": [(2048, 2.25), (4096, 2.0)],
        "val/bpb": [(2048, 3.2), (4096, 3.2)],
        "throughput/bytes_per_second": [(2048, 4e5), (4096, 4e5)],
        "throughput/mfu": [(2048, 0.5)],
        "throughput/mfu_of_matmul": [(2048, 0.625)],
    }


def test_what_a_result_says_of_its_end_is_a_metric_and_what_it_does_not_say_is_none(
    tmp_path: Path,
) -> None:
    uri = sqlite_uri(tmp_path / "mlflow.db")
    client = open_store(uri)
    writer = Writer(client, uri, "ends")
    writer.start_launch([], {}, "a note")
    result = result_of(bytes_seen=4096, stopped="converged", test_loss=2.0)
    results = {
        "says": result.model_copy(update={"unfinished": 0.004, "unseen_share": 0.25}),
        "forgot": result.model_copy(
            update={"source_loss": 1.5, "source_bpb": 2.16, "source_loss_rise": -0.25}
        ),
        "says nothing": result.model_copy(update={"unfinished": None, "unseen_share": None}),
        "of an earlier version": result,
    }
    for number, (name, one) in enumerate(results.items()):
        writer.sync(LocalFolder(tmp_path / str(number)), name, {}, [], str(number), one)
    found = {
        run.info.run_name: run.data.metrics for run in client.search_runs([writer.experiment_id])
    }
    said = {"test/loss": 2.0, "final/bytes_seen": 4096.0}
    assert found["says"] == {**said, "final/unfinished": 0.004, "final/unseen_share": 0.25}
    forgot = {"source/loss": 1.5, "source/bpb": 2.16, "source/loss_rise": -0.25}
    assert found["forgot"] == {**said, **forgot}
    assert found["says nothing"] == said
    assert found["of an earlier version"] == said
