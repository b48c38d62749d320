"""The folder for the sockets of a local Ray: a short path that belongs to this user."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from raydt.errors import bad

# The path of a socket has at most 107 bytes (103 on macOS), of which Ray's session uses these, plus
# a reserve: /session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store
MAX_CHARACTERS = (103 if sys.platform == "darwin" else 107) - 68
_OWN = "raydt-{}"


def ray_folder() -> str | None:
    """A folder for Ray's sessions; None if Ray's default works. `InputError` if no folder is short
    enough and writable."""
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
        f"a writable folder with a path of at most {MAX_CHARACTERS - len(own) - 1} characters, "
        "for the sockets of Ray (RAY_TMPDIR=/short/path)"
    )
    raise bad("TMPDIR", requirement, repr(named))


def _is_usable(folder: Path) -> bool:
    """Whether Ray can use a folder for its sessions; the folder need not exist yet."""
    if len(str(folder)) > MAX_CHARACTERS:
        return False
    if not folder.exists():
        return os.access(folder.parent, os.W_OK | os.X_OK)
    # Another user's folder is fine if everybody may write there.
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
