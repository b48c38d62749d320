"""What the driver sends to a trial and what a trial reports back.

Both are typed values on either side and plain values on the way, which Tune copies, flattens and
writes into its own files; this is the one place that turns one into the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.grid.journal_rows import ReportRow
from raydt.grid.read_data import ReadData
from raydt.orchestration.cluster.ray_private import NODE_ID_LABEL

_TASK, _REPORT, _AVOIDED = "task", "report", "avoided"


class _Sent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Processes(_Sent):
    """How a task is trained: in the process of its trial, or by a group of workers."""

    num_workers: int = 0  # of the group; 0: in the trial's own process
    cpus: int = 1  # of each process that trains, as are `gpus`
    gpus: float = 0.0


class WeightsPlace(_Sent):
    """A file of weights on the storage."""

    folder: str  # its URI
    name: str


class Weights(WeightsPlace):
    """Weights that are there, and that have to be these."""

    sha256: str


class Task(_Sent):
    """What is trained, on what, and with how many processes."""

    model: str
    shape: ModelConfig
    recipe: Recipe | None  # None: nothing is trained, the weights are evaluated as they are
    size_bytes: int
    seed: int
    # When it is evaluated and ends: see `raydt.config.protocol.Protocol`.
    evaluation_growth: float
    evaluations: int
    tolerance: float
    patience: int
    language: str  # the URI of the prepared language
    data_digest: str  # of the bytes that are read of it: see `PreparedLanguage.digest`
    val_bytes: int
    cache: str  # a folder of the machine on which it is trained
    initial_weights: Weights | None = None  # None: it starts at random
    processes: Processes


class SourceTest(_Sent):
    """The bytes that the cell's parent was tested on."""

    language: str  # the URI of the prepared language
    num_bytes: int
    sha256: str
    loss_before: float | None = None  # of the parent, in nats per byte; known once it is done


class CellTask(Task):
    """A cell of a grid."""

    cell_id: str
    parent_id: str | None
    fingerprint: str
    data: tuple[ReadData, ...]  # what it reads, for its journal
    launch: str  # the id of the launch that may write its journal
    sweep: str  # the URI of the sweep's folder
    folder: str  # the URI of its own
    test_bytes: int
    test_stride_bytes: int
    source_test: SourceTest | None = None  # None: what the source forgets is not measured
    precision: Literal["auto", "float32", "bfloat16"]  # of a cell without a recipe
    checkpoint_seconds: float
    keep_weights: bool  # on the storage, when it is done
    sample_seconds: float | None  # how often its machine is sampled; None: never


class CellReport(_Sent):
    """What a cell in its trial's own process reports, after it was journaled."""

    attempt: str
    row: ReportRow


TaskT = TypeVar("TaskT", bound=Task)
ReportT = TypeVar("ReportT", bound=BaseModel)


def sent(task: Task, avoided: Iterable[str] = ()) -> dict[str, Any]:
    """The task as the config of a Tune trial; `avoided` are nodes that it is not to run on."""
    return {_TASK: task.model_dump(mode="json"), _AVOIDED: ",".join(sorted(avoided))}


def received(config: Mapping[str, Any], kind: type[TaskT]) -> TaskT:
    """The task of a trial."""
    return kind.model_validate(config[_TASK])


def label_selector_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Which nodes the processes of a trial may run on, as Ray takes it; empty: on any."""
    avoided = config[_AVOIDED]
    return {NODE_ID_LABEL: f"!in({avoided})"} if avoided else {}


def processes_of(config: Mapping[str, Any]) -> Processes:
    """Of the task of a trial, whatever its kind."""
    return Processes.model_validate(config[_TASK]["processes"])


def sent_report(report: BaseModel) -> dict[str, Any]:
    """A report as what `tune.report` takes."""
    return {_REPORT: report.model_dump()}


def received_report(result: Mapping[str, Any], kind: type[ReportT]) -> ReportT | None:
    """The report in a result of Tune, which has some of its own without one."""
    return kind.model_validate(result[_REPORT]) if _REPORT in result else None
