"""From journals to MLflow: the only writer of a store.

`sync` brings the run of a cell up to what its journal says, from wherever it was left; it is used
while a cell runs, after a launch that was killed, and to rebuild a store. Rows keep the time of
the journal, so a row that was written twice is one row.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from raydt.errors import RunError
from raydt.grid.journal_rows import JournalRow, ReportRow
from raydt.grid.result import Result
from raydt.storage.folder import Folder
from raydt.tracking import schema
from raydt.tracking.experiment import open_experiment
from raydt.tracking.recorded import Place, Recorded, key_of
from raydt.tracking.runs import every_run, log
from raydt.tracking.schema import Status
from raydt.tracking.uri import sqlite_path, without_password
from raydt.tracking.views import add_views

# Fields of a journal's reports and of a result, and the metrics they become.
_HISTORY = {
    "train_loss": schema.METRIC_TRAIN_LOSS,
    "val_loss": schema.METRIC_VAL_LOSS,
    "val_bpb": schema.METRIC_VAL_BPB,
    "bytes_per_second": schema.METRIC_BYTES_PER_SECOND,
    "mfu": schema.METRIC_MFU,
    "mfu_of_matmul": schema.METRIC_MFU_OF_MATMUL,
}
_FINAL = {
    "test_loss": schema.METRIC_TEST_LOSS,
    "test_bpb": schema.METRIC_TEST_BPB,
    "test_loss_stderr": schema.METRIC_TEST_LOSS_STDERR,
    "best_val_loss": schema.METRIC_BEST_VAL_LOSS,
    "best_bytes_seen": schema.METRIC_BEST_BYTES_SEEN,
    "bytes_seen": schema.METRIC_BYTES_SEEN,
    "seconds": schema.METRIC_SECONDS,
    "unfinished": schema.METRIC_UNFINISHED,
    "unseen_share": schema.METRIC_UNSEEN_SHARE,
}
_ENDED = {Status.DONE: "FINISHED", Status.FAILED: "FAILED", Status.DIVERGED: "FAILED"}


class Writer:
    """Writes the launches and cells of one sweep into one store."""

    def __init__(
        self,
        client: Any,
        store_uri: str,
        sweep: str,
        check_held: Callable[[], None] = lambda: None,
    ) -> None:
        """`check_held` raises if the launch that writes does not hold its sweep any more."""
        self._check_held = check_held
        self._client = client
        self._store_uri = without_password(store_uri)  # it is written beside every cell
        self._sweep = sweep
        self._launch_id: str | None = None
        experiment = open_experiment(client, store_uri, sweep, {schema.TAG_SWEEP: sweep})
        self.experiment_id = str(experiment.experiment_id)
        self._experiment_key = key_of(experiment.experiment_id, experiment.creation_time)
        # Whether cells were written before: then a cell whose folder does not know its run may
        # have one all the same.
        kind = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}'"
        self._had_cells = bool(client.search_runs([self.experiment_id], kind, max_results=1))
        add_views(client, self.experiment_id, experiment.tags)

    def start_launch(
        self,
        plan: list[dict[str, object]],
        sweep: Mapping[str, object],
        note: str,
        *,
        more_tags: Mapping[str, str] | None = None,
    ) -> str:
        """Open the parent run of a launch; its id. Launches of before that were killed end here:
        of a sweep one launch is at work at a time."""
        for run in self._client.search_runs(
            [self.experiment_id],
            f"tags.`{schema.TAG_KIND}` = '{schema.KIND_LAUNCH}' and attributes.status = 'RUNNING'",
        ):
            self._client.set_terminated(run.info.run_id, "KILLED")
        tags = {
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
        """The launch has come to have more cells than it began with."""
        assert self._launch_id is not None
        self._check_held()
        self._client.log_dict(self._launch_id, plan, schema.ARTIFACT_PLAN)

    def end_launch(self, note: str, whole: bool, headline: Mapping[str, float]) -> None:
        """Close the parent run with what came of it: a note, and numbers by their names in the
        schema."""
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
        """Let SQLite count its tables: without, a page of the UI in the order of a metric takes a
        minute of a grid of 10,000 cells, and after it a second."""
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
    ) -> None:
        """Bring the run of the cell in `folder` up to `rows` and, if there is one, its `result`.

        `facts` are the cell's params and tags by their names in the schema.
        """
        place = Place(folder)
        self._check_held()  # after it was read: see `Place`
        state = self._state(place, attempt)
        if state is None:
            state = self._found(place, str(facts.get(schema.TAG_CELL_ID)), attempt)
        if state is None:
            # The reports of a cell that was resumed are older than its last attempt.
            times = [row.time for row in (*rows, *([result] if result else []))]
            started = min(times, default=None)
            state = self._create_run(place, run_name, facts, attempt, started)
        reports = [row for row in rows if isinstance(row, ReportRow)]
        new = reports[state.num_reports :]
        if not new and (result is None or state.ended):
            return
        metrics = [
            (name, value, row.time, row.bytes_seen)
            for row in new
            for field, name in _HISTORY.items()
            if (value := getattr(row, field)) is not None
        ]
        if result is not None:
            metrics += [
                (name, value, result.time, result.bytes_seen)
                for field, name in _FINAL.items()
                if (value := getattr(result, field)) is not None
            ]
        params = {
            name: str(value)
            for name, value in facts.items()
            if not name.startswith("raydt.") and value is not None
        }
        assert state.run_id is not None
        self._log(state.run_id, {} if state.num_reports else params, metrics, result)
        if result is not None:
            self._client.set_terminated(
                state.run_id, _ENDED[result.status], end_time=int(result.time * 1000)
            )
        ended = state.ended or result is not None
        place.put(state.model_copy(update={"num_reports": len(reports), "ended": ended}))

    def cancelled(self, folder: Folder) -> None:
        """End the run of the cell in `folder`, which was cancelled while it ran, if the store has
        one that has not ended."""
        from mlflow.entities import RunTag

        place = Place(folder)
        self._check_held()
        state = place.state
        if state is None or state.ended or state.run_id is None:
            return
        known = self._state(place, state.attempt)
        if known is None or known.run_id is None:
            return
        tags = [RunTag(schema.TAG_STATUS, Status.CANCELLED)]
        self._client.log_batch(known.run_id, tags=tags)
        self._client.set_terminated(known.run_id, "KILLED")
        place.put(known.model_copy(update={"ended": True}))

    def delete(self, cell_id: str) -> None:
        """Delete every run of a cell that the store has."""
        runs = self._runs_of(cell_id)
        self._check_held()  # after the list: a run that is made later is another launch's
        for run in runs:
            self._client.delete_run(run.info.run_id)

    def _state(self, place: Place, attempt: str) -> Recorded | None:
        """Where the store was left, if it is this store, this attempt and the run is there."""
        state = place.state
        if state is None or state.run_id is None:
            return None
        # A SQLite store may have been moved: it is known by its experiment and its runs.
        elsewhere = state.store_uri != self._store_uri and sqlite_path(self._store_uri) is None
        if elsewhere or state.experiment != self._experiment_key or state.attempt != attempt:
            return None
        if not self._is_there(state.run_id):
            return None
        if state.store_uri != self._store_uri:
            state = state.model_copy(update={"store_uri": self._store_uri})
            place.put(state)
        return state

    def _is_there(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return bool(run.info.lifecycle_stage != "deleted")

    def _found(self, place: Place, cell_id: str, attempt: str) -> Recorded | None:
        """What the store itself knows of a cell whose folder does not know (its `mlflow.json` is
        damaged, of another store or gone): the run of this attempt, to be written from the first
        row, or None. Other runs of the cell go: in the store it has one.
        """
        had_state = place.state is not None
        # Said before it is done: a run whose making was cut off is looked for.
        place.put(self._begun(attempt, None))
        if not self._had_cells and not had_state:
            return None  # nobody has begun to write it
        found = None
        runs = self._runs_of(cell_id)
        place.check()  # after the list: a run that is made later is another launch's
        for run in runs:
            # Those of attempts that were cut off: their numbers stay in their journals.
            if found is not None or run.data.tags.get(schema.TAG_ATTEMPT) != attempt:
                self._client.delete_run(run.info.run_id)
                continue
            found = self._begun(attempt, str(run.info.run_id))
        if found is not None:
            place.put(found)
        return found

    def _runs_of(self, cell_id: str) -> list[Any]:
        quote = '"' if "'" in cell_id else "'"
        where = (
            f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}' and "
            f"tags.`{schema.TAG_CELL_ID}` = {quote}{cell_id}{quote}"
        )
        return list(every_run(self._client, self.experiment_id, where))

    def _begun(self, attempt: str, run_id: str | None) -> Recorded:
        """A run of which nothing is written yet, as far as is known."""
        return Recorded(
            store_uri=self._store_uri,
            experiment=self._experiment_key,
            run_id=run_id,
            attempt=attempt,
            num_reports=0,
            ended=False,
        )

    def _create_run(
        self,
        place: Place,
        run_name: str,
        facts: Mapping[str, object],
        attempt: str,
        started_seconds: float | None,
    ) -> Recorded:
        tags = {name: str(value) for name, value in facts.items() if name.startswith("raydt.")}
        tags |= {
            schema.TAG_KIND: schema.KIND_CELL,
            schema.TAG_SWEEP: self._sweep,
            schema.TAG_STATUS: Status.RUNNING,
            schema.TAG_ATTEMPT: attempt,
        }
        if self._launch_id is not None:
            tags["mlflow.parentRunId"] = self._launch_id
        run = self._client.create_run(
            self.experiment_id,
            # When the cell began, not when it was written down.
            start_time=None if started_seconds is None else int(started_seconds * 1000),
            tags=tags,
            run_name=run_name,
        )
        state = self._begun(attempt, str(run.info.run_id))
        try:
            place.put(state)
        except RunError:
            # In the store a cell has one; who was quicker may have found this one, and kept it.
            there = place.now()
            if there is None or there.run_id != state.run_id:
                self._client.delete_run(state.run_id)
            raise
        return state

    def _log(
        self,
        run_id: str,
        params: Mapping[str, str],
        rows: list[tuple[str, float, float, int]],
        result: Result | None,
    ) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(seconds * 1000), step)
            for name, value, seconds, step in rows
            if math.isfinite(value)
        ]
        log(self._client, run_id, metrics, params, {} if result is None else _tags_of(result))


def _tags_of(result: Result) -> dict[str, str]:
    tags = {schema.TAG_STATUS: str(result.status)}
    if result.reason:
        tags[schema.TAG_REASON] = result.reason[:500]
    if result.stopped:
        tags[schema.TAG_STOPPED] = result.stopped
    # Of a cell that an earlier version trained it is not known.
    if result.precision:
        tags[schema.TAG_PRECISION] = result.precision
    return tags
