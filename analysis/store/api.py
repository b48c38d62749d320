"""Runs through MLflow's client: a tracking server, or a SQL store with unknown tables."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator
from typing import Any

from analysis.store.run import WANTED_METRICS, WANTED_PARAMS, WANTED_TAGS, StoredRun
from raydt.tracking import schema
from raydt.tracking.uri import client_uri

# Artifacts are a few small files; MLflow's progress bars would drown the report.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Do not wait forever for a server that answered once and then stopped.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

PAGE_RUNS = 1000


def new_client(store_uri: str) -> MlflowClient:
    """MLflow's client of a store."""
    return MlflowClient(tracking_uri=client_uri(store_uri))


class ApiReader:
    """Reads page by page, keeping only what is needed."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def experiments(self) -> dict[str, str]:
        """Names by id of the experiments that are not deleted."""
        return {str(e.experiment_id): str(e.name) for e in self._found(ViewType.ACTIVE_ONLY)}

    def deleted_experiments(self) -> set[str]:
        """Names of the experiments in the store's bin."""
        return {str(e.name) for e in self._found(ViewType.DELETED_ONLY)}

    def launches(self) -> list[StoredRun]:
        """Runs of kind launch, of experiments and runs that are not deleted."""
        experiments = self.experiments()
        # An empty list of experiments would mean all of them.
        return list(self._runs(list(experiments), schema.KIND_LAUNCH)) if experiments else []

    def cells(self, experiment_id: str) -> Iterator[StoredRun]:
        """Runs of kind cell of an experiment, those that are deleted left out."""
        return self._runs([experiment_id], schema.KIND_CELL)

    def curves(
        self,
        experiment_id: str,
        run_ids: Collection[str],
    ) -> Iterator[tuple[str, list[tuple[float, float]]]]:
        """Every evaluation of `val`, (bytes seen, nats per byte), by run."""
        for run_id in sorted(run_ids):
            rows = self._client.get_metric_history(run_id, schema.METRIC_VAL_LOSS)
            yield run_id, [(float(row.step), float(row.value)) for row in rows]

    def _found(self, view: ViewType) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_experiments(
                view_type=view, max_results=PAGE_RUNS, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _runs(self, experiment_ids: list[str], kind: str) -> Iterator[StoredRun]:
        where = f"tags.`{schema.TAG_KIND}` = '{kind}'"
        token = None
        while True:
            page, token = self._page(experiment_ids, where, token)
            yield from page
            if not token:
                return

    def _page(
        self, experiment_ids: list[str], where: str, token: str | None
    ) -> tuple[list[StoredRun], str | None]:
        # MLflow creates tens of thousands of small objects here, and the collector walking them
        # again and again doubles the time (14 s against 21-31 s for 10,000 runs).
        collecting = gc.isenabled()
        gc.disable()
        try:
            page = self._client.search_runs(
                experiment_ids, filter_string=where, max_results=PAGE_RUNS, page_token=token
            )
            return [_stored(run) for run in page], page.token
        finally:
            if collecting:
                gc.enable()


def _stored(run: Run) -> StoredRun:
    info, data = run.info, run.data
    return StoredRun(
        str(info.run_id),
        str(info.experiment_id),
        info.start_time,
        # Old servers report 0 for a run that has not ended.
        info.end_time or None,
        str(info.artifact_uri),
        {name: data.params[name] for name in WANTED_PARAMS if name in data.params},
        {name: data.tags[name] for name in WANTED_TAGS if name in data.tags},
        {name: float(data.metrics[name]) for name in WANTED_METRICS if name in data.metrics},
    )
