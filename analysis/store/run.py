"""A run as the analysis needs it: its facts and last numbers, without MLflow's objects."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from raydt.tracking import schema

# What is read of a run; the rest (code versions, users, notes, histories) would only cost time and
# memory.
WANTED_PARAMS = (
    schema.PARAM_STAGE,
    schema.PARAM_SOURCE,
    schema.PARAM_TARGET,
    schema.PARAM_SIZE,
    schema.PARAM_SIZE_BYTES,
    schema.PARAM_SEED,
    schema.PARAM_MODEL,
    schema.PARAM_NUM_PARAMETERS,
    schema.PARAM_FLOPS_PER_BYTE,
)
WANTED_TAGS = (
    schema.TAG_CELL_ID,
    schema.TAG_FINGERPRINT,
    schema.TAG_STATUS,
    schema.TAG_REASON,
    schema.TAG_STOPPED,
    schema.TAG_PARENT_CELL,
    schema.TAG_ADDED_FOR,
    schema.TAG_PROBES,
    schema.TAG_MIXTURE,
)
WANTED_METRICS = tuple(
    metric for name, metric in schema.FINAL_METRICS.items() if name not in schema.BITS
)


@dataclass(slots=True)
class StoredRun:
    """One run. Times are milliseconds since 1970, None if the run has not ended."""

    run_id: str
    experiment_id: str
    start_time_ms: int | None
    end_time_ms: int | None
    artifact_uri: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


class RunReader(Protocol):
    """Reads a store; both implementations give the same results."""

    def experiments(self) -> dict[str, str]:
        """Names by id of the experiments that are not deleted."""
        ...

    def deleted_experiments(self) -> set[str]:
        """Names of the experiments in the store's bin."""
        ...

    def launches(self) -> list[StoredRun]:
        """Runs of kind launch that are not deleted, in experiments that are not; no numbers."""
        ...

    def cells(self, experiment_id: str) -> Iterator[StoredRun]:
        """Runs of kind cell of an experiment that are not deleted."""
        ...

    def curves(
        self, experiment_id: str, run_ids: Collection[str]
    ) -> Iterator[tuple[str, list[tuple[float, float]]]]:
        """Every evaluation of `val`, (bytes seen, nats per byte), by run; at least those of
        `run_ids`."""
        ...
