"""Sources that are existing weights, instead of a pretrain of the sweep.

`ckpt:FOLDER` is a folder that `raydt export` wrote or a model in Hugging Face format,
`cell:SWEEP/CELL` a cell of another sweep in the same storage. A prefix `LABEL=` sets the name of
the source, which by default is derived from its location.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic_core import PydanticCustomError

from raydt.config.hub_folder import model_in
from raydt.config.model import ModelConfig
from raydt.errors import Problem

CKPT, CELL = "ckpt", "cell"
_TEXT = re.compile(rf"(?:(?P<label>[^=:]*)=)?(?P<kind>{CKPT}|{CELL}):(?P<place>.*)", re.S)
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")


class Checkpoint(NamedTuple):
    """A source that is weights, and not a language."""

    label: str  # the name of the source in cells, tables and figures
    kind: str
    place: str  # a folder, or SWEEP/CELL

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"


def checkpoint_of(source: str) -> Checkpoint | None:
    """Parse a source as a checkpoint; None for a language."""
    match = _TEXT.fullmatch(source)
    if match is None:
        return None
    place = match["place"]
    if match["kind"] == CKPT and place:
        # An absolute path, so that a folder has one spelling from every working directory.
        place = os.path.normpath(Path.cwd() / Path(place).expanduser())
    called = place.rpartition("/")[2] if match["kind"] == CKPT else place
    label = _NOT_IN_LABELS.sub("-", called).strip("-.") if match["label"] is None else None
    return Checkpoint(match["label"] if label is None else label, match["kind"], place)


def canonical_source(source: str) -> str:
    """The canonical spelling of a source: with its label and an absolute path."""
    found = checkpoint_of(source)
    if found is None:
        return source
    sweep, _, cell = found.place.partition("/")
    if not found.place or (found.kind == CELL and not (sweep and cell)):
        raise PydanticCustomError("source", "a language, ckpt:FOLDER or cell:SWEEP/CELL")
    return f"{found.label}={found}"


def hub_models(sources: Iterable[str]) -> dict[str, ModelConfig]:
    """The models in Hugging Face format among the sources, by label: a sweep may train their
    architecture from scratch."""
    found = {each.label: each for each in map(checkpoint_of, sources) if each is not None}
    models = {
        label: model_in(str(each), Path(each.place))
        for label, each in found.items()
        if each.kind == CKPT
    }
    return {
        label: model
        for label, model in models.items()
        if isinstance(model, ModelConfig) and model.family == "hub"
    }


def why_no_model(sources: Iterable[str], label: str) -> str:
    """Why the source with this label is not a model in Hugging Face format, in parentheses."""
    for each in map(checkpoint_of, sources):
        if each is not None and each.label == label and each.kind == CKPT:
            found = model_in(str(each), Path(each.place))
            if isinstance(found, Problem):
                return f" ({found})"
    return ""
