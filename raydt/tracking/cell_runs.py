"""Find the run of a cell. Each cell has one run in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raydt.errors import RunError
from raydt.tracking import schema
from raydt.tracking.logged_models import LoggedModels
from raydt.tracking.provenance import provenance
from raydt.tracking.recorded import Place, Recorded
from raydt.tracking.runs import every_run
from raydt.tracking.schema import Status
from raydt.tracking.uri import sqlite_path


class CellRuns:
    """Finds, makes and deletes the runs of cells in one experiment."""

    def __init__(
        self,
        client: Any,
        models: LoggedModels,
        store_uri: str,
        sweep: str,
        experiment_id: str,
        experiment_key: str,
    ) -> None:
        """`store_uri` has no password, because it is written beside every cell."""
        self._client = client
        self._store_uri = store_uri
        self._sweep = sweep
        self._experiment_id = experiment_id
        self._experiment_key = experiment_key
        self._models = models
        # If the store has runs of cells, a cell whose folder does not know its run may still have
        # one.
        kind = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}'"
        self._had_cells = bool(client.search_runs([experiment_id], kind, max_results=1))

    def state_of(self, place: Place, attempt: str) -> Recorded | None:
        """How far this attempt is written, if into this store, and its run exists."""
        state = place.state
        if state is None or state.run_id is None:
            return None
        # A SQLite store may have been moved, so it is identified by its experiment and runs.
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

    def found(self, place: Place, cell_id: str, attempt: str) -> Recorded | None:
        """Look up a cell in the store if its `mlflow.json` is damaged, missing or of another store:
        the run of this attempt, to be written from the first row, or None. Other runs of the cell
        are deleted, so that it has only one.
        """
        had_state = place.state is not None
        # Recorded first, so that a run is looked for if its creation was interrupted.
        place.put(self._begun(attempt, None))
        if not self._had_cells and not had_state:
            return None  # not written yet
        found = None
        runs = self.runs_of(cell_id)
        place.check()  # after listing: a run that is created later belongs to another launch
        for run in runs:
            # Runs of interrupted attempts; their numbers stay in their journals.
            if found is not None or run.data.tags.get(schema.TAG_ATTEMPT) != attempt:
                self.delete(str(run.info.run_id), place.check)
                continue
            found = self._begun(attempt, str(run.info.run_id))
        if found is not None:
            place.put(found)
        return found

    def delete(self, run_id: str, check: Callable[[], None]) -> None:
        """Delete a run and its models. `check` raises if this launch must not do so. It is called
        before each deletion, because a paused launch may have been taken over."""
        self._models.delete_of(run_id, check)
        check()
        self._client.delete_run(run_id)

    def runs_of(self, cell_id: str) -> list[Any]:
        """All runs of a cell that are not deleted."""
        quote = '"' if "'" in cell_id else "'"
        where = (
            f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}' and "
            f"tags.`{schema.TAG_CELL_ID}` = {quote}{cell_id}{quote}"
        )
        return list(every_run(self._client, self._experiment_id, where))

    def _begun(self, attempt: str, run_id: str | None) -> Recorded:
        """The state of a run of which nothing is written yet."""
        return Recorded(
            store_uri=self._store_uri,
            experiment=self._experiment_key,
            run_id=run_id,
            attempt=attempt,
            num_reports=0,
            ended=False,
        )

    def create(
        self,
        place: Place,
        run_name: str,
        facts: Mapping[str, object],
        attempt: str,
        started_seconds: float | None,
        launch_id: str | None,
    ) -> Recorded:
        """Create a run of a cell, under its launch if there is one; `RunError` if another launch
        writes the cell."""
        tags = {**provenance()}
        tags |= {name: str(value) for name, value in facts.items() if name.startswith("raydt.")}
        tags |= {
            schema.TAG_KIND: schema.KIND_CELL,
            schema.TAG_SWEEP: self._sweep,
            schema.TAG_STATUS: Status.RUNNING,
            schema.TAG_ATTEMPT: attempt,
        }
        if launch_id is not None:
            tags["mlflow.parentRunId"] = launch_id
        run = self._client.create_run(
            self._experiment_id,
            # The start of the cell, not of writing it.
            start_time=None if started_seconds is None else int(started_seconds * 1000),
            tags=tags,
            run_name=run_name,
        )
        state = self._begun(attempt, str(run.info.run_id))
        try:
            place.put(state)
        except RunError:
            # A cell has only one run. A faster launch may have found this one and kept it.
            there = place.now()
            if there is None or there.run_id != state.run_id:
                self._client.delete_run(state.run_id)
            raise
        return state
