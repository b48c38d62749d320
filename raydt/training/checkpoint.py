"""Weights on storage: safetensors, written beside and renamed: a file is whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from raydt.errors import RunError
from raydt.model.decoder import Decoder


def save_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write `weights` to `path`, atomically and durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(weights, partial)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def load_weights(model: Decoder, path: Path) -> None:
    """Start `model` from the weights of another cell; this is not the resuming of a cell.

    Raises `RunError` where the file cannot be read or is of another shape, naming the first
    difference.
    """
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"weights {path}: a whole safetensors file is required; {error}") from None
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        here = tuple(own[name].shape) if name in own else "absent"
        there = tuple(weights[name].shape) if name in weights else "absent"
        if here != there:
            raise RunError(
                f"weights {path}: the model's {name} is {here}, the file's is {there}; "
                "a cell starts from a cell of the same model"
            )
    model.load_state_dict(weights)
