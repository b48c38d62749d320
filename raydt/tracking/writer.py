"""Write journals to MLflow: the only writer of a store.

`sync` updates the run of a cell to its journal, from wherever it was left. It is used while a cell
runs, after a launch was killed, and to rebuild a store. Rows keep the time of the journal, so a row
that is written twice is the same row.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from raydt.grid.journal import WEIGHTS, attempt_folder
from raydt.grid.journal_rows import JournalRow, ReportRow, StartRow
from raydt.grid.result import Result
from raydt.storage.folder import Folder
from raydt.tracking import schema
from raydt.tracking.cell_numbers import ENDED, final_of, history_of, tags_of
from raydt.tracking.cell_runs import CellRuns
from raydt.tracking.datasets import log_datasets
from raydt.tracking.experiment import open_experiment
from raydt.tracking.logged_models import LoggedModels, ModelOf, metrics_of
from raydt.tracking.provenance import provenance
from raydt.tracking.recorded import Place, key_of, read_state
from raydt.tracking.runs import log
from raydt.tracking.schema import Status
from raydt.tracking.uri import run_address, sqlite_path, without_password
from raydt.tracking.views import add_views


class Writer:
    """Writes the launches and cells of one sweep into one store."""

    def __init__(
        self,
        client: Any,
        store_uri: str,
        sweep: str,
        check_held: Callable[[], None] = lambda: None,
    ) -> None:
        """`check_held` raises if the writing launch no longer holds its sweep."""
        self._check_held = check_held
        self._client = client
        self._store_uri = without_password(store_uri)  # it is written beside every cell
        self._sweep = sweep
        self._launch_id: str | None = None
        experiment = open_experiment(client, store_uri, sweep, {schema.TAG_SWEEP: sweep})
        self.experiment_id = str(experiment.experiment_id)
        self._experiment_key = key_of(experiment.experiment_id, experiment.creation_time)
        self._addresses: dict[str, str] = {}  # of runs, by the folders of their cells
        self._models = LoggedModels(client, self.experiment_id)
        self._runs = CellRuns(
            client, self._models, self._store_uri, sweep, self.experiment_id, self._experiment_key
        )
        add_views(client, self.experiment_id, experiment.tags)

    def start_launch(
        self,
        plan: list[dict[str, object]],
        sweep: Mapping[str, object],
        note: str,
        *,
        more_tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create the parent run of a launch and return its id. Runs of earlier, killed launches are
        ended, because a sweep has only one launch at a time."""
        for run in self._client.search_runs(
            [self.experiment_id],
            f"tags.`{schema.TAG_KIND}` = '{schema.KIND_LAUNCH}' and attributes.status = 'RUNNING'",
        ):
            self._client.set_terminated(run.info.run_id, "KILLED")
        tags = {
            **provenance(),
            **(more_tags or {}),
            schema.TAG_KIND: schema.KIND_LAUNCH,
            schema.TAG_SWEEP: self._sweep,
            schema.TAG_NOTE: note,
        }
        run = self._client.create_run(
            self.experiment_id, tags=tags, run_name=f"{self._sweep} launch"
        )
        launch_id = str(run.info.run_id)
        self._client.log_dict(launch_id, plan, schema.ARTIFACT_PLAN)
        self._client.log_dict(launch_id, dict(sweep), schema.ARTIFACT_SWEEP)
        self._launch_id = launch_id
        return launch_id

    def change_plan(self, plan: list[dict[str, object]]) -> None:
        """Update the plan of the launch, after cells were added."""
        assert self._launch_id is not None
        self._check_held()
        self._client.log_dict(self._launch_id, plan, schema.ARTIFACT_PLAN)

    def end_launch(self, note: str, whole: bool, headline: Mapping[str, float]) -> None:
        """End the parent run with a note, and headline numbers by their names in the schema."""
        from mlflow.entities import Metric, RunTag

        assert self._launch_id is not None
        now = int(time.time() * 1000)
        self._client.log_batch(
            self._launch_id,
            metrics=[Metric(name, value, now, 0) for name, value in headline.items()],
            tags=[RunTag(schema.TAG_NOTE, note)],
        )
        self._client.set_terminated(self._launch_id, "FINISHED" if whole else "FAILED")
        self._know_sizes()

    def _know_sizes(self) -> None:
        """Let SQLite collect statistics: otherwise a page of the UI ordered by a metric takes a
        minute for a grid of 10,000 cells, and with them a second."""
        path = sqlite_path(self._store_uri)
        if path is not None:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("ANALYZE")

    def sync(
        self,
        folder: Folder,
        run_name: str,
        facts: Mapping[str, object],
        rows: Sequence[JournalRow],
        attempt: str,
        result: Result | None,
        *,
        parent: Folder | None = None,
        model: ModelOf | None = None,
    ) -> None:
        """Update the run of the cell in `folder` to `rows` and to its `result`, if there is one.

        `facts` are the cell's params and tags by their names in the schema. `parent` is the folder
        of its parent. With `model`, a LoggedModel is logged if the cell's weights still exist.
        """
        place = Place(folder)
        self._check_held()  # after it was read: see `Place`
        state = self._runs.state_of(place, attempt)
        if state is None:
            state = self._runs.found(place, str(facts.get(schema.TAG_CELL_ID)), attempt)
        if state is None:
            # Reports of a resumed cell are older than its last attempt.
            times = [row.time for row in (*rows, *([result] if result else []))]
            started = min(times, default=None)
            tags = {**facts, **self._link_to(parent)}
            state = self._runs.create(place, run_name, tags, attempt, started, self._launch_id)
        reports = [row for row in rows if isinstance(row, ReportRow)]
        new = reports[state.num_reports :]
        if not new and (result is None or state.ended):
            return
        assert state.run_id is not None
        params = {
            name: str(value)
            for name, value in facts.items()
            if not name.startswith("raydt.") and value is not None
        }
        read = [data for row in rows if isinstance(row, StartRow) for data in row.data]
        if not state.num_reports:
            log_datasets(self._client, state.run_id, read)
        numbers = list(history_of(new))
        if result is not None:
            numbers += final_of(result)
            if model is not None and result.weights_sha256 is not None:
                weights = attempt_folder(folder, result.attempt)
                if weights.exists(WEIGHTS):
                    seen = result.best_bytes_seen or result.bytes_seen
                    state = self._models.log(place, state, weights, model, params, seen)
        log(
            self._client,
            str(state.run_id),
            metrics_of(numbers, state.model_id, read),
            {} if state.num_reports else params,
            {} if result is None else tags_of(result),
        )
        if result is not None:
            self._client.set_terminated(
                state.run_id, ENDED[result.status], end_time=int(result.time * 1000)
            )
        ended = state.ended or result is not None
        place.put(state.model_copy(update={"num_reports": len(reports), "ended": ended}))

    def _link_to(self, parent: Folder | None) -> Mapping[str, str]:
        """A tag with the address of the parent's run; parents are written first. Empty if this
        store does not have that run."""
        if parent is None:
            return {}
        if parent.uri not in self._addresses:
            state = read_state(parent)
            if state is None or state.run_id is None or state.experiment != self._experiment_key:
                return {}
            self._addresses[parent.uri] = run_address(
                self._store_uri, self.experiment_id, state.run_id
            )
        return {schema.TAG_PARENT_RUN: self._addresses[parent.uri]}

    def cancelled(self, folder: Folder) -> None:
        """End the run of the cell in `folder`, which was cancelled while it was running, if the
        store has one that has not ended."""
        from mlflow.entities import RunTag

        place = Place(folder)
        self._check_held()
        state = place.state
        if state is None or state.ended or state.cancelled or state.run_id is None:
            return
        known = self._runs.state_of(place, state.attempt)
        if known is None or known.run_id is None:
            return
        tags = [RunTag(schema.TAG_STATUS, Status.CANCELLED)]
        self._client.log_batch(known.run_id, tags=tags)
        self._client.set_terminated(known.run_id, "KILLED")
        # Not `ended`: an attempt that ended before the cell was cancelled counts after a retry.
        place.put(known.model_copy(update={"cancelled": True}))

    def delete(self, cell_id: str) -> None:
        """Delete all runs of a cell in the store."""
        runs = self._runs.runs_of(cell_id)
        self._check_held()  # after the list: a run that is made later is another launch's
        for run in runs:
            self._runs.delete(str(run.info.run_id), self._check_held)
