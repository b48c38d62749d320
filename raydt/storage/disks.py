"""What kind of file system a path is on, and a place of this machine's own for copies."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
# Those behind a network, by the names that the kernel has for them.
_NETWORK = (
    *("nfs", "cifs", "smb", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "wekafs", "panfs"),
    "9p",
    *(f"fuse.{name}" for name in ("s3fs", "mount-s3", "gcsfuse", "goofys", "rclone", "sshfs")),
    *(f"fuse.{name}" for name in ("ceph", "glusterfs", "juicefs", "blobfuse")),
)
_IN_MEMORY = ("tmpfs", "ramfs")
_LEFT_FREE = 0.1  # of a disk, for what else is written there


def is_on_network(path: Path) -> bool:
    """Whether what is read there comes over a network (NFS, EFS, Lustre)."""
    return _file_system(path).startswith(_NETWORK)


def own_disk(num_bytes: int) -> Path | None:
    """A folder on a disk of this machine that has room for `num_bytes`; None if there is none.

    The user's cache or, where homes are on a network, the folder for temporary files, unless that
    is in memory.
    """
    for folder in (cache_folder(), temporary_folder()):
        if _file_system(folder).startswith(_NETWORK + _IN_MEMORY):
            continue
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        if (
            folder.stat().st_uid == os.getuid()
            and num_bytes < usage.free - _LEFT_FREE * usage.total
        ):
            return folder
    return None


def cache_folder() -> Path:
    """Where this user's caches are; with the temporary files of a user who has no home, as one
    without an entry among the users has none."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path("~/.cache").expanduser()) / "raydt"
    except RuntimeError:
        return temporary_folder()


def ensure_home() -> None:
    """Gives a user who has no home a folder among the temporary files as one, for this process and
    those it starts: MLflow asks for a home while it is imported, and knows no way without."""
    try:
        Path.home()
    except RuntimeError:
        folder = temporary_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["HOME"] = str(folder)


def temporary_folder() -> Path:
    """This user's own among the temporary files."""
    return Path(tempfile.gettempdir()) / f"raydt-{os.getuid()}"


def _file_system(path: Path) -> str:
    """Of the mount that a path is under, which need not exist yet; "" where nobody says."""
    try:
        mounts = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    found, longest = "", -1
    resolved = path.resolve()
    for line in mounts:
        _, where, kind = line.split(" ")[:3]
        place = Path(where.replace("\\040", " "))
        # Of two mounts at one place the later lies on top.
        if resolved.is_relative_to(place) and len(place.parts) >= longest:
            found, longest = kind, len(place.parts)
    return found
