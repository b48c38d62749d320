"""A launch that is about to end asks its running cells to write checkpoints.

A batch system sends a signal some minutes before a job's time is up. The driver then writes a file
with the id of its launch into the sweep's folder, and the processes that train poll for it.
"""

from __future__ import annotations

import time

from raydt.errors import RunError
from raydt.storage.folder import Folder

_MARK = "leaving.json"


def request_checkpoints(sweep: Folder, launch_id: str) -> None:
    """Ask the running cells of a launch to write checkpoints."""
    sweep.write_json(_MARK, {"launch": launch_id, "time": time.time()})


def is_shutting_down(sweep: Folder, launch_id: str) -> bool:
    """Whether a launch has requested checkpoints; False if the file cannot be read."""
    try:
        mark = sweep.read_json(_MARK)
    except (OSError, RunError):
        return False  # the caller polls again
    return mark is not None and mark.get("launch") == launch_id


def clear_request(sweep: Folder) -> None:
    """Remove the request."""
    sweep.remove(_MARK)
