"""Where a Ray of our own keeps its sockets: a short path in a folder of this user's."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from raydt.errors import bad

# A path of a socket has 107 bytes, on macOS 103, of which a session of Ray takes so many:
# /session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store, and some to spare.
MOST_CHARACTERS = (103 if sys.platform == "darwin" else 107) - 68
_OWN = "raydt-{}"


def ray_folder() -> str | None:
    """A folder for Ray's sessions; None where its own choice will do. `InputError` if there is none
    that is short enough and may be written to."""
    own = _OWN.format(os.getuid())
    named = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if _is_usable(Path(named) / "ray"):
        return None
    for place in (named, tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        folder = Path(place) / own
        if _is_usable(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            return str(folder)
    requirement = (
        f"a folder of at most {MOST_CHARACTERS - len(own) - 1} characters that may be written to, "
        "for the sockets of Ray (RAY_TMPDIR=/short/path)"
    )
    raise bad("TMPDIR", requirement, repr(named))


def _is_usable(folder: Path) -> bool:
    """Whether Ray can have its sessions in a folder, which need not be there yet."""
    if len(str(folder)) > MOST_CHARACTERS:
        return False
    if not folder.exists():
        return os.access(folder.parent, os.W_OK | os.X_OK)
    # One of somebody else's who lets all write there is as good as ours.
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
