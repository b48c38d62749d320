"""What came of an attempt at a cell: `outcome.json` of the attempt, then `result.json` of the cell.

The one place that knows their fields. Only what was said is written, and what another version of
raydt said beside them is kept.

In the place of a cell's result may stand a mark that the cell is open: left where a result was set
aside, where a launch was taken over, or where a driver is about to put the first result, so that
nobody who read the place before can write there.
"""

from __future__ import annotations

import json
import time
import uuid

from pydantic import BaseModel, ConfigDict

from raydt.storage.folder import Folder
from raydt.storage.typed import typed
from raydt.tracking.schema import Status

OPEN = "open"  # the one field of a mark that a cell is open


class Result(BaseModel):
    """Losses in nats per byte, of the checkpoint with the best validation loss. A field is None
    where it does not apply, and unset where whoever wrote the result knew nothing of it."""

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
    gpus_per_rank: float | None = None  # less than 1: it was shared with other cells
    num_ranks: int = 1  # that trained it together
    weights_sha256: str | None = None
    seconds: float | None = None  # of the attempt, from its start

    def as_json(self) -> bytes:
        """As it stands in its file."""
        return json.dumps(self.model_dump(exclude_unset=True), indent=1).encode()


def read_result(folder: Folder, name: str) -> Result | None:
    """The result in a file; None if there is no such file or it is open, `RunError` if it is
    none."""
    found = folder.read_json(name)
    if found is None or _has_mark(found):
        return None
    return typed(Result, found, f"{folder.uri}/{name}", "the result of a cell")


def write_result(folder: Folder, name: str, result: Result) -> None:
    """Put a result in place."""
    folder.write(name, result.as_json())


def is_open(data: bytes) -> bool:
    """Whether what stands in the place of a result is a mark that the cell is open."""
    try:
        return _has_mark(json.loads(data))
    except (ValueError, RecursionError):
        return False  # damage, which `read_result` reports


def _has_mark(found: object) -> bool:
    return isinstance(found, dict) and OPEN in found


def open_mark() -> bytes:
    """The mark that a cell is open, as it stands in the place of its result; each is another."""
    return json.dumps({OPEN: uuid.uuid4().hex, "time": time.time()}).encode()


def read_if_there(folder: Folder, name: str) -> bytes | None:
    """A file as it stands, for a swap; None if there is none."""
    try:
        return folder.read(name)
    except FileNotFoundError:
        return None
