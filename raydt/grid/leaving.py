"""That a launch will leave soon: its cells write a checkpoint, wherever they are.

A batch system says some minutes before the end that a job's time is up. The driver then puts a mark
beside the sweep, in the name of its launch; the processes that train look for it now and then.
"""

from __future__ import annotations

import time

from raydt.errors import RunError
from raydt.storage.folder import Folder

_MARK = "leaving.json"


def announce(sweep: Folder, launch_id: str) -> None:
    """Ask the cells of a launch for a checkpoint."""
    sweep.write_json(_MARK, {"launch": launch_id, "time": time.time()})


def is_leaving(sweep: Folder, launch_id: str) -> bool:
    """Whether a launch has asked for that; what cannot be read asks for nothing."""
    try:
        mark = sweep.read_json(_MARK)
    except (OSError, RunError):
        return False  # it is looked for again
    return mark is not None and mark.get("launch") == launch_id


def take_back(sweep: Folder) -> None:
    """Take the mark away."""
    sweep.remove(_MARK)
