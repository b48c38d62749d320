"""The shape of a model in a folder: one that `raydt export` wrote, or any causal byte-level model
in Hugging Face format (`config.json`, safetensors, a tokenizer).

Only JSON and headers are read, so that a plan needs neither torch nor `transformers`. Whether the
weights match is checked when they are loaded (`raydt/model/hub_weights.py`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from raydt.config.model import VOCABULARY, HubModel, ModelConfig
from raydt.errors import Problem

CONFIG, MODEL = "config.json", "model.safetensors"
# Our fields and their usual names in transformers, as in an exported config.
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
# The same in configs of other models, which use several names.
_NAMES = {
    "width": ("hidden_size", "n_embd", "d_model"),
    "num_layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "num_heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "window_bytes": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
}
# Fields of a config that do not change what is computed.
_NOT_DECISIVE = frozenset(
    "_name_or_path architectures dtype torch_dtype transformers_version use_cache id2label "
    "label2id bos_token_id eos_token_id pad_token_id problem_type finetuning_task "
    "task_specific_params".split()
)
_BYT5_OFFSET = 3  # the ids of padding, end and unknown come before those of the bytes
_A_MODEL = "a folder that `raydt export` wrote, or a causal byte-level model in Hugging Face format"


def model_in(what: str, folder: Path) -> ModelConfig | Problem:
    """The shape of the model in a folder, or the problem with it; `what` names the model."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        return Problem(what, _A_MODEL, f"{CONFIG}: {error}")
    if not isinstance(config, dict):
        return Problem(what, _A_MODEL, f"a {CONFIG} that is not an object")
    kind = str(config.get("model_type"))
    if config.get("is_encoder_decoder"):
        return Problem(what, "a causal model", f"{kind}, an encoder-decoder")
    return _exported(what, config) if kind == HUB_MODEL_TYPE else _of_hub(what, folder, config)


