"""The same work on many files: in turn on a disk, at once in an object store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from raydt.storage.folder import Folder

# An object store answers in tens of milliseconds, and many at once.
_REQUESTS_AT_ONCE = 256

ItemT = TypeVar("ItemT")
FoundT = TypeVar("FoundT")


def each(work: Callable[[ItemT], FoundT], items: Sequence[ItemT], storage: Folder) -> list[FoundT]:
    """What `work` makes of every item, in their order; `storage` says where they are."""
    if storage.local_path is not None:
        return [work(item) for item in items]
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        return list(pool.map(work, items))
