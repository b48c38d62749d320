"""The folder of a report: complete or absent, and never overwriting other files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from raydt.errors import bad

MARKER = "analysis.json"  # its presence marks a folder that may be replaced


def require_ours(folder: Path, sweep: str | None = None) -> None:
    """`InputError` unless the folder can be written, and is absent, empty, or an earlier report
    (of this sweep)."""
    _require_writable(folder.parent)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise bad("report folder", "a folder", f"a file, {folder}")
    if not any(folder.iterdir()):
        return
    marker = folder / MARKER
    if not marker.is_file():
        wanted = "a new or empty folder, or one that an earlier analysis wrote"
        raise bad("report folder", wanted, f"other files in {folder}")
    if sweep is not None:
        try:
            earlier = json.loads(marker.read_text(encoding="utf-8"))["sweep"]
        except (ValueError, KeyError, TypeError):
            raise bad("report folder", f"a readable {MARKER}", str(marker)) from None
        if earlier != sweep:
            raise bad("report folder", f"a folder for sweep {sweep!r}", f"that of {earlier!r}")


def _require_writable(folder: Path) -> None:
    """Files can be made in `folder`, or in the nearest folder above it that exists."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise bad("report folder", "a folder", f"a file, {existing}")
    # os.access is always true for root, even on a read-only file system; only writing tells.
    probe = existing / f".raydt-probe-{uuid4().hex[:8]}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        found = f"{existing}: {error.strerror or error}"
        raise bad("report folder", "a folder that can be written to", found) from None


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A sibling folder to write into, which replaces `folder` if the block succeeds."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}.{uuid4().hex[:8]}.partial"
    partial.mkdir()
    try:
        yield partial
        if folder.exists():
            old = partial.with_suffix(".old")
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old)
        else:
            partial.rename(folder)
    finally:
        if partial.exists():
            shutil.rmtree(partial)
