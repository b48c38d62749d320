"""A byte tokenizer for `transformers`: the id of a token is the value of its byte.

It is the byte-level scheme of `tokenizers` without merges, so loading it needs no custom code. Byte
0, the separator, is the token for beginning, end and padding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raydt.config.hub_folder import byte_letters

# Byte 0 in a text is a separator. GPT-2's letter for it, Ā, occurs in real texts.
_SEPARATOR = "\0"


def write_tokenizer(folder: Path, window_bytes: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`."""
    files = {"tokenizer.json": _tokenizer(), "tokenizer_config.json": _config(window_bytes)}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _tokenizer() -> Mapping[str, Any]:
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    separator = {"SpecialToken": {"id": _SEPARATOR, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 0, "content": _SEPARATOR, **special, "special": True}],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [separator, text],
            "pair": [separator, text, separator, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {_SEPARATOR: {"id": _SEPARATOR, "ids": [0], "tokens": [_SEPARATOR]}},
        },
        "decoder": {**byte_level, "use_regex": False},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {letter: byte for byte, letter in enumerate(_letters())},
            "merges": [],
        },
    }


def _config(window_bytes: int) -> Mapping[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": _SEPARATOR,
        "eos_token": _SEPARATOR,
        "pad_token": _SEPARATOR,
        "clean_up_tokenization_spaces": False,
        "model_max_length": window_bytes,
    }


def _letters() -> list[str]:
    """GPT-2's letters for bytes, except for the separator."""
    return [_SEPARATOR, *byte_letters()[1:]]
