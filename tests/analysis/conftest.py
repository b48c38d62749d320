"""A real SQLite MLflow store, filled by the schema with sweeps whose answers are known."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from analysis.alarms.alarm import Alarm
from analysis.alarms.every import alarms
from analysis.effective import Resamples, effective_table
from analysis.ladder import cell_means, ladders
from analysis.laws import fit_ladders
from analysis.store.plan import NOT_DONE_COLUMNS
from analysis.table import COLUMNS, CellTable
from analysis.uncertainty import draw_means, pooled_noise
from raydt.tracking import schema
from raydt.tracking.schema import Stage, Status, Stop
from raydt.units import format_bytes

_clock = itertools.count(1_700_000_000_000, 1000)


@dataclass(frozen=True)
class Cell:
    """A cell to be written; `None` leaves a param, tag or metric out."""

    stage: str
    source: str | None
    target: str | None
    size_bytes: int
    seed: int = 0
    model: str = "tiny"
    status: str = Status.DONE
    loss: float | None = 1.0
    stopped: str | None = Stop.CONVERGED
    reason: str | None = None
    label: str | None = None  # of the size, where it is not what the bytes print as
    fingerprint: str | None = None
    precision: str | None = None
    unfinished: float | None = None
    unseen_share: float | None = None

    @property
    def size(self) -> str:
        return self.label or format_bytes(self.size_bytes)

    @property
    def cell_id(self) -> str:
        pair = "-".join(name for name in (self.source, self.target) if name)
        return f"{self.stage}/{pair}/{self.size}/s{self.seed}"

    @property
    def parent_cell_id(self) -> str | None:
        if self.stage in (Stage.FINETUNE, Stage.ZEROSHOT):
            return f"pretrain/{self.source}/500k/s{self.seed}"
        return None


def curve(num_bytes: float, E: float = 0.9, B: float = 20.0, beta: float = 0.35) -> float:
    """The planted scratch loss, nats per byte."""
    return E + B * float(num_bytes) ** -beta


@dataclass(frozen=True)
class Planted:
    """Finetuned on D_F, a source has the loss scratch would have at D_F + worth."""

    worth: dict[str, int] = field(default_factory=lambda: {"near": 40_000, "far": 6_000})
    targets: tuple[str, ...] = ("de", "fi")
    ladder: tuple[int, ...] = (8_000, 32_000, 128_000, 512_000)
    finetune: tuple[int, ...] = (8_000, 32_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    noise: float = 0.002  # sd of log loss between seeds
    random_seed: int = 1

    def cells(self) -> list[Cell]:
        random = np.random.default_rng(self.random_seed)

        def noisy(loss: float) -> float:
            return float(loss * np.exp(self.noise * random.standard_normal()))

        found = []
        for seed in self.seeds:
            found += [Cell(Stage.PRETRAIN, source, None, 500_000, seed) for source in self.worth]
            for target in self.targets:
                found += [
                    Cell(Stage.SCRATCH, None, target, size, seed, loss=noisy(curve(size)))
                    for size in self.ladder
                ]
                for source, worth in self.worth.items():
                    found += [
                        Cell(
                            Stage.FINETUNE,
                            source,
                            target,
                            size,
                            seed,
                            loss=noisy(curve(size + worth)),
                        )
                        for size in self.finetune
                    ]
                    found.append(
                        Cell(
                            Stage.ZEROSHOT,
                            source,
                            target,
                            0,
                            seed,
                            loss=noisy(curve(worth)),
                            stopped=Stop.EVALUATED,
                        )
                    )
        return found


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


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for the session; each test that writes takes a sweep name of its own."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="session")
def planted_sweep(store: Store, planted: Planted) -> str:
    """The sweep `planted`, complete, three seeds."""
    store.write("planted", planted.cells())
    return "planted"


@pytest.fixture
def tidy_table() -> Callable[[Iterable[Cell]], pd.DataFrame]:
    """Cells as the tidy table has them, without a store."""

    def made(cells: Iterable[Cell]) -> pd.DataFrame:
        rows = [
            {
                **{
                    name: getattr(cell, name)
                    for name in (
                        "cell_id",
                        "stage",
                        "source",
                        "target",
                        "size_bytes",
                        "seed",
                        "model",
                        "status",
                        "reason",
                        "stopped",
                        "precision",
                        "unfinished",
                        "unseen_share",
                    )
                },
                "size": format_bytes(cell.size_bytes),
                "test_loss": cell.loss,
            }
            for cell in cells
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    return made


@pytest.fixture
def raised(tidy_table: Callable[[Iterable[Cell]], pd.DataFrame]) -> Callable[..., list[Alarm]]:
    """The alarms of cells; `seen` gives columns of the tidy table by cell id."""

    def found(cells: Any, seen: dict[str, dict[str, float]] | None = None) -> list[Alarm]:
        table = tidy_table(cells)
        for cell_id, values in (seen or {}).items():
            for name, value in values.items():
                table.loc[table["cell_id"] == cell_id, name] = value
        means = cell_means(table)
        noise = pooled_noise(means)
        random = np.random.default_rng(0)
        drawn = draw_means(means, noise, num_resamples=100, random=random)
        effective = effective_table(means, Resamples(drawn, 0.9))
        by_target = ladders(means)
        _, laws = fit_ladders(by_target, {}, 0.9)
        none = pd.DataFrame(columns=NOT_DONE_COLUMNS)
        whole = CellTable(table, none, len(table), False, [], [])
        return alarms(whole, means, by_target, effective, laws, noise)

    return found


@pytest.fixture
def make_cell() -> Callable[..., Cell]:
    return Cell


@pytest.fixture
def change() -> Callable[..., Cell]:
    return replace


@pytest.fixture
def make_planted() -> Callable[..., Planted]:
    return Planted


@pytest.fixture
def planted_loss() -> Callable[..., float]:
    return curve