def byte_letters() -> list[str]:
    """GPT-2's character for each byte: itself if it is printable, else one from U+0100 on."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(0x100 + number) for number in range(VOCABULARY))
    return [chr(byte) if byte in seen else next(others) for byte in range(VOCABULARY)]


def _exported(what: str, config: Mapping[str, Any]) -> ModelConfig | Problem:
    vocabulary = config.get("vocab_size")
    if vocabulary != VOCABULARY:
        expected = f"a vocabulary of {VOCABULARY} bytes"
        return Problem(what, expected, f"{HUB_MODEL_TYPE} with {vocabulary} tokens")
    try:
        return ModelConfig(**{ours: config[theirs] for ours, theirs in HUB_SHAPE.items()})
    except (KeyError, ValueError) as error:
        return Problem(what, "the config of an exported model", f"a damaged one ({error})")


def _of_hub(what: str, folder: Path, config: Mapping[str, Any]) -> ModelConfig | Problem:
    kind = str(config.get("model_type"))
    if "auto_map" in config:
        expected = "an architecture that is part of `transformers`"
        return Problem(what, expected, f"{kind} with custom code (auto_map)")
    byte_ids = _byte_ids(folder, config)
    if isinstance(byte_ids, str):
        expected = "a byte vocabulary: ByT5's, a byte-level BPE without merges, or 256 ids"
        return Problem(what, expected, f"{kind} with {byte_ids}")
    shape: dict[str, int] = {}
    for ours, names in _NAMES.items():
        values = [config[name] for name in names if isinstance(config.get(name), int)]
        if not values:
            return Problem(what, f"{names[0]} in {CONFIG}", f"{kind} without it")
        shape[ours] = values[0]
    num_parameters = _num_parameters(folder)
    if isinstance(num_parameters, str):
        return Problem(what, f"weights in {MODEL}, in one file or in shards", num_parameters)
    inner = config.get("intermediate_size") or config.get("n_inner") or 4 * shape["width"]
    decisive = {
        n: _without_dropout(n, value) for n, value in config.items() if n not in _NOT_DECISIVE
    }
    hub = HubModel(
        config=json.dumps(decisive, sort_keys=True),
        byte_ids=byte_ids,
        num_parameters=num_parameters,
    )
    try:
        return ModelConfig(**shape, hidden=inner, conv_bytes=1, family="hub", hub=hub)
    except ValueError as error:
        return Problem(what, "the config of a model", f"a damaged one ({error})")


def _without_dropout(name: str, value: object) -> object:
    """Dropout is 0, as in raydt's own families. It is set in the config, because some models apply
    it without a module."""
    drops = isinstance(value, float) and ("dropout" in name or name.endswith("pdrop"))
    return 0.0 if drops else value


def _byte_ids(folder: Path, config: Mapping[str, Any]) -> tuple[int, ...] | str:
    """The id of each byte, or a description of the vocabulary if it is not one of bytes.

    Byte 0 ends a text, as in training. It gets the model's end-of-text id, unless that is the id of
    another byte.
    """
    num_ids = config.get("vocab_size")
    if not isinstance(num_ids, int) or num_ids < VOCABULARY:
        return f"{num_ids} tokens"
    try:
        found = _ids_of_tokenizer(folder, num_ids)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"a tokenizer that cannot be read ({error!r:.200})"
    if isinstance(found, str):
        return found
    end = config.get("eos_token_id")
    end = end[0] if isinstance(end, list) and end else end
    if isinstance(end, int) and 0 <= end < num_ids and end not in found[1:]:
        found[0] = end
    if max(found) >= num_ids or min(found) < 0 or len(set(found)) < VOCABULARY:
        return f"{num_ids} tokens, not one for each byte"
    return tuple(found)


def _ids_of_tokenizer(folder: Path, num_ids: int) -> list[int] | str:
    whole, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if whole.exists():
        return _ids_in(json.loads(whole.read_text("utf-8")))
    kind = None
    if settings.exists():
        kind = json.loads(settings.read_text("utf-8")).get("tokenizer_class")
    if kind == "ByT5Tokenizer":
        return [byte + _BYT5_OFFSET for byte in range(VOCABULARY)]
    if kind is None and num_ids == VOCABULARY:
        return list(range(VOCABULARY))
    return f"{num_ids} tokens and {'no tokenizer' if kind is None else kind}"


def _ids_in(tokenizer: Mapping[str, Any]) -> list[int] | str:
    """The ids in a `tokenizer.json` of the byte-level scheme, where each byte is one character."""
    model = tokenizer["model"]
    steps = tokenizer.get("pre_tokenizer") or {}
    kinds = {step["type"] for step in steps.get("pretokenizers", [steps]) if "type" in step}
    if model.get("merges"):
        return f"a subword vocabulary ({len(model['merges'])} merges)"
    if model.get("type") != "BPE" or "ByteLevel" not in kinds:
        return f"a tokenizer of another kind ({model.get('type')})"
    vocabulary = model["vocab"]
    first, *letters = byte_letters()
    missing = [letter for letter in letters if letter not in vocabulary]
    if missing:
        return f"a vocabulary without {len(missing)} of the bytes"
    # raydt's own tokenizer has the separator as "\0".
    zero = vocabulary.get(first, vocabulary.get("\0", -1))
    return [zero, *(vocabulary[letter] for letter in letters)]


def _num_parameters(folder: Path) -> int | str:
    """The number of parameters by the headers of the safetensors files, or what is wrong."""
    index = folder / f"{MODEL}.index.json"
    try:
        if index.exists():
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        else:
            names = [MODEL]
        return sum(_num_in(folder / name) for name in names)
    except FileNotFoundError as error:
        return f"no file {error.filename}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        return f"damaged files ({error!r:.200})"


def _num_in(path: Path) -> int:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:
            raise ValueError(f"{path.name} is shorter than its header")
        header = json.loads(file.read(length))
    return sum(prod(each["shape"]) for name, each in header.items() if name != "__metadata__")
