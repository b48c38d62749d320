"""The journal of interrupted attempts: `losses.jsonl`, one JSON object per line.

The driver writes it, beside the journals that workers write for their attempts.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from raydt.orchestration.run.policy import Interruption
from raydt.storage.folder import Folder

LOSSES = "losses.jsonl"


def write_interruption(folder: Folder, task: str, interruption: Interruption) -> None:
    """Append an interruption of the named task. If that fails, because the storage is full or
    unreachable, only print the error."""
    row = {"time": time.time(), "task": task, **asdict(interruption)}
    try:
        folder.append(LOSSES, (json.dumps(row) + "\n").encode())
    except OSError as error:
        print(f"cannot write to {folder.uri}/{LOSSES}: {error}")


def interruption_line(interruption: Interruption) -> str:
    """The interruption in one line of text."""
    where = f" on {interruption.node}" if interruption.node else ""
    when = f" in {interruption.pause_seconds:.0f} s" if interruption.pause_seconds else ""
    return f"{interruption.reason}{where}; retrying{when}"
