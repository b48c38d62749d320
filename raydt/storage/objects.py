"""A folder in an object store, s3:// or gs://.

Objects are written atomically, so `write` needs no rename. They cannot be appended to: `append`
rewrites the object, which is fine for journals of a few kilobytes with one writer. `swap` is a
conditional write of the store: `If-None-Match` and `If-Match` on S3, a generation match on Google
Cloud Storage.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PreconditionError,
)

from raydt.storage.folder import Folder
from raydt.storage.object_uri import BucketStore, open_bucket, reason

if TYPE_CHECKING:  # they exist only in the stubs
    from obstore import ObjectMeta, PutMode, PutResult, UpdateVersion

_CHUNK_BYTES = 8 * 2**20


@lru_cache(maxsize=64)  # a client keeps its connections
def open_object_folder(uri: str) -> ObjectFolder:
    """The folder at a URI such as s3://bucket/prefix?region=eu-central-1; `InputError` if the URI
    is not valid: see `raydt.storage.object_uri`."""
    store, path = open_bucket(uri)
    location, _, options = uri.partition("?")
    return ObjectFolder(store, path, location.rstrip("/"), options)


class ObjectFolder(Folder):
    """A prefix of a bucket."""

    def __init__(self, store: BucketStore, path: str, location: str, options: str) -> None:
        self._store = store
        self._path = path
        self._location = location
        self._options = options

    @property
    def uri(self) -> str:
        return f"{self._location}?{self._options}" if self._options else self._location

    def __truediv__(self, name: str) -> ObjectFolder:
        return ObjectFolder(self._store, self._key(name), f"{self._location}/{name}", self._options)

    def read(self, name: str) -> bytes:
        with _as_os_error(self.uri, name):
            return bytes(obstore.get(self._store, self._key(name)).bytes())

    def write(self, name: str, data: bytes) -> None:
        with _as_os_error(self.uri, name):
            obstore.put(self._store, self._key(name), data)

    def swap(self, name: str, expected: bytes | None, data: bytes) -> bool:
        key = self._key(name)
        with _as_os_error(self.uri, name):
            try:
                if expected is None:
                    obstore.put(self._store, key, data, mode="create")
                    return True
                there = obstore.get(self._store, key)
                version = _version_of(there.meta)
                found = bytes(there.bytes())
                if found != expected:
                    return found == data
                obstore.put(self._store, key, data, mode=version)
                return True
            except (AlreadyExistsError, PreconditionError):
                # Another process's write; or ours, if its first answer was lost and it was retried.
                return self._read_or_none(name) == data
            except FileNotFoundError:
                return False

    def supports_swap(self, name: str) -> bool:
        key = self._key(name)
        with _as_os_error(self.uri, name):
            first = obstore.put(self._store, key, b"1")
            obstore.put(self._store, key, b"2")
            try:
                return not (
                    self._puts(key, "create") or self._puts(key, _version_of(first))
                )  # some S3 clones accept the condition and ignore it
            finally:
                self._delete([key])

    def _puts(self, key: str, mode: PutMode) -> bool:
        try:
            obstore.put(self._store, key, b"3", mode=mode)
        except (AlreadyExistsError, PreconditionError):
            return False
        except NotSupportedError:
            return True
        return True

    def append(self, name: str, data: bytes) -> None:
        self.write(name, (self._read_or_none(name) or b"") + data)

    def remove(self, name: str) -> None:
        key = self._key(name)
        with _as_os_error(self.uri, name):
            for page in obstore.list(self._store, f"{key}/"):
                self._delete([each["path"] for each in page])
            self._delete([key])

    def names(self) -> list[str]:
        with _as_os_error(self.uri, ""):
            found = obstore.list_with_delimiter(self._store, self._path or None)
        paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        start = len(self._path) + 1 if self._path else 0
        return sorted({path[start:] for path in paths})

    def exists(self, name: str) -> bool:
        try:
            with _as_os_error(self.uri, name):
                obstore.head(self._store, self._key(name))
        except FileNotFoundError:
            return False
        return True

    def upload(self, source: Path, name: str) -> None:
        with _as_os_error(self.uri, name):
            obstore.put(self._store, self._key(name), source)

    def fetch(self, name: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A unique name: several processes may fetch the same file.
        partial = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            with _as_os_error(self.uri, name), partial.open("wb") as out:
                for chunk in obstore.get(self._store, self._key(name)).stream(_CHUNK_BYTES):
                    out.write(chunk)
            return partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _key(self, name: str) -> str:
        return f"{self._path}/{name}" if self._path else name

    def _read_or_none(self, name: str) -> bytes | None:
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def _delete(self, keys: list[str]) -> None:
        try:
            obstore.delete(self._store, keys)
        except FileNotFoundError:
            # S3 ignores missing objects; Google Cloud Storage fails on them.
            for key in keys if len(keys) > 1 else ():
                self._delete([key])


def _version_of(found: PutResult | ObjectMeta) -> UpdateVersion:
    """The version of an object, as a condition. Unknown fields must be left out."""
    version: UpdateVersion = {}
    if found["e_tag"] is not None:
        version["e_tag"] = found["e_tag"]
    if found["version"] is not None:
        version["version"] = found["version"]
    return version


@contextmanager
def _as_os_error(uri: str, name: str) -> Iterator[None]:
    """Convert the client's errors to a one-line `OSError`, as a disk would raise."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise OSError(f"{uri}: {reason(error)}") from None
        raise FileNotFoundError(f"{uri.partition('?')[0]}/{name}") from None
    except BaseError as error:
        if isinstance(error, (AlreadyExistsError, PreconditionError)):
            raise
        raise OSError(f"{uri}: {reason(error)}") from None
