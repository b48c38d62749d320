"""Checkpoints across attempts: a new attempt takes over those of an interrupted one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raydt.grid.journal import CHECKPOINTS, attempt_folder, attempts
from raydt.storage.folder import Folder
from raydt.training.checkpoints.folder import Checkpoint, CheckpointFolder

_POLL_SECONDS = 2.0  # for the launch's request of a checkpoint
_REMOTE_POLL_SECONDS = 10.0  # in an object store


class AttemptCheckpoints(CheckpointFolder):
    """The checkpoints of one attempt, which are also on the storage.

    On a disk they are written in place. For an object store they are written locally and uploaded,
    tensors before their manifest, so that a checkpoint with a manifest is complete. In addition to
    the regular ones, one is written once `is_shutting_down` shows that the launch will end soon.
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
        self._last_poll = time.monotonic()
        self._is_requested = False
        self._wrote_requested = False

    def due(self, step: int) -> bool:
        """As `CheckpointFolder.due`, and once when the launch is about to end."""
        return super().due(step) or (self._checkpoint_requested() and not self._wrote_requested)

    def _checkpoint_requested(self) -> bool:
        pause = _REMOTE_POLL_SECONDS if self._is_remote else _POLL_SECONDS
        if not self._is_requested and time.monotonic() - self._last_poll >= pause:
            self._last_poll = time.monotonic()
            self._is_requested = self._is_shutting_down()
        return self._is_requested

    def write(self, checkpoint: Checkpoint, cell: Mapping[str, Any]) -> None:
        """As `CheckpointFolder.write`, and upload the checkpoint to the storage."""
        super().write(checkpoint, cell)
        self._wrote_requested = self._is_requested
        if not self._is_remote:
            return
        here = {path.name for path in self.path.iterdir()}
        for name in sorted(here - self._uploaded, key=lambda name: name.endswith(".json")):
            self._place.upload(self.path / name, name)
        for name in sorted(self._uploaded - here, key=lambda name: not name.endswith(".json")):
            self._place.remove(name)
        self._uploaded = here

    def take_over(self, cell: Folder, attempt_id: str, facts: Mapping[str, Any]) -> None:
        """Take over the checkpoints of the newest earlier attempt that has any of this cell, which
        the `facts` in their manifests must match.

        Those of another fingerprint (the text was edited, or raydt has another version) are left:
        if the text is restored, the cell resumes from them.
        """
        for earlier in reversed([a for a in attempts(cell) if a != attempt_id]):
            place = attempt_folder(cell, earlier) / CHECKPOINTS
            names = place.names()
            manifests = [name for name in names if name.endswith(".json")]
            if not manifests or not all(self._is_of(place, name, facts) for name in manifests):
                continue
            if place.local_path is not None:
                # A rename takes them away from the earlier attempt, should it still run.
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
