"""Convert a cell's journal and result to the metrics, tags and status of its MLflow run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from raydt.grid.journal_rows import ReportRow
from raydt.grid.result import Result
from raydt.tracking import schema
from raydt.tracking.schema import Status

# Fields of a journal's reports and of a result, and the metrics they become.
_HISTORY = {
    "train_loss": schema.METRIC_TRAIN_LOSS,
    "val_loss": schema.METRIC_VAL_LOSS,
    "val_bpb": schema.METRIC_VAL_BPB,
    "bytes_per_second": schema.METRIC_BYTES_PER_SECOND,
    "mfu": schema.METRIC_MFU,
    "mfu_of_matmul": schema.METRIC_MFU_OF_MATMUL,
}
ENDED = {Status.DONE: "FINISHED", Status.FAILED: "FAILED", Status.DIVERGED: "FAILED"}
# The split on which a final number was measured.
_SPLIT_OF = {
    schema.METRIC_TEST_LOSS: "test",
    schema.METRIC_TEST_BPB: "test",
    schema.METRIC_TEST_LOSS_STDERR: "test",
    schema.METRIC_BEST_VAL_LOSS: "val",
}


class Number(NamedTuple):
    """A value of a metric."""

    name: str
    value: float
    seconds: float  # since 1970
    bytes_seen: int
    is_final: bool = False
    split: str | None = None  # of a final number that was measured on data


def history_of(reports: Iterable[ReportRow]) -> Iterator[Number]:
    """The numbers of reports, without those that are not finite, which MLflow rejects."""
    for row in reports:
        for field, name in _HISTORY.items():
            value = getattr(row, field)
            if value is not None and math.isfinite(value):
                yield Number(name, value, row.time, row.bytes_seen)
        for name, value in (row.system or {}).items():
            yield Number(f"{schema.METRICS_OF_SYSTEM}{name}", value, row.time, row.bytes_seen)


def final_of(result: Result) -> Iterator[Number]:
    """The numbers of a result, likewise."""
    for field, name in schema.FINAL_METRICS.items():
        value = getattr(result, field)
        if value is not None and math.isfinite(value):
            split = _SPLIT_OF.get(name)
            yield Number(name, value, result.time, result.bytes_seen, True, split)


def tags_of(result: Result) -> Mapping[str, str]:
    """The tags that describe how a cell ended."""
    tags = {schema.TAG_STATUS: str(result.status)}
    if result.reason:
        tags[schema.TAG_REASON] = result.reason[:500]
    if result.stopped:
        tags[schema.TAG_STOPPED] = result.stopped
    # Unknown for cells that an earlier version trained.
    if result.precision:
        tags[schema.TAG_PRECISION] = result.precision
    return tags
