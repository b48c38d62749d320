"""A folder in an object store, s3:// or gs://, through Arrow's file systems.

An object appears whole or not at all, so `write` needs no rename. Nothing can be appended to:
`append` writes the object anew, which is right for journals of a few kilobytes that have one
writer.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pyarrow
from pyarrow import fs

from raydt.errors import bad
from raydt.storage.folder import Folder

_CHUNK_BYTES = 8 * 2**20


@lru_cache(maxsize=64)  # a client of an object store takes a while to make
def open_object_folder(uri: str) -> ObjectFolder:
    """The folder at a URI such as s3://bucket/prefix?region=eu-central-1; `InputError` if Arrow
    cannot read the URI. Credentials come from the environment, as each store's own tools take
    them; `endpoint_override` and `scheme` serve stores that only speak S3."""
    try:
        file_system, path = fs.FileSystem.from_uri(uri)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise bad("storage", "the URI of an object store", f"{uri!r}: {error}") from None
    location, _, options = uri.partition("?")
    return ObjectFolder(file_system, path.rstrip("/"), location.rstrip("/"), options)


class ObjectFolder(Folder):
    """A prefix of a bucket."""

    def __init__(self, file_system: fs.FileSystem, path: str, location: str, options: str) -> None:
        self._file_system = file_system
        self._path = path
        self._location = location
        self._options = options

    @property
    def uri(self) -> str:
        return f"{self._location}?{self._options}" if self._options else self._location

    def __truediv__(self, name: str) -> ObjectFolder:
        path, location = f"{self._path}/{name}", f"{self._location}/{name}"
        return ObjectFolder(self._file_system, path, location, self._options)

    def read(self, name: str) -> bytes:
        path = f"{self._path}/{name}"
        # Arrow asks for the size and then for so many bytes: an object that is replaced in between
        # by a longer one would end too early.
        while True:
            with self._file_system.open_input_stream(path, compression=None) as file:
                data: bytes = file.read()
            info = self._file_system.get_file_info(path)
            if info.type != fs.FileType.File:
                raise FileNotFoundError(path)
            if info.size == len(data):
                return data

    def write(self, name: str, data: bytes) -> None:
        with self._file_system.open_output_stream(f"{self._path}/{name}", compression=None) as file:
            file.write(data)

    def append(self, name: str, data: bytes) -> None:
        try:
            before = self.read(name)
        except FileNotFoundError:
            before = b""
        self.write(name, before + data)

    def remove(self, name: str) -> None:
        path = f"{self._path}/{name}"
        kind = self._file_system.get_file_info(path).type
        if kind == fs.FileType.File:
            self._file_system.delete_file(path)
        elif kind == fs.FileType.Directory:
            # Google's has removed all that was in it before it misses the object that marks it.
            with suppress(FileNotFoundError):
                self._file_system.delete_dir(path)

    def names(self) -> list[str]:
        # Of a folder Arrow's file system for Google's store lists the objects that lie directly in
        # it, and no folder. So all that is below it is asked for, 1,000 objects a request.
        below = self._file_system.type_name == "gcs"
        selector = fs.FileSelector(self._path, allow_not_found=True, recursive=below)
        paths = [info.path for info in self._file_system.get_file_info(selector)]
        return sorted({path[len(self._path) + 1 :].partition("/")[0] for path in paths})

    def exists(self, name: str) -> bool:
        info = self._file_system.get_file_info(f"{self._path}/{name}")
        return bool(info.type == fs.FileType.File)

    def upload(self, source: Path, name: str) -> None:
        path = f"{self._path}/{name}"
        with (
            source.open("rb") as file,
            self._file_system.open_output_stream(path, compression=None) as out,
        ):
            while chunk := file.read(_CHUNK_BYTES):
                out.write(chunk)

    def fetch(self, name: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        with (
            self._file_system.open_input_stream(f"{self._path}/{name}", compression=None) as file,
            partial.open("wb") as out,
        ):
            while chunk := file.read(_CHUNK_BYTES):
                out.write(chunk)
        return partial.replace(target)
