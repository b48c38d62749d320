"""Write a folder that `transformers` loads, from a model's config and its weights."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raydt import __version__
from raydt.config.hub_folder import CONFIG, HUB_MODEL_TYPE, HUB_SHAPE, MODEL
from raydt.config.model import VOCABULARY, ModelConfig
from raydt.export.tokenizer import write_tokenizer
from raydt.model.alphabet import Alphabet

CARD = "README.md"
_CODE = "modeling_raydt.py"


def write_model(
    folder: Path,
    model: ModelConfig,
    weights: Path,
    alphabet: Alphabet | None,
    card: str,
    facts: Mapping[str, object],
) -> None:
    """Write a temporary folder and rename it, so `folder` (absent or empty before) is complete or
    unchanged.

    `weights` is one of raydt's safetensors files (float32, raydt's tensor names), which is copied.
    `facts` are stored in the config under `raydt`.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        shutil.copyfile(weights, partial / MODEL)
        shutil.copyfile(Path(__file__).with_name(_CODE), partial / _CODE)
        _write_json(partial / CONFIG, _config(model, alphabet, facts))
        _write_json(partial / "generation_config.json", _GENERATION)
        write_tokenizer(partial, model.window_bytes)
        (partial / CARD).write_text(card, "utf-8")
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


_TOKENS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
_GENERATION: Mapping[str, Any] = {"_from_model_config": True, **_TOKENS}


def _config(
    model: ModelConfig, alphabet: Alphabet | None, facts: Mapping[str, object]
) -> Mapping[str, Any]:
    module = _CODE.removesuffix(".py")
    escapes = alphabet is not None and alphabet.escape is not None
    return {
        "architectures": ["RaydtForCausalLM"],
        "model_type": HUB_MODEL_TYPE,
        "auto_map": {
            "AutoConfig": f"{module}.RaydtConfig",
            "AutoModelForCausalLM": f"{module}.RaydtForCausalLM",
        },
        **{theirs: getattr(model, ours) for ours, theirs in HUB_SHAPE.items()},
        "seen_bytes": sorted(alphabet.seen) if alphabet is not None and escapes else None,
        "escape": alphabet.escape if alphabet is not None else None,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        **_TOKENS,
        "raydt": {"version": __version__, **facts},
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
