"""Checkpoints across attempts: a new attempt takes over those of the one that was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raydt.grid.journal import CHECKPOINTS, attempt_folder, attempts
from raydt.storage.folder import Folder
from raydt.training.checkpoints.folder import Checkpoint, CheckpointFolder

_POLL_SECONDS = 2.0  # whether the launch is about to leave
_SECONDS_IN_A_STORE = 10.0  # where a look is a request


class AttemptCheckpoints(CheckpointFolder):
    """The checkpoints of one attempt, which are on the storage too.

    On a disk they are written where they belong. For an object store they are written beside the
    process and uploaded, tensors before their manifest, so that what has a manifest is whole.
    Besides those that are due by time, one is once `is_shutting_down` says that the launch ends
    soon.
    """

    def __init__(
        self,
        attempt: Folder,
        cache: Path,
        fingerprint: str,
        every_seconds: float,
        is_shutting_down: Callable[[], bool] = lambda: False,
    ) -> None:
        self._place = attempt / CHECKPOINTS
        local = self._place.local_path
        super().__init__(local or cache / CHECKPOINTS, fingerprint, every_seconds)
        self._uploaded: set[str] = set()
        self._is_remote = local is None
        self._is_shutting_down = is_shutting_down
        self._looked = time.monotonic()
        self._is_asked = False
        self._has_answered = False

    def due(self, step: int) -> bool:
        """As `CheckpointFolder.due`, and once when the launch is about to leave."""
        return super().due(step) or (self._asked() and not self._has_answered)

    def _asked(self) -> bool:
        pause = _SECONDS_IN_A_STORE if self._is_remote else _POLL_SECONDS
        if not self._is_asked and time.monotonic() - self._looked >= pause:
            self._looked = time.monotonic()
            self._is_asked = self._is_shutting_down()
        return self._is_asked

    def write(self, checkpoint: Checkpoint, cell: Mapping[str, Any]) -> None:
        """As `CheckpointFolder.write`, and on the storage."""
        super().write(checkpoint, cell)
        self._has_answered = self._is_asked
        if not self._is_remote:
            return
        here = {path.name for path in self.path.iterdir()}
        for name in sorted(here - self._uploaded, key=lambda name: name.endswith(".json")):
            self._place.upload(self.path / name, name)
        for name in sorted(self._uploaded - here, key=lambda name: not name.endswith(".json")):
            self._place.remove(name)
        self._uploaded = here

    def take_over(self, cell: Folder, attempt_id: str, facts: Mapping[str, Any]) -> None:
        """Begin with the checkpoints of the newest attempt before this one that has any of this
        very cell: `facts` are those that the checkpoints are written with.

        Those of another fingerprint (the text was edited, or raydt is another version) stay where
        they are: should the text be as it was, the cell resumes from them.
        """
        for earlier in reversed([a for a in attempts(cell) if a != attempt_id]):
            place = attempt_folder(cell, earlier) / CHECKPOINTS
            names = place.names()
            manifests = [name for name in names if name.endswith(".json")]
            if not manifests or not all(self._is_of(place, name, facts) for name in manifests):
                continue
            if place.local_path is not None:
                # A rename: the earlier attempt, should it still be there, has them no more.
                self.path.parent.mkdir(parents=True, exist_ok=True)
                place.local_path.rename(self.path)
            else:
                for name in names:
                    place.fetch(name, self.path / name)
            return

    def _is_of(self, place: Folder, name: str, facts: Mapping[str, Any]) -> bool:
        try:
            return self.is_of(place.read(name), facts)
        except FileNotFoundError:
            return True  # pruned meanwhile
