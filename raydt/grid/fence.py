"""Fencing: what a launch does when it takes over a sweep from an interrupted launch.

The old launch may only have been paused between checking that it holds the sweep and writing a
result. No storage makes a write depend on another file, so the new launch changes the file that
such a write depends on, for every cell with an attempt of another launch and no result. From then
on only the new launch can write results.
"""

from __future__ import annotations

from collections.abc import Iterable

from raydt.grid.journal import close_to_others
from raydt.storage.folder import Folder
from raydt.storage.many import each


def fence(cells: Iterable[Folder], launch_id: str, sweep: Folder) -> int:
    """Close the open cells of a sweep to all launches but one; returns how many there were."""
    return sum(each(lambda cell: close_to_others(cell, launch_id), list(cells), sweep))
