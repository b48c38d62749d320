"""Write a search for hyperparameters to the store: one parent run, and a child run per trial.

The runs have their own kinds, so that `analysis` does not mistake a search for a sweep.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from raydt.tracking import schema
from raydt.tracking.experiment import open_experiment
from raydt.tracking.provenance import provenance
from raydt.tracking.runs import every_run, log

_ENDED = {"done": "FINISHED", "stopped": "KILLED", "diverged": "FAILED"}


class SearchWriter:
    """Writes one search into one store; existing runs are not written again."""

    def __init__(self, client: Any, store_uri: str, experiment: str, sweep: str) -> None:
        self._client = client
        tags = {schema.TAG_SWEEP: sweep, schema.TAG_KIND: schema.KIND_SEARCH}
        self.experiment_id = str(open_experiment(client, store_uri, experiment, tags).experiment_id)
        self._experiment = experiment
        self._sweep = sweep
        self._search_id = self._open()
        self.recorded = self._recorded()
        self._begun: dict[str, str] = {}  # runs of trials, if writing one is interrupted

    def _open(self) -> str:
        """The parent run, which is that of an earlier launch if there was one."""
        kind = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_SEARCH}'"
        runs = self._client.search_runs([self.experiment_id], kind, max_results=1)
        if runs:
            self._client.update_run(runs[0].info.run_id, status="RUNNING")
            return str(runs[0].info.run_id)
        own = {schema.TAG_KIND: schema.KIND_SEARCH, schema.TAG_SWEEP: self._sweep}
        tags = {**provenance(), **own}
        run = self._client.create_run(self.experiment_id, tags=tags, run_name=self._experiment)
        return str(run.info.run_id)

    def _recorded(self) -> set[str]:
        """Ids of the trials with a complete run."""
        where = (
            f"tags.`{schema.TAG_KIND}` = '{schema.KIND_TRIAL}' and attributes.status != 'RUNNING'"
        )
        runs = every_run(self._client, self.experiment_id, where)
        return {run.data.tags[schema.TAG_TRIAL_ID] for run in runs}

    def write_text(self, text: str, name: str) -> None:
        """Write an artifact of the search."""
        self._client.log_text(self._search_id, text, name)

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write the plan of the search as an artifact."""
        self._client.log_dict(self._search_id, dict(plan), schema.ARTIFACT_SEARCH)

    def write_trial(
        self,
        trial_id: str,
        run_name: str,
        params: Mapping[str, object],
        history: Sequence[tuple[int, float]],
        final: Mapping[str, float],
        end: str,
        start_seconds: float,
        end_seconds: float,
    ) -> None:
        """Write a finished trial; `history` has bytes seen and validation loss in nats per byte."""
        from mlflow.entities import Metric

        if trial_id in self.recorded:
            return
        if trial_id not in self._begun:
            run = self._client.create_run(
                self.experiment_id,
                start_time=int(start_seconds * 1000),
                run_name=run_name,
                tags={
                    **provenance(),
                    schema.TAG_KIND: schema.KIND_TRIAL,
                    schema.TAG_SWEEP: self._sweep,
                    schema.TAG_TRIAL_ID: trial_id,
                    schema.TAG_STATUS: end,
                    "mlflow.parentRunId": self._search_id,
                },
            )
            self._begun[trial_id] = str(run.info.run_id)
        run_id = self._begun[trial_id]
        at = int(end_seconds * 1000)
        metrics = [
            Metric(name, value, at, seen)
            for seen, loss in history
            for name, value in (
                (schema.METRIC_VAL_LOSS, loss),
                (schema.METRIC_VAL_BPB, loss / math.log(2)),
            )
        ]
        metrics += [
            Metric(name, value, at, 0) for name, value in final.items() if math.isfinite(value)
        ]
        given = {name: str(value) for name, value in params.items() if value is not None}
        log(self._client, run_id, metrics, given, {})
        self._client.set_terminated(run_id, _ENDED[end], end_time=at)
        self.recorded.add(trial_id)

    def end(self, note: str, whole: bool) -> None:
        """End the parent run; `whole` is False if the search was interrupted."""
        self._client.set_tag(self._search_id, "mlflow.note.content", note)
        self._client.set_terminated(self._search_id, "FINISHED" if whole else "KILLED")
