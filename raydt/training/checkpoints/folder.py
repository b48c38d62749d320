"""Checkpoints of a cell that is being trained: from which exactly it goes on when it was cut off.

A checkpoint is a safetensors file and a manifest, a small JSON file that is written last and
carries the digest of both. Whatever a kill, a full disk or a flipped bit leaves behind, `newest`
gives the last checkpoint that is whole. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from raydt.errors import InputError, Problem, RunError
from raydt.training.checkpoints.weights import move_into_place
from raydt.training.config import differences

_MANIFEST = ".json"
_TENSORS = ".safetensors"
_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a cell goes on from, after `step` steps."""

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]  # what are not tensors, as JSON has it


class Manifest(TypedDict):
    """What the small file says of a checkpoint."""

    format: int
    step: int
    tensors: str  # the name of the other file
    tensors_bytes: int
    tensors_sha256: str
    fingerprint: str
    cell: Mapping[str, object]
    state: Mapping[str, Any]


@dataclass
class CheckpointFolder:
    """Where one cell keeps its checkpoints, and how often.

    `fingerprint` is whatever the caller wants them to be bound to. A checkpoint is written after
    `every_seconds`, but never so often that writing takes more than `max_share` of the time: cells
    of less than half a minute write none. `every_steps` replaces that by a fixed number.
    """

    path: Path
    fingerprint: str = ""
    every_seconds: float = 30.0
    every_steps: int | None = None
    max_share: float = 0.02
    keep: int = 2
    damaged: list[str] = field(default_factory=list, init=False)  # what `newest` passed over
    seconds: float = field(default=0.0, init=False)  # spent in `write`
    _last_seconds: float = field(default=0.0, init=False)
    _last_time: float = field(default_factory=time.monotonic, init=False)

    def due(self, step: int) -> bool:
        """Whether to write one after `step` steps."""
        if self.every_steps is not None:
            return step % self.every_steps == 0
        wait = max(self.every_seconds, self._last_seconds / self.max_share)
        return time.monotonic() - self._last_time >= wait

    def write(self, checkpoint: Checkpoint, cell: Mapping[str, object]) -> None:
        """Write a checkpoint and drop those older than the last `keep`.

        `cell` is what `newest` compares. Raises `RunError` where the storage refuses.
        """
        start = time.monotonic()
        try:
            self._write(checkpoint, cell)
            self._prune()
        except OSError as error:
            raise RunError(f"checkpoint in {self.path}: cannot be written; {error}") from None
        self._last_time = time.monotonic()
        self._last_seconds = self._last_time - start
        self.seconds += self._last_seconds

    def newest(self, cell: Mapping[str, object]) -> Checkpoint | None:
        """The last checkpoint that is whole; None if there is none.

        What is damaged is passed over and named in `damaged`. `InputError` with all that differs
        if the checkpoint is of another fingerprint or another `cell`.
        """
        self.damaged.clear()
        manifests = []
        for path in self.path.glob(f"*{_MANIFEST}"):
            manifest = self._read_manifest(path)
            if manifest is not None:
                manifests.append(manifest)
        for manifest in sorted(manifests, key=lambda manifest: -int(manifest["step"])):
            self._refuse_another(manifest, cell)
            tensors = self._read_tensors(manifest)
            if tensors is not None:
                return Checkpoint(manifest["step"], tensors, manifest["state"])
        return None

    def remove(self) -> None:
        """Remove all; for the caller, once the cell's result is in place."""
        for path in self.path.glob(f"*{_MANIFEST}"):  # first, so that a kill leaves no ruins
            path.unlink(missing_ok=True)
        if self.path.exists():
            shutil.rmtree(self.path)

    def _write(self, checkpoint: Checkpoint, cell: Mapping[str, object]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        name = f"step-{checkpoint.step:09d}"
        path = self.path / (name + _TENSORS)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        save_file(
            {key: t.detach().cpu().contiguous() for key, t in checkpoint.tensors.items()}, partial
        )
        manifest: Manifest = {
            "format": _FORMAT,
            "step": checkpoint.step,
            "tensors": path.name,
            "tensors_bytes": partial.stat().st_size,
            "tensors_sha256": _digest_of_file(partial),
            "fingerprint": self.fingerprint,
            "cell": dict(cell),
            "state": dict(checkpoint.state),
        }
        move_into_place(partial, path)
        manifest_path = self.path / (name + _MANIFEST)
        partial = manifest_path.with_name(f"{manifest_path.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps({"sha256": _digest(manifest), "manifest": manifest}))
        move_into_place(partial, manifest_path)

    def _prune(self) -> None:
        """Manifests go first: tensors without one are no checkpoint."""
        old = []
        for path in self.path.glob(f"*{_MANIFEST}"):
            manifest = self._read_manifest(path)
            if manifest is not None:
                old.append((manifest["step"], manifest["tensors"], path))
        kept = sorted(old, reverse=True)[: self.keep]
        names = {path.name for _, _, path in kept} | {tensors for _, tensors, _ in kept}
        for suffix in (_MANIFEST, _TENSORS, ".partial"):
            for path in self.path.glob(f"*{suffix}"):
                if path.name not in names:
                    path.unlink(missing_ok=True)

    def _refuse_another(self, manifest: Manifest, cell: Mapping[str, object]) -> None:
        problems = self._differences(manifest, cell)
        if problems:
            raise InputError(problems)

    def is_of(self, manifest: bytes, cell: Mapping[str, object]) -> bool:
        """Whether a manifest is of this fingerprint and this `cell`; one that is damaged counts, as
        `newest` passes over it and names it."""
        try:
            whole = _parsed(manifest)
        except ValueError:
            return True
        return not self._differences(whole, cell)

    def _differences(self, manifest: Manifest, cell: Mapping[str, object]) -> list[Problem]:
        # As JSON gives it back, where a tuple is a list.
        problems = differences(manifest["cell"], json.loads(json.dumps(dict(cell))))
        if manifest["fingerprint"] != self.fingerprint:
            problems.append(
                Problem(
                    f"checkpoint in {self.path}",
                    f"the fingerprint {self.fingerprint!r}",
                    repr(manifest["fingerprint"]),
                )
            )
        return problems

    def _read_manifest(self, path: Path) -> Manifest | None:
        try:
            return _parsed(path.read_bytes())
        except FileNotFoundError:
            return None  # pruned meanwhile
        except (OSError, ValueError) as error:
            self.damaged.append(f"{path.name}: {error}")
            return None

    def _read_tensors(self, manifest: Manifest) -> dict[str, Tensor] | None:
        path = self.path / manifest["tensors"]
        try:
            num_bytes, required_bytes = path.stat().st_size, manifest["tensors_bytes"]
            if num_bytes != required_bytes:
                self.damaged.append(f"{path.name}: {num_bytes} bytes of {required_bytes}")
                return None
            if _digest_of_file(path) != manifest["tensors_sha256"]:
                self.damaged.append(f"{path.name}: not as it was written")
                return None
            return load_file(path)
        except (OSError, SafetensorError) as error:
            self.damaged.append(f"{path.name}: {error}")
            return None


def _parsed(data: bytes) -> Manifest:
    """A manifest as it was written; `ValueError` if it is damaged."""
    try:
        whole = json.loads(data)
        manifest: Manifest = whole["manifest"]
        is_whole = whole["sha256"] == _digest(manifest) and manifest["format"] == _FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"no manifest ({error})") from None
    if not is_whole:
        raise ValueError("not as it was written")
    return manifest


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
