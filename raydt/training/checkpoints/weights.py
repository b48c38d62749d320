"""Weights on storage: safetensors, written beside and renamed: a file is whole or absent."""

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
    """Write `weights` to `path`, atomically and durably, and with them what bytes they saw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(weights, partial, None if alphabet is None else alphabet.metadata())
    move_into_place(partial, path)


def load_weights(model: Decoder, path: Path) -> Alphabet | None:
    """Start `model` from the weights of another cell; this is not the resuming of a cell.

    Returns what bytes they saw, if that stands beside them.

    Raises `RunError` where the file cannot be read or is of another shape, naming the first
    difference.
    """
    try:
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise RunError(f"weights {path}: expected a whole safetensors file; {error}") from None
    put_weights(model, weights, f"weights {path}", "a cell starts from a cell of the same model")
    return Alphabet.of_metadata(metadata)


def put_weights(model: Decoder, weights: Mapping[str, Tensor], what: str, rule: str) -> None:
    """Copy `weights` into `model`; `RunError` naming the first that is not of the model's shape."""
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        here = tuple(own[name].shape) if name in own else "absent"
        there = tuple(weights[name].shape) if name in weights else "absent"
        if here != there:
            raise RunError(f"{what}: the model's {name} is {here}, the file's is {there}; {rule}")
    model.load_state_dict(weights)


def move_into_place(partial: Path, path: Path) -> None:
    """Rename `partial` to `path` once it is on the disk, and see that the name is, too."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
