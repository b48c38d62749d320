"""The same work on many files: one by one on a disk, in parallel in an object store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from raydt.storage.folder import Folder

# An object store takes tens of milliseconds per request, and handles many in parallel.
_PARALLEL_REQUESTS = 256

ItemT = TypeVar("ItemT")
OutT = TypeVar("OutT")


def each(work: Callable[[ItemT], OutT], items: Sequence[ItemT], storage: Folder) -> list[OutT]:
    """Apply `work` to every item and return the results in order; `storage` is where the items
    are."""
    if storage.local_path is not None:
        return [work(item) for item in items]
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        return list(pool.map(work, items))
