"""Checkpoints of a training cell, from which it resumes exactly after an interruption.

A checkpoint is a safetensors file and a manifest, a small JSON file that is written last and has
the digest of both. Whatever a kill, a full disk or a flipped bit leaves behind, `newest` returns
the last complete checkpoint. Nothing is pickled.
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
    """The state from which a cell resumes, after `step` steps."""

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]  # everything but tensors, as JSON values


class Manifest(TypedDict):
    """The manifest of a checkpoint."""

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
    """The folder for the checkpoints of one cell, and how often they are written.

    `fingerprint` is any text that a checkpoint must match. A checkpoint is written every
    `every_seconds`, but never so often that writing takes more than `max_share` of the time, so
    cells of less than half a minute write none. `every_steps` sets a fixed number of steps instead.
    """

    path: Path
    fingerprint: str = ""
    every_seconds: float = 30.0
    every_steps: int | None = None
    max_share: float = 0.02
    keep: int = 2
    damaged: list[str] = field(default_factory=list, init=False)  # skipped by `newest`
    seconds: float = field(default=0.0, init=False)  # spent in `write`
    _last_seconds: float = field(default=0.0, init=False)
    _last_time: float = field(default_factory=time.monotonic, init=False)

    def due(self, step: int) -> bool:
        """Whether to write a checkpoint after `step` steps."""
        if self.every_steps is not None:
            return step % self.every_steps == 0
        wait = max(self.every_seconds, self._last_seconds / self.max_share)
        return time.monotonic() - self._last_time >= wait

    def write(self, checkpoint: Checkpoint, cell: Mapping[str, object]) -> None:
        """Write a checkpoint and drop those older than the last `keep`.

        `newest` compares `cell`. Raises `RunError` if the storage fails.
        """
        start = time.monotonic()
        try:
            self._write(checkpoint, cell)
            self._prune()
        except OSError as error:
            raise RunError(f"checkpoint in {self.path}: cannot be written: {error}") from None
        self._last_time = time.monotonic()
        self._last_seconds = self._last_time - start
        self.seconds += self._last_seconds

    def newest(self, cell: Mapping[str, object]) -> Checkpoint | None:
        """The last complete checkpoint; None if there is none.

        Damaged ones are skipped and named in `damaged`. Raises `InputError` with all differences if
        the checkpoint belongs to another fingerprint or another `cell`.
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
        """Remove all checkpoints; called once the cell's result is written."""
        for path in self.path.glob(f"*{_MANIFEST}"):  # first: a kill leaves nothing half complete
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
        """Remove manifests first: tensors without one are not a checkpoint."""
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
        """Whether a manifest belongs to this fingerprint and `cell`; also True for a damaged one,
        which `newest` skips and names."""
        try:
            whole = _parsed(manifest)
        except ValueError:
            return True
        return not self._differences(whole, cell)

    def _differences(self, manifest: Manifest, cell: Mapping[str, object]) -> list[Problem]:
        # After a round trip through JSON, where a tuple is a list.
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
    """Parse a manifest; `ValueError` if it is damaged."""
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
