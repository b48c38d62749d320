"""Copy prepared languages through the storage to machines that do not share a disk."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from pathlib import Path

from raydt.corpora.prepared.language import open_language, split_path
from raydt.corpora.prepared.manifest import FILE_NAME
from raydt.corpora.prepared.stamps import hash_file
from raydt.locks import locked
from raydt.storage.disks import is_on_network, local_disk
from raydt.storage.folder import Folder
from raydt.storage.local import LocalFolder
from raydt.storage.opening import open_folder


def publish_language(folder: Path, root: Path, storage: Folder) -> str:
    """Upload a prepared language, unless it is there; returns its URI for `fetch_language`.

    The manifest is uploaded last, so that a language with a manifest is complete.
    """
    place = storage / "corpora" / folder.relative_to(root).as_posix()
    manifest = (folder / FILE_NAME).read_bytes()
    try:
        if place.read(FILE_NAME) == manifest:
            return place.uri
    except FileNotFoundError:
        pass  # the first launch with this language
    for path in sorted(folder.iterdir()):
        if path.name != FILE_NAME and path.is_file():
            place.upload(path, path.name)
    place.write(FILE_NAME, manifest)
    return place.uri


def fetch_language(location: str, cache: Path) -> Path:
    """The local folder of a published language, which is copied once for all processes.

    A language on a network disk is copied too, if a local disk has room for it. A language that was
    prepared again has another manifest, and so another local folder.
    """
    place = open_folder(location)
    if place.local_path is not None:
        # Windows are read in random order: over a network each would be a wait.
        own = local_disk(_size_of(place.local_path)) if is_on_network(place.local_path) else None
        if own is None:
            return place.local_path
        cache = own / "corpora"
    manifest = place.read(FILE_NAME)
    folder = _copy_of(location, manifest, cache)
    with _locked(folder):
        if not _is_whole(folder, manifest):
            for name in place.names():
                if name != FILE_NAME:
                    fetched = place.fetch(name, folder / name)
                    if fetched != folder / name:  # from a disk it is the original
                        LocalFolder(folder).upload(fetched, name)
            # Last and atomically: a folder with a manifest is complete.
            LocalFolder(folder).write(FILE_NAME, manifest)
    return folder


def fetch_test(location: str, cache: Path) -> Path:
    """The test split of a published language as a file of this machine, for who reads nothing else
    of it: the text that sources are pretrained on is large."""
    place = open_folder(location)
    if place.local_path is not None:
        return split_path(place.local_path, "test")
    manifest = place.read(FILE_NAME)
    folder = _copy_of(location, manifest, cache)
    path = split_path(folder, "test")
    with _locked(folder):
        if path.exists() and hash_file(path) == json.loads(manifest)["splits"]["test"]["sha256"]:
            return path
        return place.fetch(path.name, path)


def _copy_of(location: str, manifest: bytes, cache: Path) -> Path:
    folder = cache / hashlib.sha256(location.encode() + manifest).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _locked(copy: Path) -> AbstractContextManager[None]:
    return locked(copy.with_name(f"{copy.name}.lock"))


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _is_whole(copy: Path, manifest: bytes) -> bool:
    """Whether a copy is complete and belongs to this manifest; else it is fetched again."""
    path = copy / FILE_NAME
    if not path.exists() or path.read_bytes() != manifest:
        return False
    return open_language(copy).is_whole()
