"""Prepared languages on machines that do not share a disk: through the storage, whole."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from pathlib import Path

from raydt.corpora.prepared.language import open_language, split_path
from raydt.corpora.prepared.manifest import FILE_NAME
from raydt.corpora.prepared.stamps import hash_file
from raydt.locks import locked
from raydt.storage.disks import is_on_network, own_disk
from raydt.storage.folder import Folder
from raydt.storage.local import LocalFolder
from raydt.storage.opening import open_folder


def publish_language(folder: Path, root: Path, storage: Folder) -> str:
    """Put a prepared language on the storage, unless it is there; where it is, for `fetch`.

    Its manifest goes last, so that what has a manifest is whole.
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
    """A published language as a folder of this machine; copied once, for all its processes.

    So is one that lies on a disk which machines share over a network, where this one has a disk
    with room for it. A language that was prepared anew has another manifest, and a folder of its
    own here.
    """
    place = open_folder(location)
    if place.local_path is not None:
        # Windows are read at random, in the order of no file: over a network each is a wait.
        own = own_disk(_size_of(place.local_path)) if is_on_network(place.local_path) else None
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
                    if fetched != folder / name:  # that of a disk is where it was
                        LocalFolder(folder).upload(fetched, name)
            # Last and at once: what has a manifest is whole.
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
    """Whether a copy is the language of this manifest; one that was torn is fetched again."""
    path = copy / FILE_NAME
    if not path.exists() or path.read_bytes() != manifest:
        return False
    return open_language(copy).is_whole()
