"""Views of the runs, in a real store; whether MLflow's own UI knows of such tags."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow

from raydt.tracking import schema
from raydt.tracking.store import open_store
from raydt.tracking.uri import sqlite_uri
from raydt.tracking.views import VIEWS, add_views
from raydt.tracking.writer import Writer


def test_an_experiment_has_its_views_and_they_are_written_once(tmp_path: Path) -> None:
    uri = sqlite_uri(tmp_path / "mlflow.db")
    client = open_store(uri)
    Writer(client, uri, "tiny")
    tags = client.get_experiment_by_name("tiny").tags
    for view in VIEWS:
        envelope = json.loads(tags[f"mlflow.sharedViewState.{view.key}"])
        state = json.loads(envelope["state"])
        assert envelope["name"] == view.name
        assert len(state["selectedColumns"]) == len(view.columns)

    class Counting:
        num_written = 0

        def set_experiment_tag(self, *_: object) -> None:
            self.num_written += 1

    again = Counting()
    add_views(again, "1", tags)
    assert again.num_written == 0
    add_views(again, "1", {**tags, f"mlflow.sharedViewState.{schema.CELLS_VIEW}": "{}"})
    assert again.num_written == 1


def test_the_filters_and_orders_are_ones_that_mlflow_takes(tmp_path: Path) -> None:
    uri = sqlite_uri(tmp_path / "mlflow.db")
    client = open_store(uri)
    writer = Writer(client, uri, "tiny")
    launch = writer.start_launch([], {}, "a note")
    client.create_run(writer.experiment_id, tags={schema.TAG_KIND: schema.KIND_CELL})
    found = {}
    for view in VIEWS:
        order = f"{view.order_by} {'ASC' if view.ascending else 'DESC'}"
        runs = client.search_runs([writer.experiment_id], view.filter, order_by=[order])
        found[view.key] = [run.info.run_id for run in runs]
    assert found[schema.LAUNCHES_VIEW] == [launch]
    assert len(found[schema.CELLS_VIEW]) == 1
    assert found[schema.TRANSFER_VIEW] == []


def test_a_launch_ends_with_its_headline_and_its_note(tmp_path: Path) -> None:
    uri = sqlite_uri(tmp_path / "mlflow.db")
    client = open_store(uri)
    writer = Writer(client, uri, "tiny")
    launch = writer.start_launch([], {}, "Running.")
    writer.end_launch("**2 of 3 cells done.**", False, {schema.METRIC_CELLS_DONE: 2.0})
    run = client.get_run(launch)
    assert run.data.metrics == {schema.METRIC_CELLS_DONE: 2.0}
    assert run.data.tags[schema.TAG_NOTE] == "**2 of 3 cells done.**"
    assert run.info.status == "FAILED"


def test_the_ui_that_is_installed_reads_such_tags() -> None:
    # No documented interface: an MLflow that does without it has to be seen here first.
    scripts = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    text = "".join(path.read_text(encoding="utf-8") for path in scripts.glob("main.*.js"))
    for word in ("mlflow.sharedViewState.", "viewStateShareKey", '"selectedColumns"'):
        assert word in text
