"""What a launch does that takes a sweep over from one that was cut off.

The other may only have slept, and wake with a result in hand: it looked whether it holds the sweep,
was paused, and writes. No store lets a write depend on another file, so whoever takes over changes
the very file that such a write depends on, of every cell that has an attempt of another launch and
no result. From then on no launch but the new one decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from raydt.grid.journal import close_to_others
from raydt.storage.folder import Folder
from raydt.storage.many import each


def fence(cells: Iterable[Folder], launch_id: str, sweep: Folder) -> int:
    """Close the open cells of a sweep to all launches but one; how many there were."""
    return sum(each(lambda cell: close_to_others(cell, launch_id), list(cells), sweep))
