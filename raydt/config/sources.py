"""What a finetune may start from besides a pretrain of its own sweep: weights that are there.

`ckpt:FOLDER` is a folder that `raydt export` wrote or a model of the Hub's form, `cell:SWEEP/CELL`
a cell of another sweep in the same storage. `LABEL=` before it names the source where it is not to
be called after its place.
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
    """Weights that a source is, instead of a language."""

    label: str  # what the source is called in cells, tables and figures
    kind: str
    place: str  # a folder, or SWEEP/CELL

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"


def checkpoint_of(source: str) -> Checkpoint | None:
    """The checkpoint that a source is; None of a language."""
    match = _TEXT.fullmatch(source)
    if match is None:
        return None
    place = match["place"]
    if match["kind"] == CKPT and place:
        # One text for one folder, from wherever it is named.
        place = os.path.normpath(Path.cwd() / Path(place).expanduser())
    called = place.rpartition("/")[2] if match["kind"] == CKPT else place
    label = _NOT_IN_LABELS.sub("-", called).strip("-.") if match["label"] is None else None
    return Checkpoint(match["label"] if label is None else label, match["kind"], place)


def whole_text(source: str) -> str:
    """A source as it is written down: with its label and a whole path."""
    found = checkpoint_of(source)
    if found is None:
        return source
    sweep, _, cell = found.place.partition("/")
    if not found.place or (found.kind == CELL and not (sweep and cell)):
        raise PydanticCustomError("source", "a language, ckpt:FOLDER or cell:SWEEP/CELL")
    return f"{found.label}={found}"


def hub_models(sources: Iterable[str]) -> dict[str, ModelConfig]:
    """The models of the Hub's form among sources, by label: a sweep may train them from scratch."""
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
    """Of a source that is called so and is no model of the Hub's form: the reason, in brackets."""
    for each in map(checkpoint_of, sources):
        if each is not None and each.label == label and each.kind == CKPT:
            found = model_in(str(each), Path(each.place))
            if isinstance(found, Problem):
                return f" ({found})"
    return ""
