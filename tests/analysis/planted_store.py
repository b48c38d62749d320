"""A real SQLite MLflow store, filled by the schema."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from raydt.tracking import schema
from raydt.tracking.schema import Status
from tests.analysis.planted import Cell

_clock = itertools.count(1_700_000_000_000, 1000)


class Store:
    """Writes sweeps into a store as `raydt.tracking.writer` would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'store.db'}"
        self.client = MlflowClient(tracking_uri=self.uri)

    def experiment(self, sweep: str) -> str:
        found = self.client.get_experiment_by_name(sweep)
        if found is not None:
            return str(found.experiment_id)
        place = f"file://{self.folder}/artifacts/{sweep}"
        return str(self.client.create_experiment(sweep, artifact_location=place))

    def launch(self, sweep: str, plan: Iterable[Cell] | None) -> str:
        tags = {schema.TAG_KIND: schema.KIND_LAUNCH, schema.TAG_SWEEP: sweep}
        run = self.client.create_run(self.experiment(sweep), next(_clock), tags, sweep)
        if plan is not None:
            rows = [
                {
                    "cell_id": cell.cell_id,
                    "stage": str(cell.stage),
                    "source": cell.source,
                    "target": cell.target,
                    "size": cell.size,
                    "size_bytes": cell.size_bytes,
                    "seed": cell.seed,
                    "model": cell.model,
                    "parent_cell_id": cell.parent_cell_id,
                    # Plans of earlier versions have no such field.
                    **({"fingerprint": cell.fingerprint} if cell.fingerprint else {}),
                }
                for cell in plan
            ]
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / schema.ARTIFACT_PLAN
                path.write_text(json.dumps(rows), encoding="utf-8")
                self.client.log_artifact(run.info.run_id, str(path))
        self.client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def cell(self, sweep: str, cell: Cell) -> str:
        start = next(_clock)
        tags = {
            schema.TAG_KIND: schema.KIND_CELL,
            schema.TAG_SWEEP: sweep,
            schema.TAG_CELL_ID: cell.cell_id,
            schema.TAG_STATUS: str(cell.status),
        }
        if cell.fingerprint is not None:
            tags[schema.TAG_FINGERPRINT] = cell.fingerprint
        if cell.reason is not None:
            tags[schema.TAG_REASON] = cell.reason
        if cell.stopped is not None and cell.status == Status.DONE:
            tags[schema.TAG_STOPPED] = str(cell.stopped)
        if cell.precision is not None:
            tags[schema.TAG_PRECISION] = cell.precision
        if cell.mixture is not None:
            tags[schema.TAG_MIXTURE] = cell.mixture
        params = {
            schema.PARAM_STAGE: str(cell.stage),
            schema.PARAM_SIZE: cell.size,
            schema.PARAM_SIZE_BYTES: str(cell.size_bytes),
            schema.PARAM_SEED: str(cell.seed),
            schema.PARAM_MODEL: cell.model,
        }
        if cell.source is not None:
            params[schema.PARAM_SOURCE] = cell.source
        if cell.target is not None:
            params[schema.PARAM_TARGET] = cell.target
        metrics = {schema.METRIC_SECONDS: 12.0, schema.METRIC_BYTES_SEEN: 1e6}
        if cell.status == Status.DONE and cell.loss is not None:
            metrics[schema.METRIC_TEST_LOSS] = cell.loss
            metrics[schema.METRIC_TEST_LOSS_STDERR] = 0.01
            metrics[schema.METRIC_BEST_VAL_LOSS] = cell.loss * 0.99
        for name, value in (
            (schema.METRIC_UNFINISHED, cell.unfinished),
            (schema.METRIC_UNSEEN_SHARE, cell.unseen_share),
            (schema.METRIC_SOURCE_LOSS, cell.source_loss),
            (schema.METRIC_SOURCE_LOSS_RISE, cell.source_loss_rise),
        ):
            if value is not None:
                metrics[name] = value
        run = self.client.create_run(self.experiment(sweep), start, {}, cell.cell_id)
        run_id = str(run.info.run_id)
        self.client.log_batch(
            run_id,
            [Metric(name, value, start, 0) for name, value in metrics.items()],
            [Param(name, value) for name, value in params.items()],
            [RunTag(name, value) for name, value in tags.items()],
        )
        if cell.status != Status.RUNNING:
            self.client.set_terminated(run_id, end_time=next(_clock))
        return run_id

    def write(self, sweep: str, cells: Iterable[Cell], *, plan: bool = True) -> str:
        every = list(cells)
        launch = self.launch(sweep, every if plan else None)
        for cell in every:
            self.cell(sweep, cell)
        return launch
