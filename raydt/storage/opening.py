"""Open the folder of a storage location."""

from __future__ import annotations

from pathlib import Path

from raydt.errors import bad
from raydt.storage.folder import Folder
from raydt.storage.local import LocalFolder

_REMOTE = ("s3://", "gs://", "gcs://")


def is_remote(location: str) -> bool:
    """Whether a location is in an object store, and not a path."""
    return location.startswith(_REMOTE)


def open_folder(location: str | Path) -> Folder:
    """The folder at a path or at an s3:// or gs:// URI; `InputError` for any other URI."""
    text = str(location)
    if is_remote(text):
        # Imported here because most sweeps are on a disk.
        from raydt.storage.objects import open_object_folder

        return open_object_folder(text)
    return LocalFolder(path_of(text))


def path_of(location: str) -> Path:
    """The absolute path of a local folder; `InputError` if it cannot be one."""
    if "://" in location:
        raise bad("storage", f"a path, or one of {', '.join(_REMOTE)}...", repr(location))
    try:
        return Path(location).expanduser().resolve()
    except (RuntimeError, ValueError) as error:  # an unknown ~user, a loop of links, a NUL byte
        raise bad("storage", "the path of a folder", f"{location!r} ({error})") from None
