"""Checkpoints across attempts: a new attempt takes over those of the one that was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raydt.grid.journal import CHECKPOINTS, attempt_folder, attempts
from raydt.storage.folder import Folder
from raydt.training.checkpoints.folder import Checkpoint, CheckpointFolder


class AttemptCheckpoints(CheckpointFolder):
    """The checkpoints of one attempt, which are on the storage too.

    On a disk they are written where they belong. For an object store they are written beside the
    process and uploaded, tensors before their manifest, so that what has a manifest is whole.
    """

    def __init__(
        self, attempt: Folder, cache: Path, fingerprint: str, every_seconds: float
    ) -> None:
        self._place = attempt / CHECKPOINTS
        local = self._place.local_path
        super().__init__(local or cache / CHECKPOINTS, fingerprint, every_seconds)
        self._uploaded: set[str] = set()
        self._is_remote = local is None

    def write(self, checkpoint: Checkpoint, cell: Mapping[str, Any]) -> None:
        """As `CheckpointFolder.write`, and on the storage."""
        super().write(checkpoint, cell)
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
