"""The outputs of `train`: reports during training, and the outcome of the cell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from torch import Tensor

from raydt.model.alphabet import Alphabet
from raydt.tracking.schema import Status, Stop


@dataclass(frozen=True)
class Report:
    """The progress of a cell after an evaluation; losses in nats per byte.

    Reports are compared by what training computes, not by its speed and time.
    """

    bytes_seen: int
    train_loss: float | None  # mean since the last report; None before the first step
    val_loss: float
    # Over all ranks, without the time for evaluations and checkpoints.
    bytes_per_second: float | None = field(compare=False)
    # Relative to the peak of the GPU's data sheet, and to what matrix products reach on the same
    # GPU; None on a CPU and on a part of a GPU.
    mfu: float | None = field(default=None, compare=False)
    mfu_of_matmul: float | None = field(default=None, compare=False)
    time: float = field(default_factory=time.time, compare=False)  # in seconds since 1970


@dataclass(frozen=True)
class Resumed:
    """Where an interrupted cell resumes.

    `reports` are those in the checkpoint, in order and with their original times. Reports that the
    interrupted attempt made after the checkpoint are made again, with the same numbers. So a
    journal of the new attempt that begins with `reports` is complete and has nothing twice.
    """

    bytes_seen: int
    reports: tuple[Report, ...]
    damaged: tuple[str, ...] = ()  # newer checkpoints that were skipped, and why


@dataclass
class Outcome:
    """The outcome of a cell; losses in nats per byte, of the checkpoint with the best `val_loss`.

    If a cell diverged, `weights` are the best until then, if any.
    """

    status: Status
    reason: str | None = None
    stopped: Stop | None = None
    best_val_loss: float | None = None
    best_bytes_seen: int | None = None
    test_loss: float | None = None
    test_loss_stderr: float | None = None
    bytes_seen: int = 0
    # How much a doubling of the bytes seen would still lower the log of `val_loss`; see `ending`.
    unfinished: float | None = None
    training_seconds: float = 0.0
    alphabet: Alphabet | None = None  # the byte values that the weights were trained on
    # The share of the test's bytes that the initial weights never saw; None without such weights.
    unseen_share: float | None = None
    source_loss: float | None = None  # on the source's test split, if that is tested
    precision: str = "float32"  # or bfloat16: of the forward and backward passes
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
