"""The result of an attempt: `outcome.json` of the attempt, then `result.json` of the cell.

Only fields that are set are written, and unknown fields of other versions of raydt are kept.

`result.json` may instead hold a mark that the cell is open. It is written where a result was set
aside, where a launch was taken over, and before the first result, so that nobody who read the file
earlier can write to it.
"""

from __future__ import annotations

import json
import time
import uuid

from pydantic import BaseModel, ConfigDict

from raydt.storage.folder import Folder
from raydt.storage.typed import typed
from raydt.tracking.schema import Status

OPEN = "open"  # the only field of the mark that a cell is open


class Result(BaseModel):
    """Losses in nats per byte, of the checkpoint with the best validation loss. A field is None if
    it does not apply, and unset if the version that wrote the result did not have it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    # In the order of the file.
    cell_id: str
    fingerprint: str
    attempt: str
    model: str
    time: float  # in seconds since 1970
    status: Status
    reason: str | None = None
    stopped: str | None = None  # see `raydt.tracking.schema.Stop`
    test_loss: float | None = None
    test_bpb: float | None = None
    test_loss_stderr: float | None = None
    unseen_share: float | None = None
    # Of a finetune: on the test split that its parent was tested on, and how much more than then.
    source_loss: float | None = None
    source_bpb: float | None = None
    source_loss_rise: float | None = None
    best_val_loss: float | None = None
    best_bytes_seen: int | None = None
    bytes_seen: int
    unfinished: float | None = None
    training_seconds: float
    precision: str | None = None
    gpu: str | None = None  # CUDA's name of the device; None: a CPU
    gpus_per_rank: float | None = None  # less than 1: the GPU was shared with other cells
    num_ranks: int = 1  # ranks that trained it together
    weights_sha256: str | None = None
    seconds: float | None = None  # since the start of the attempt

    def as_json(self) -> bytes:
        """The contents of its file."""
        return json.dumps(self.model_dump(exclude_unset=True), indent=1).encode()


def read_result(folder: Folder, name: str) -> Result | None:
    """The result in a file; None if there is no file or the cell is open, `RunError` if the file is
    damaged."""
    found = folder.read_json(name)
    if found is None or _has_mark(found):
        return None
    return typed(Result, found, f"{folder.uri}/{name}", "the result of a cell")


def write_result(folder: Folder, name: str, result: Result) -> None:
    """Write a result."""
    folder.write(name, result.as_json())


def is_open(data: bytes) -> bool:
    """Whether the contents of a result's file are the mark that the cell is open."""
    try:
        return _has_mark(json.loads(data))
    except (ValueError, RecursionError):
        return False  # damaged, which `read_result` reports


def _has_mark(found: object) -> bool:
    return isinstance(found, dict) and OPEN in found


def open_mark() -> bytes:
    """A mark that a cell is open, as the contents of its result's file; each mark is different."""
    return json.dumps({OPEN: uuid.uuid4().hex, "time": time.time()}).encode()


def read_if_there(folder: Folder, name: str) -> bytes | None:
    """The contents of a file, for a swap; None if it does not exist."""
    try:
        return folder.read(name)
    except FileNotFoundError:
        return None
