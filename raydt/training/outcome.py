"""What `train` gives: reports on the way, and what came of the cell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from torch import Tensor

from raydt.model.alphabet import Alphabet
from raydt.tracking.schema import Status, Stop


@dataclass(frozen=True)
class Report:
    """How a cell stands after an evaluation; losses in nats per byte.

    Two reports are equal if the numbers are that training computes; how fast and when, is not
    compared.
    """

    bytes_seen: int
    train_loss: float | None  # mean since the last report; None before the first step
    val_loss: float
    # Of training alone, evaluation and checkpoints left out; over all ranks.
    bytes_per_second: float | None = field(compare=False)
    # Of the GPU's data sheet, and of what matrix products reach on the same GPU; None on a CPU and
    # on a part of a GPU.
    mfu: float | None = field(default=None, compare=False)
    mfu_of_matmul: float | None = field(default=None, compare=False)
    time: float = field(default_factory=time.time, compare=False)  # in seconds since 1970


@dataclass(frozen=True)
class Resumed:
    """Where a cell goes on that was cut off.

    `reports` are those that stand in the checkpoint, in order and with their own time. Reports
    that the cut-off attempt made after it are made again, with the same numbers. So the journal of
    the new attempt is whole if it begins with `reports`, and nothing is in it twice.
    """

    bytes_seen: int
    reports: tuple[Report, ...]
    damaged: tuple[str, ...] = ()  # newer checkpoints that were passed over, and why


@dataclass
class Outcome:
    """What came of a cell; losses in nats per byte, of the checkpoint with the best `val_loss`.

    Of a cell that diverged `weights` are the best up to then, if there are any.
    """

    status: Status
    reason: str | None = None
    stopped: Stop | None = None
    best_val_loss: float | None = None
    best_bytes_seen: int | None = None
    test_loss: float | None = None
    test_loss_stderr: float | None = None
    bytes_seen: int = 0
    # What a doubling of the bytes seen would still take off the log of `val_loss`; see `ending`.
    unfinished: float | None = None
    training_seconds: float = 0.0
    alphabet: Alphabet | None = None  # what bytes the weights saw
    # Of the test's bytes, those that the weights it started from never saw; None without such.
    unseen_share: float | None = None
    source_loss: float | None = None  # on what it was pretrained on, where that is tested
    precision: str = "float32"  # or bfloat16: what forward and backward were computed in
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
