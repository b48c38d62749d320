"""Weights on disk: safetensors, written to a temporary file and renamed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from raydt.errors import RunError
from raydt.model.alphabet import Alphabet
from raydt.model.decoder import Decoder


def save_weights(weights: dict[str, Tensor], path: Path, alphabet: Alphabet | None = None) -> None:
    """Write `weights` to `path`, atomically and durably, with the bytes that they have seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(weights, partial, None if alphabet is None else alphabet.metadata())
    move_into_place(partial, path)


def load_weights(model: Decoder, path: Path) -> Alphabet | None:
    """Start `model` from the weights of another cell; this does not resume a cell.

    Returns the bytes that the weights have seen, if that is recorded.

    Raises `RunError` if the file cannot be read or has another shape, with the first difference.
    """
    try:
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"weights {path}: expected a complete safetensors file, got {error}"
        ) from None
    put_weights(
        model, weights, f"weights {path}", "a cell must start from a cell of the same model"
    )
    return Alphabet.of_metadata(metadata)


def put_weights(model: Decoder, weights: Mapping[str, Tensor], what: str, rule: str) -> None:
    """Copy `weights` into `model`; `RunError` with the first one of another shape."""
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        here = tuple(own[name].shape) if name in own else "absent"
        there = tuple(weights[name].shape) if name in weights else "absent"
        if here != there:
            raise RunError(f"{what}: {name}: expected shape {here}, got {there} ({rule})")
    model.load_state_dict(weights)


def move_into_place(partial: Path, path: Path) -> None:
    """Sync `partial` to disk, rename it to `path`, and sync the name."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
