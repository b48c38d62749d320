"""Which run of a store is a cell's: in the store a cell has one."""

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
        """`store_uri` is without its password: it is written beside every cell."""
        self._client = client
        self._store_uri = store_uri
        self._sweep = sweep
        self._experiment_id = experiment_id
        self._experiment_key = experiment_key
        self._models = models
        # Whether cells were written before: then a cell whose folder does not know its run may
        # have one all the same.
        kind = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}'"
        self._had_cells = bool(client.search_runs([experiment_id], kind, max_results=1))

    def state_of(self, place: Place, attempt: str) -> Recorded | None:
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

    def found(self, place: Place, cell_id: str, attempt: str) -> Recorded | None:
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
        runs = self.runs_of(cell_id)
        place.check()  # after the list: a run that is made later is another launch's
        for run in runs:
            # Those of attempts that were cut off: their numbers stay in their journals.
            if found is not None or run.data.tags.get(schema.TAG_ATTEMPT) != attempt:
                self.delete(str(run.info.run_id), place.check)
                continue
            found = self._begun(attempt, str(run.info.run_id))
        if found is not None:
            place.put(found)
        return found

    def delete(self, run_id: str, check: Callable[[], None]) -> None:
        """Delete a run and its models. `check` raises if that is not for this launch to do, asked
        before each: who slept since it looked may have been taken over."""
        self._models.delete_of(run_id, check)
        check()
        self._client.delete_run(run_id)

    def runs_of(self, cell_id: str) -> list[Any]:
        """Every run of a cell that is not deleted."""
        quote = '"' if "'" in cell_id else "'"
        where = (
            f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}' and "
            f"tags.`{schema.TAG_CELL_ID}` = {quote}{cell_id}{quote}"
        )
        return list(every_run(self._client, self._experiment_id, where))

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

    def create(
        self,
        place: Place,
        run_name: str,
        facts: Mapping[str, object],
        attempt: str,
        started_seconds: float | None,
        launch_id: str | None,
    ) -> Recorded:
        """A new run of a cell, under a launch if there is one; `RunError` if another launch writes
        the cell."""
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
