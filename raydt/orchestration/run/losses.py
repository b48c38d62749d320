"""The journal of tries that came to no end: `losses.jsonl`, a JSON object a line.

The driver writes it, beside the journals of the attempts, which are their workers' own.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from raydt.orchestration.run.policy import Loss
from raydt.storage.folder import Folder

LOSSES = "losses.jsonl"


def write_loss(folder: Folder, task: str, loss: Loss) -> None:
    """Add a loss of the task of that name; a storage that is full or away stops nothing."""
    row = {"time": time.time(), "task": task, **asdict(loss)}
    try:
        folder.append(LOSSES, (json.dumps(row) + "\n").encode())
    except OSError as error:
        print(f"no row in {folder.uri}/{LOSSES}: {error}")


def loss_line(loss: Loss) -> str:
    """As a person reads it."""
    where = f" on {loss.node}" if loss.node else ""
    when = f" in {loss.pause_seconds:.0f} s" if loss.pause_seconds else ""
    return f"{loss.reason}{where}; tried again{when}"
