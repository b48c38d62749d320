"""What a finetune may start from besides a pretrain of its own sweep: weights that are there.

`ckpt:FOLDER` is a folder that `raydt export` wrote, `cell:SWEEP/CELL` a cell of another sweep in
the same storage. `LABEL=` before it names the source where it is not to be called after its place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from raydt.config.model import VOCABULARY, ModelConfig
from raydt.errors import Problem

CKPT, CELL = "ckpt", "cell"
_TEXT = re.compile(rf"(?:(?P<label>[^=:]*)=)?(?P<kind>{CKPT}|{CELL}):(?P<place>.*)", re.S)
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")
# The fields of a model by the names that transformers' users know them by: an exported config.
HUB_SHAPE = {
    "family": "family",
    "width": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden": "intermediate_size",
    "window_bytes": "max_position_embeddings",
    "conv_bytes": "conv_bytes",
    "mask_documents": "mask_documents",
}
HUB_MODEL_TYPE = "raydt"


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


def model_of_hub(what: str, config: Mapping[str, Any]) -> ModelConfig | Problem:
    """The shape in the `config.json` of an exported folder, or why it is none; `what` names it."""
    kind = str(config.get("model_type"))
    if config.get("is_encoder_decoder"):
        found = f"{kind}, an encoder and a decoder"
        return Problem(what, "a model that reads from left to right alone", found)
    vocabulary = config.get("vocab_size")
    if vocabulary != VOCABULARY:
        requirement = f"{VOCABULARY} bytes for a vocabulary"
        return Problem(what, requirement, f"{kind} with {vocabulary} tokens")
    if kind != HUB_MODEL_TYPE:
        return Problem(what, "a folder that `raydt export` wrote", f"a model of type {kind}")
    try:
        return ModelConfig(**{ours: config[theirs] for ours, theirs in HUB_SHAPE.items()})
    except (KeyError, ValueError) as error:
        return Problem(what, "the config of an exported model", f"damage ({error})")
