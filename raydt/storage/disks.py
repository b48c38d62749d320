"""The kind of file system of a path, and local folders for caches and temporary files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
# Network file systems, by their names in the kernel.
_NETWORK = (
    *("nfs", "cifs", "smb", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "wekafs", "panfs"),
    "9p",
    *(f"fuse.{name}" for name in ("s3fs", "mount-s3", "gcsfuse", "goofys", "rclone", "sshfs")),
    *(f"fuse.{name}" for name in ("ceph", "glusterfs", "juicefs", "blobfuse")),
)
_IN_MEMORY = ("tmpfs", "ramfs")
_LEFT_FREE = 0.1  # share of a disk that is left free for other files


def is_on_network(path: Path) -> bool:
    """Whether a path is on a network file system (NFS, EFS, Lustre)."""
    return _file_system(path).startswith(_NETWORK)


def local_disk(num_bytes: int) -> Path | None:
    """A folder on a local disk with room for `num_bytes`; None if there is none.

    It is the user's cache or, if home directories are on a network, the folder for temporary files,
    unless that is in memory.
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
    """The folder for this user's caches; among the temporary files if the user has no home
    directory, as in a container with an unknown user id."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path("~/.cache").expanduser()) / "raydt"
    except RuntimeError:
        return temporary_folder()


def ensure_home() -> None:
    """Give a user without a home directory one among the temporary files, for this process and its
    children: MLflow cannot be imported without a home directory."""
    try:
        Path.home()
    except RuntimeError:
        folder = temporary_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["HOME"] = str(folder)


def temporary_folder() -> Path:
    """This user's folder for temporary files."""
    return Path(tempfile.gettempdir()) / f"raydt-{os.getuid()}"


def _file_system(path: Path) -> str:
    """The file system of a path, which need not exist yet; "" if unknown."""
    try:
        mounts = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    found, longest = "", -1
    resolved = path.resolve()
    for line in mounts:
        _, where, kind = line.split(" ")[:3]
        place = Path(where.replace("\\040", " "))
        # Of two mounts at one place, the later one is visible.
        if resolved.is_relative_to(place) and len(place.parts) >= longest:
            found, longest = kind, len(place.parts)
    return found
