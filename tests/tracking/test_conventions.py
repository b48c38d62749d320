"""What MLflow's users expect to find in a store, in a real one: SQLite, and a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

import raydt
from raydt.probes.score import text_nats
from raydt.storage.local import LocalFolder
from raydt.tracking import schema
from raydt.tracking.runs import log
from raydt.tracking.store import open_store
from raydt.tracking.uri import sqlite_uri
from raydt.tracking.writer import Writer
from tests.grid.results import report_of
from tests.integration.mlflow_server import start_server, stop
from tests.ports import free_port
from tests.tracking.recorded_cell import ATTEMPT, CELL, FACTS, READ, ROWS, RecordedCell

TEXTS = ["one text", "another, ünd löng " * 20]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("server", marks=pytest.mark.integration)]
)
def uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("store")
    if request.param == "sqlite":
        yield sqlite_uri(folder / "mlflow.db")
        return
    port = free_port()
    server = start_server(folder, port)
    yield f"http://127.0.0.1:{port}"
    stop(server)


@pytest.fixture
def cell(tmp_path: Path) -> RecordedCell:
    return RecordedCell(tmp_path / "cell")


def run_of(client: MlflowClient, writer: Writer, where: str = "") -> Any:
    kind = f"tags.`{schema.TAG_KIND}` = 'cell'"
    (run,) = client.search_runs([writer.experiment_id], " and ".join(filter(None, (kind, where))))
    return run


def test_runs_say_who_and_what_made_them(uri: str, cell: RecordedCell) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "who")
    launch = writer.start_launch([], {}, "a note")
    cell.sync(writer)
    for run in (client.get_run(launch), run_of(client, writer)):
        tags = run.data.tags
        assert tags["mlflow.user"] == run.info.user_id
        assert tags["mlflow.source.name"] == sys.argv[0]
        assert tags["mlflow.source.type"] == "LOCAL"
        assert tags[schema.TAG_VERSION] == raydt.__version__


def test_the_commit_of_the_source_is_a_tag(tmp_path: Path) -> None:
    script = tmp_path / "sweep.py"
    script.write_text(
        "from raydt.tracking.provenance import provenance\n"
        "print(provenance()['mlflow.source.git.commit'])\n"
    )
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "sweep.py"], ["commit", "-qm", "a sweep"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    said = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert said.stdout == head.stdout
    # On a machine without git, as in an image, there is none, and nobody is told at length.
    program = "from raydt.tracking.provenance import provenance; print(*provenance())"
    without = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "mlflow.user" in without.stdout
    assert "git" not in without.stdout + without.stderr


def test_a_run_is_found_by_its_data(uri: str, cell: RecordedCell) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "data")
    cell.sync(writer)
    run = run_of(
        client, writer, f"dataset.name = 'related/train' and dataset.digest = '{READ[0].digest}'"
    )
    assert not client.search_runs([writer.experiment_id], "dataset.name = 'alba/train'")
    inputs = {each.dataset.name: each for each in run.inputs.dataset_inputs}
    assert inputs.keys() == {"related/train", "related/val", "related/test"}
    for read in READ:
        given = inputs[f"related/{read.split}"]
        assert json.loads(given.dataset.profile) == {
            "num_bytes": read.num_bytes,
            "num_documents": read.num_documents,
        }
        assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": read.split}
        source = mlflow.data.get_source(given.dataset)
        assert source.to_dict() == {"tags": {"corpus": "controlled"}}


def test_a_pretrain_is_a_model_that_scores_text(uri: str, cell: RecordedCell) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "models")
    cell.sync(writer)
    (model,) = client.search_logged_models([writer.experiment_id])
    run = run_of(client, writer)
    assert model.source_run_id == run.info.run_id
    assert [each.model_id for each in run.outputs.model_outputs] == [model.model_id]
    assert str(model.status) == "READY"
    assert model.params == {schema.PARAM_STAGE: "pretrain", schema.PARAM_SOURCE: "related"}
    measured = {metric.key: metric for metric in model.metrics}
    assert measured[schema.METRIC_TEST_LOSS].value == 2.0
    assert measured[schema.METRIC_TEST_LOSS].dataset_name == "related/test"
    assert measured[schema.METRIC_TEST_LOSS].dataset_digest == READ[2].digest
    assert measured[schema.METRIC_BEST_VAL_LOSS].dataset_name == "related/val"
    assert measured[schema.METRIC_BYTES_SEEN].dataset_name is None
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pyfunc.load_model(model.model_uri)
    finally:
        mlflow.set_tracking_uri(before)
    nats = text_nats(cell.model.eval(), [text.encode() for text in TEXTS])
    per_byte = nats / [len(text.encode()) for text in TEXTS]
    np.testing.assert_allclose(loaded.predict(TEXTS), per_byte, rtol=1e-6)
    import pandas as pd

    np.testing.assert_allclose(loaded.predict(pd.DataFrame({"text": TEXTS})), per_byte, rtol=1e-6)


def test_a_sync_that_is_killed_anywhere_comes_to_the_same(
    tmp_path: Path, cell: RecordedCell
) -> None:
    uri = sqlite_uri(tmp_path / "mlflow.db")
    client = open_store(uri)
    counting = Dying(client, None)
    cell.sync(Writer(counting, uri, "whole"))
    (tmp_path / "cell" / "mlflow.json").unlink()
    assert counting.calls > 8
    for call in range(counting.calls):
        for is_done in (False, True):
            sweep = f"killed {call} {is_done}"
            with pytest.raises(KilledError):
                cell.sync(Writer(Dying(client, call, is_done), uri, sweep))
            writer = Writer(client, uri, sweep)
            cell.sync(writer)
            cell.sync(Writer(client, uri, sweep))  # again, and nothing happens
            run = run_of(client, writer)
            (model,) = client.search_logged_models([writer.experiment_id])
            assert [each.model_id for each in run.outputs.model_outputs] == [model.model_id], sweep
            assert str(model.status) == "READY"
            assert len(run.inputs.dataset_inputs) == len(READ)
            assert run.info.status == "FINISHED"
            history = client.get_metric_history(run.info.run_id, schema.METRIC_VAL_LOSS)
            assert [metric.value for metric in history] == [2.5, 2.25]
            final = {metric.key for metric in model.metrics}
            assert final >= {schema.METRIC_TEST_LOSS, schema.METRIC_BYTES_SEEN}
            (tmp_path / "cell" / "mlflow.json").unlink()


class KilledError(BaseException):
    """As of SIGKILL: no handler helps."""


class Dying:
    """A client of a store whose process is killed at a call, before or after it is done."""

    def __init__(self, client: MlflowClient, at: int | None, is_done: bool = False) -> None:
        self._client, self._at, self._is_done, self.calls = client, at, is_done, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls - 1 != self._at:
                return method(*given, **named)
            if self._is_done:
                method(*given, **named)
            raise KilledError

        return call


def test_a_model_goes_with_its_run(uri: str, cell: RecordedCell) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "gone")
    cell.sync(writer)
    # Another attempt takes its place, whose weights are not on the storage any more.
    cell.weights.unlink()
    again = cell.result.model_copy(update={"attempt": "2"})
    writer.sync(cell.folder, "pretrain", FACTS, ROWS, "2", again)
    assert run_of(client, writer).data.tags[schema.TAG_ATTEMPT] == "2"
    assert not client.search_logged_models([writer.experiment_id])
    writer.delete(CELL)
    assert not client.search_runs([writer.experiment_id])


def test_a_model_follows_a_store_that_was_moved(tmp_path: Path, cell: RecordedCell) -> None:
    uri = sqlite_uri(tmp_path / "before" / "mlflow.db")
    cell.sync(Writer(open_store(uri), uri, "moved"))
    (tmp_path / "before").rename(tmp_path / "after")
    uri = sqlite_uri(tmp_path / "after" / "mlflow.db")
    client = open_store(uri)
    writer = Writer(client, uri, "moved")
    (model,) = client.search_logged_models([writer.experiment_id])
    assert Path(model.artifact_location.removeprefix("file://"), "MLmodel").is_file()


def test_what_a_machine_does_is_a_metric_of_its_run(uri: str, tmp_path: Path) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "system")
    rows = [report_of(2048, system={"cpu_utilization_percentage": 50.0}), report_of(4096)]
    writer.sync(LocalFolder(tmp_path), "a cell", {}, rows, "1", None)
    run_id = run_of(client, writer).info.run_id
    history = client.get_metric_history(run_id, "system/cpu_utilization_percentage")
    assert [(metric.step, metric.value) for metric in history] == [(2048, 50.0)]


def test_weights_that_are_gone_are_no_model(uri: str, cell: RecordedCell) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "freed")
    cell.weights.unlink()
    cell.sync(writer)
    assert run_of(client, writer).info.status == "FINISHED"
    assert not client.search_logged_models([writer.experiment_id])


def test_a_finetune_says_where_the_run_of_its_pretrain_is(
    uri: str, cell: RecordedCell, tmp_path: Path
) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "links")
    child = LocalFolder(tmp_path / "child")
    facts = {schema.TAG_CELL_ID: "finetune/related-alba/2k/nano/s0"}
    rows = [report_of(2048, 2.0, time=103.0)]
    # Of a parent that this store has not, nothing is said.
    writer.sync(
        LocalFolder(tmp_path / "other"), "other", facts, rows, "1", None, parent=cell.folder
    )
    assert schema.TAG_PARENT_RUN not in run_of(client, writer).data.tags
    writer.delete(str(facts[schema.TAG_CELL_ID]))
    cell.sync(writer)
    parent = run_of(client, writer).info.run_id
    writer.sync(child, "child", facts, rows, "1", None, parent=cell.folder)
    run = run_of(client, writer, "attributes.run_name = 'child'")
    address = run.data.tags[schema.TAG_PARENT_RUN]
    if uri.startswith("http"):
        assert address == f"{uri}/#/experiments/{writer.experiment_id}/runs/{parent}"
    else:
        assert address == f"runs:/{parent}"


def test_what_is_longer_than_mlflow_takes_is_cut(uri: str) -> None:
    client = open_store(uri)
    writer = Writer(client, uri, "long")
    launch = writer.start_launch([], {}, "a note")
    for _ in range(2):  # again, and it is the same value
        log(client, launch, [], {"long": "ü" * 7000}, {"long": "x" * 9000})
    data = client.get_run(launch).data
    assert data.params["long"] == "ü" * 6000
    assert data.tags["long"] == "x" * 5000


def test_what_users_log_themselves_is_not_disturbed(tmp_path: Path, cell: RecordedCell) -> None:
    theirs, ours = (sqlite_uri(tmp_path / name / "mlflow.db") for name in ("theirs", "ours"))
    open_store(theirs)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(theirs)
    try:
        with mlflow.start_run() as run:
            mlflow.log_param("own", 1)
            writer = Writer(open_store(ours), ours, "sweep")
            writer.start_launch([], {}, "a note")
            cell.sync(writer)
            active = mlflow.active_run()
            assert active is not None
            assert active.info.run_id == run.info.run_id
            assert mlflow.get_tracking_uri() == theirs
            assert mlflow.get_active_model_id() is None
            mlflow.log_metric("own", 2.0)
        found = MlflowClient(theirs).get_run(run.info.run_id)
        assert found.data.params == {"own": "1"}
        assert found.data.metrics == {"own": 2.0}
        assert not found.inputs.dataset_inputs
        assert schema.TAG_KIND not in found.data.tags
    finally:
        mlflow.set_tracking_uri(before)


def test_whoever_writes_a_model_imports_no_torch(tmp_path: Path, cell: RecordedCell) -> None:
    program = """
import sys
from pathlib import Path
from raydt.grid.result import Result
from raydt.storage.local import LocalFolder
from raydt.tracking.logged_models import ModelOf
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer
uri, folder, result = sys.argv[1:]
writer = Writer(open_store(uri), uri, "sweep")
result = Result.model_validate_json(result)
writer.sync(LocalFolder(Path(folder)), "x", {}, [], result.attempt, result, model=ModelOf("x", {}))
(model,) = open_store(uri).search_logged_models([writer.experiment_id])
assert "torch" not in sys.modules
"""
    words = [sqlite_uri(tmp_path / "mlflow.db"), cell.folder.uri, cell.result.model_dump_json()]
    subprocess.run([sys.executable, "-c", program, *words], check=True)
    assert cell.result.attempt == ATTEMPT
