"""Tiny causal models of the Hub's form, as `transformers` writes them, to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from raydt.export.tokenizer import write_tokenizer

WINDOW = 64


def write_llama(folder: Path, num_ids: int = 384, seed: int = 0, **fields: Any) -> Path:
    """ByT5's vocabulary under a Llama: the id of a byte is byte + 3, its end is id 1."""
    from transformers import ByT5Tokenizer, LlamaConfig

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 2, "max_position_embeddings": WINDOW, "vocab_size": num_ids}
    ends = {"eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
    _write(folder, LlamaConfig(**{**shape, **ends, **fields}), seed)
    ByT5Tokenizer().save_pretrained(folder)
    return folder


def write_gpt2(folder: Path, num_ids: int = 256, seed: int = 0, **fields: Any) -> Path:
    """A GPT-2 whose ids are bytes, with tied embeddings, dropout, and byte 0 for the end."""
    from transformers import GPT2Config

    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": WINDOW, "vocab_size": num_ids}
    ends = {"eos_token_id": 0, "bos_token_id": 0}
    _write(folder, GPT2Config(**{**shape, **ends, **fields}), seed)
    write_tokenizer(folder, WINDOW)
    return folder


def edit(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")


def _write(folder: Path, config: Any, seed: int) -> None:
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        # As written they are near zero, and all logits alike.
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
